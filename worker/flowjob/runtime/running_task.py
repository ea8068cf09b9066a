"""A built task with its ends, and what can be told of it from outside: its figures, and what it has.

A part of runtime/task_set.py, which builds and runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowjob.core.elements import MAX_TIME, MIN_TIME
from flowjob.core.job_events import TaskId
from flowjob.runtime.env import Clock
from flowjob.runtime.exchange import ChannelSpec, EdgeWriter, InputGate
from flowjob.runtime.participant import Participant
from flowjob.runtime.source_task import SourceTask
from flowjob.runtime.task import Task
from flowjob.runtime.wire import TaskInventory


class RunningTask:
    """`finished`: it has ended and been released. `channels`: of its gate, by number."""

    def __init__(
        self,
        task: Task | SourceTask,
        gate: InputGate | None,
        writers: Mapping[int, EdgeWriter],
        channels: Sequence[ChannelSpec] = (),
    ) -> None:
        self.task = task
        self._channels = channels
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
        driver, task = self.task.driver, self.task
        found = driver.metrics.snapshot(driver.chain, clock, buffers)
        if isinstance(task, SourceTask):
            left = task.left
            found.update({"splits": task.splits, "splits_read": task.splits_read})
            found.update({"left_rows": left.rows, "left_bytes": left.bytes})
        else:
            found.update({"inputs": holding_back(task.waits_for(), self._channels)})
        return found


def holding_back(
    waits_for: Iterable[tuple[int, int]], channels: Sequence[ChannelSpec]
) -> list[tuple[int, int | None, int]]:
    """By edge: its lowest watermark (µs; None: it has not sent one), and the producer subtask that it is of. An edge of
    which nothing holds time back, because all has ended or is idle, has MAX_TIME and no producer (-1)."""
    lowest: dict[int, tuple[int, int]] = {c.edge.id: (MAX_TIME, -1) for c in channels}
    for channel, time in waits_for:
        of = channels[channel]
        if time < lowest[of.edge.id][0]:
            lowest[of.edge.id] = time, of.producer
    return [(e, None if time == MIN_TIME else time, by) for e, (time, by) in lowest.items()]
