"""A built task with its ends, and what can be told of it from outside: its figures, and what it has.

A part of runtime/task_set.py, which builds and runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjob.core.job_events import TaskId
from flowjob.runtime.env import Clock
from flowjob.runtime.exchange import EdgeWriter, InputGate
from flowjob.runtime.participant import Participant
from flowjob.runtime.source_task import SourceTask
from flowjob.runtime.task import Task
from flowjob.runtime.wire import TaskInventory


class RunningTask:
    """`finished`: it has ended and been released."""

    def __init__(
        self, task: Task | SourceTask, gate: InputGate | None, writers: Mapping[int, EdgeWriter]
    ) -> None:
        self.task = task
        self.gate = gate
        self.writers = writers
        self.finished = False

    @property
    def participant(self) -> Participant:
        """How the task takes part in snapshots."""
        assert self.task.participant is not None, "the job takes no snapshots"
        return self.task.participant

    def inventory(self, id: TaskId) -> TaskInventory:
        """For a JobManager that takes over. A task that stops for a savepoint cannot be made to go on."""
        participant, task = self.task.participant, self.task
        return TaskInventory(
            id,
            running=not self.finished and participant is not None and not participant.stops,
            ended=participant is not None and participant.ended,
            splits=task.unfinished if isinstance(task, SourceTask) else [],
            read=task.finished if isinstance(task, SourceTask) else [],
        )

    def metrics(self, clock: Clock) -> dict[str, Any]:
        writers, gate = self.writers.values(), self.gate
        buffers = {
            "bytes_out": sum(w.bytes for w in writers),
            "batches_out": sum(w.batches for w in writers),
            "buffered_bytes": sum(w.buffered_bytes for w in writers),
            "in_flight_bytes": sum(w.in_flight_bytes for w in writers),
            "queued_bytes": gate.queued_bytes if gate is not None else 0,
            "bytes_in": gate.bytes if gate is not None else 0,
        }
        driver = self.task.driver
        return driver.metrics.snapshot(driver.chain, clock, buffers)
