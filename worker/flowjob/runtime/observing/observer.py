"""The JobManager's memory of its job: fed by what reaches it anyway, read by those who look at the job.

One per process, over all tenures of it. It keeps figures, checkpoints, failures, log lines and changes, each in bounded
memory (the modules beside this one), and decides nothing. How they are shown is the views' business."""

from __future__ import annotations

import asyncio
import math
import posixpath
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec.structs import replace

from flowjob.cluster.job_history import ExceptionFacts, LogLine
from flowjob.core.checkpoint_records import Status
from flowjob.core.job_events import (
    Event,
    Failed,
    Finish,
    GaveUp,
    Lost,
    Notice,
    Outcome,
    Restarting,
    SlotFailed,
    SnapshotSaved,
    Succeeded,
    TaskId,
)
from flowjob.core.job_machine import JobState
from flowjob.runtime import messages
from flowjob.runtime.env import Clock, Env
from flowjob.runtime.jobmanager.conducting import Conductor
from flowjob.runtime.jobmanager.leading import ATTEMPTS_PER_GENERATION
from flowjob.runtime.jobmanager.request import (
    JobEvent,
    JobRequest,
    RestartsExhausted,
    SnapshotFailed,
    WorkersLost,
    WorkersRestarted,
)
from flowjob.runtime.jobmanager.viewing import STATES, when
from flowjob.runtime.observing.change_memory import ChangeMemory, Topic
from flowjob.runtime.observing.checkpoint_memory import CheckpointMemory, Entry, Layout
from flowjob.runtime.observing.exception_memory import At, ExceptionMemory, Result
from flowjob.runtime.observing.former_counts import FormerCounts
from flowjob.runtime.observing.latencies import LatencyMemory
from flowjob.runtime.observing.log_ring import LogRing
from flowjob.runtime.observing.process_lines import line_of, said_lines
from flowjob.runtime.observing.task_table import AT_LEAST, TASKS_PER_SECOND, VertexTable
from flowjob.runtime.observing.time_series import WHOLE_JOB, TimeSeries, figures_of, whole_job
from flowjob.runtime.observing.watching import Watcher
from flowjob.runtime.speaking import Mark

_ENDED = {
    Status.COMPLETED: "is complete", Status.FAILED: "has failed", Status.ABORTED: "was called off",
}  # fmt: skip


class Observer(Watcher):
    """`conductor` and `request` are those of the newest tenure; None before the first."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self.logs = LogRing()
        self.changes = ChangeMemory()
        self.exceptions = ExceptionMemory(self._new_exception)
        self.checkpoints = CheckpointMemory()
        self.tables: dict[int, VertexTable] = {}
        self.series = TimeSeries(())
        self.latencies = LatencyMemory()
        self.former = FormerCounts()
        self._dropped_there: dict[str, int] = {}
        self.conductor: Conductor | None = None
        self.request: JobRequest | None = None
        self._layout: Layout | None = None

    @property
    def clock(self) -> Clock:
        return self._env.clock

    @property
    def now(self) -> str:
        """RFC 3339."""
        return when(self.clock.wall())

    # -- what happens (watching.Watcher)

    def began(self, conductor: Conductor, request: JobRequest) -> None:
        former = self.request
        self.sync()
        self.checkpoints.abandon("another tenure of the JobManager goes on without it")
        self.conductor, self.request = conductor, request
        shape = [(v.id, v.parallelism) for v in request.graph.vertices]
        if former is None or shape != [(v.id, v.parallelism) for v in former.graph.vertices]:
            self._layout = Layout(request.graph)
            self.tables = {v.id: VertexTable(v) for v in request.graph.vertices}
            self.latencies, self.former = LatencyMemory(), FormerCounts()
            for table in self.tables.values():
                table.at_least = max(AT_LEAST, self._layout.rows / TASKS_PER_SECOND)
        if self.series.vertices != [v.id for v in request.graph.vertices]:
            self.series = TimeSeries([v.id for v in request.graph.vertices])
        if former is not None and former.job.parallelism != request.job.parallelism:
            before, after = former.job.parallelism, request.job.parallelism
            self.changes.add(self.now, "scale", f"parallelism {before} has become {after}")

    def changed(self, state: JobState) -> None:
        name = STATES[state]
        self.say(f"the job is {name.lower()}")
        self.changes.add(self.now, "state", f"the job is {name.lower()}", state=name)

    def happened(self, event: Event) -> None:
        if isinstance(event, SlotFailed) and self.request is not None:
            self.exceptions.reported(event.error, self._at(event.slot), self.request.graph)
        line = line_of(event, self.now, self._place_of)
        if line is not None:
            self._processes(line.task_manager or "", [line])
        if isinstance(event, SnapshotSaved):
            asyncio.get_running_loop().call_soon(self.sync)  # then the coordinator knows it too

    def heard(self, slot: int, message: messages.FromSlotBody | messages.SlotOutput) -> None:
        match message:
            case messages.MetricsReport(tasks=tasks):
                now = self.clock.monotonic()
                for task in tasks:
                    table = self.tables.get(task.task[0])
                    if table is not None and task.task[1] < len(table.at):
                        self._report(table, task, now)
                if self.series.due(now):
                    self.sample()
            case messages.SnapshotTaken(checkpoint=id, snapshot=snapshot):
                if self._layout is not None:
                    at, attempt = self.clock.monotonic(), self.attempt_of(slot)
                    self.checkpoints.heard(id, snapshot, self._layout, attempt, at)
            case messages.SlotOutput():
                self._output(slot, message)

    def said(self, taskmanager: str, message: messages.TaskManagerAlive) -> None:
        self._processes(taskmanager, said_lines(taskmanager, message))
        known = self._dropped_there.get(taskmanager, 0)
        # What it has dropped it says again each time; a process of the same name begins anew.
        self.logs.missed(message.dropped - (known if message.dropped >= known else 0))
        if message.dropped or known:
            self._dropped_there[taskmanager] = message.dropped

    def noticed(self, notice: Notice) -> None:
        match notice:
            case Restarting(slots, _, cause, _):
                self._judge(cause, slots[0] if len(slots) == 1 else None, ended=False)
            case GaveUp():
                pass  # the end follows

    def told(self, event: JobEvent) -> None:
        bad = isinstance(event, WorkersLost | RestartsExhausted | SnapshotFailed)
        self.say(event.text, "WARNING" if bad else "INFO")
        if isinstance(event, WorkersLost | WorkersRestarted | RestartsExhausted):
            self.changes.add(self.now, "restart", event.text)
        elif isinstance(event, SnapshotFailed):
            asyncio.get_running_loop().call_soon(self.sync)
        else:
            self.changes.add(self.now, "note", event.text.partition("\n")[0])

    def reset(self, tasks: tuple[TaskId, ...]) -> None:
        for task in tasks:
            table = self.tables.get(task.vertex)
            if table is not None and task.subtask < len(table.at):
                table.forget(task.subtask)
                self.latencies.forget(*task)
                self._keep_counts(task)

    def finished(self, finish: Finish) -> None:
        self._judge(finish.outcome, None, ended=True)
        if isinstance(finish.outcome, Succeeded):
            self.say("all tasks have ended: the run has succeeded")
        for table in self.tables.values():
            table.rates[:] = 0.0
            table.lag[:] = math.nan
        self.sample()

    def _keep_counts(self, task: TaskId) -> None:
        values = None if self.conductor is None else self.conductor.metrics.get(task)
        if values:
            self.former.over((task.vertex, task.subtask), values)

    def _processes(self, taskmanager: str, lines: Iterable[LogLine]) -> None:
        told = [self._with_attempt(line) for line in lines]
        self.logs.add(f"taskmanager {taskmanager}", told, self.clock.monotonic())

    def _with_attempt(self, line: LogLine) -> LogLine:
        if line.slot is None:
            return line
        attempt = self._counted(line.attempt) if line.attempt else self.attempt_of(line.slot)
        return replace(line, attempt=attempt)

    def _place_of(self, slot: int) -> str | None:
        """The TaskManager that it is on."""
        record = None if self.conductor is None else self.conductor.machine.slots.get(slot)
        return None if record is None else record.taskmanager

    def _report(self, table: VertexTable, task: messages.TaskMetrics, now: float) -> None:
        vertex, subtask = task.task
        if table.report(subtask, task.values, now):
            self.latencies.heard(vertex, subtask, task.values.get("latency", ()), now)

    # -- what is made of it

    def sample(self) -> None:
        """A step of the time series."""
        self.sync()
        figures = {vertex: figures_of(table) for vertex, table in self.tables.items()}
        figures[WHOLE_JOB] = whole_job(list(self.tables.values()), self._checkpoint_seconds())
        self.series.add(self.clock.monotonic(), self.clock.wall() // 1000, figures)

    def sync(self) -> None:
        """With what the coordinator of checkpoints knows."""
        service = None if self.conductor is None else self.conductor.checkpoints
        if service is None or self._layout is None:
            return
        zero = self.clock.wall() - int(self.clock.monotonic() * 1e6)
        for entry in self.checkpoints.sync(service.history(), self._layout, self.attempt, zero):
            if entry.is_over:
                self._checkpoint_ended(entry)

    def say(self, text: str, level: str = "INFO") -> None:
        """A line of the JobManager's own."""
        line = LogLine(
            sequence=0, at=self.now, level="WARNING" if level == "WARNING" else "INFO", message=text,
            logger="flowjob.jobmanager",
        )  # fmt: skip
        self.logs.add("JobManager", [line], self.clock.monotonic())

    @property
    def restored(self) -> int | None:
        """The snapshot that tasks were last started from."""
        kind, _, number = (
            ("", "", "")
            if self.conductor is None
            else self.conductor.deployment.source.partition(" ")
        )
        return int(number) if kind in ("checkpoint", "savepoint") and number.isdigit() else None

    def path_of(self, entry: Entry) -> str | None:
        """Where a checkpoint is, that is complete and not retired."""
        service = None if self.conductor is None else self.conductor.checkpoints
        record = entry.record
        if service is None or record is None or record.status is not Status.COMPLETED:
            return None
        if record.savepoint is not None:
            return service.savepoint_place(record.savepoint)
        commit = service.store.state.find(entry.id)
        if commit is None:
            return None
        directory = service.store.paths.full(posixpath.dirname(commit.manifest))
        return f"{service.store.store.url.rstrip('/')}/{directory}"

    @property
    def attempt(self) -> int:
        """Of the region that was restarted last; 0: nothing runs yet."""
        machine = None if self.conductor is None else self.conductor.machine
        numbers = () if machine is None else machine.regions
        return max((self._counted(region.attempt) for region in numbers), default=0)

    def attempt_of(self, slot: int) -> int:
        """As people count them."""
        return (
            0 if self.conductor is None else self._counted(self.conductor.machine.attempt_of(slot))
        )

    def _counted(self, attempt: int) -> int:
        before = 0 if self.conductor is None else self.conductor.telling.attempts_before
        return (attempt - before) % ATTEMPTS_PER_GENERATION

    def _checkpoint_ended(self, entry: Entry) -> None:
        record = entry.record
        assert record is not None
        why = f": {record.reason}" if record.reason else ""
        text = f"{record.kind.value} {entry.id} {_ENDED[record.status]} after {record.duration:.1f} s{why}"
        topic: Topic = "snapshot" if record.savepoint else "checkpoint"
        self.changes.add(self.now, topic, text, checkpoint=entry.id)
        if record.status is Status.COMPLETED and entry.parts is not None:
            column = entry.parts[:, 4]
            for vertex in entry.layout.graph.vertices:
                table = self.tables.get(vertex.id)
                if table is not None and len(table.state) == vertex.parallelism:
                    table.state[:] = column[entry.layout.of_vertex(vertex.id, vertex.parallelism)]

    def _checkpoint_seconds(self) -> float | None:
        newest = self.checkpoints.newest_complete
        return None if newest is None or newest.record is None else newest.record.duration

    def _judge(self, outcome: Outcome, slot: int | None, *, ended: bool) -> None:
        if isinstance(outcome, Failed | Lost) and self.request is not None:
            result: Result = "Ended" if ended else "Restarted"
            self.exceptions.judged(outcome, result, self._at(slot), self.request.graph)

    def _at(self, slot: int | None) -> At:
        if slot is None or self.conductor is None:
            return At(self.now, self.attempt)
        record = self.conductor.machine.slots.get(slot)
        name = None if record is None else record.taskmanager
        return At(self.now, self.attempt_of(slot), slot, name)

    def _new_exception(self, facts: ExceptionFacts) -> None:
        self.changes.add(facts.at, "exception", facts.text)
        line = LogLine(
            sequence=0, at=facts.at, level="ERROR", logger="flowjob.jobmanager", message=facts.text,
            task_manager=facts.task_manager, slot=facts.slot, vertex=facts.vertex, operator=facts.operator,
            subtask=facts.subtask, attempt=facts.attempt, traceback=facts.traceback,
        )  # fmt: skip
        self.logs.add("JobManager", [line], self.clock.monotonic())

    def _output(self, slot: int, output: messages.SlotOutput) -> None:
        at = self._at(slot)
        stream: Literal["stdout", "stderr"] = "stderr" if output.stream == "stderr" else "stdout"
        common = LogLine(
            sequence=0, at=at.time, message="", source="Slot", stream=stream, slot=slot, attempt=at.attempt,
            task_manager=at.task_manager,
        )  # fmt: skip
        marks = output.marks or [None] * len(output.lines)
        names = self._names()
        said = [said_by(common, mark, text, names) for text, mark in zip(output.lines, marks)]
        self.logs.add(f"slot {slot}", said, self.clock.monotonic())

    def _names(self) -> dict[int, str]:
        """Of vertices."""
        vertices = () if self.request is None else self.request.graph.vertices
        return {vertex.id: vertex.name for vertex in vertices}


def said_by(line: LogLine, mark: Mark | None, text: str, names: Mapping[int, str]) -> LogLine:
    """A line of a slot, with what its mark says. `names`: of vertices."""
    line = replace(line, message=text)
    if mark is None:
        return line
    if mark.vertex >= 0:
        operator = names.get(mark.vertex)
        line = replace(line, vertex=mark.vertex, subtask=mark.subtask, operator=operator)
    return replace(line, level=mark.level, logger=mark.logger, stream="log") if mark.level else line
