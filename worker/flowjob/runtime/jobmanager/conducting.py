"""Carries out what the job machine says, and tells it what happens: from the first instruction to the last.

Everything that happens ends in `handle`, which is synchronous: sending is putting into an outbox, so decisions never
interleave. It must not know who leads, or how a job is taken over: that is manager.py's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec.structs

from flowjob.core.coordinator_events import Closed
from flowjob.core.failures import ErrorInfo
from flowjob.core.job_events import (
    CancelDeadline,
    CancelRequested,
    DeadlinePassed,
    Deploy,
    Deployed,
    EnumeratorFailed,
    Event,
    Finish,
    Instruction,
    Notice,
    ReplaceTaskManager,
    ResetTasks,
    Restarting,
    RestartRequested,
    Run,
    SetDeadline,
    SlotExited,
    SlotFailed,
    SlotReady,
    SlotStarted,
    StartEnumerators,
    StartSlot,
    StopSlot,
    TaskFinished,
    TaskId,
    TaskManagerLost,
    Tell,
    Wait,
)
from flowjob.core.job_machine import JobMachine, JobState
from flowjob.errors import DamagedSnapshot, ProtocolError
from flowjob.runtime import messages
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.adopting import Outcome
from flowjob.runtime.jobmanager.checkpoints import CheckpointService, Shell
from flowjob.runtime.jobmanager.cluster import Cluster
from flowjob.runtime.jobmanager.deploying import Deployment, Way
from flowjob.runtime.jobmanager.request import JobEvent, JobRequest, Listeners
from flowjob.runtime.jobmanager.sessions import Session, Sessions
from flowjob.runtime.jobmanager.shape import shape_of
from flowjob.runtime.jobmanager.splits import SplitService
from flowjob.runtime.jobmanager.telling import Telling, cause_of
from flowjob.runtime.outbox import cancel_all

_log = logging.getLogger("flowjob.jobmanager")


class Conductor:
    """Of one job under one JobManager. `finished` is called when the job has ended: `finish` then says how.

    job             what slots are told of it
    checkpoints     None: the job takes none
    silent          nothing is decided any more: somebody else does
    listener_error  what a listener raised
    """

    def __init__(
        self,
        env: Env,
        request: JobRequest,
        listeners: Listeners,
        sessions: Sessions,
        finished: Callable[[], None],
    ) -> None:
        self._env = env
        self._request = request
        self._listeners = listeners
        self._watcher = listeners.watcher
        self._sessions = sessions
        self._finished = finished
        self.job = request.job
        shape = shape_of(request.graph)
        self.machine = JobMachine(shape, request.timeouts, restarts=request.restarts)
        self.telling = Telling(env.clock, self.tell)
        self.splits = SplitService(env, request.graph, self._answer, self._enumerator_failed)
        way = Way(self.handle, self._to_slot)
        self.deployment = Deployment(env, request.graph, shape, self.splits, way)
        self.checkpoints: CheckpointService | None = None
        self.cluster: Cluster | None = None
        self.finish: Finish | None = None
        self.metrics: dict[TaskId, dict[str, Any]] = {}
        self.phases: dict[str, float] = {}
        self.listener_error: Exception | None = None
        self.began = 0.0
        self.silent = False
        self._deadlines: dict[tuple[Wait, int], asyncio.Task[None]] = {}

    def shell(self, broken: Callable[[Exception], None]) -> Shell:
        """For checkpoints. `broken`: this JobManager leads no more."""
        return Shell(
            send=self._to_running_slot,
            slots=lambda: list(self.machine.slots),
            happened=self.handle,
            tell=self.tell,
            broken=broken,
        )

    def follow(self, former: Conductor) -> None:
        """Goes on counting where the one before has stopped."""
        self.cluster, self.began, self.phases = former.cluster, former.began, former.phases
        self.listener_error = former.listener_error

    def start(self, attempt: int, *, saved: bool, found: Outcome | None) -> None:
        """Everything is known: no waiting from here to the first instructions. `found`: what another JobManager has
        left."""
        self._watcher.began(self, self._request)
        self.deployment.go_on({} if found is None else found.tasks)
        takeover = None if found is None else found.takeover
        self._apply(self.machine.start(attempt, saved=saved, found=takeover))
        if found is None:
            return
        for name, slot, old in found.stop:
            kill = messages.StopSlot(slot=slot, attempt=old, reason="it is not wanted", grace=0.0)
            self._sessions.send(name, kill)
        if self.checkpoints is not None:
            self.checkpoints.took_over(found.highest, going_on=bool(found.tasks))
        self.look(None)
        for name, message in found.held:
            self.received(name, message)

    async def close(self) -> None:
        await self.deployment.close()
        await self.splits.close()

    async def close_deadlines(self) -> None:
        """The last thing: processes may still be waited for."""
        await cancel_all(list(self._deadlines.values()))

    # What happens

    def handle(self, event: Event) -> None:
        """Decides, and does what was decided; nothing any more once `silent`."""
        if self.silent:
            return
        self._watcher.happened(event)
        before = self.machine.state
        clock, chance = self._env.clock, self._env.random
        self._apply(self.machine.handle(event, clock.monotonic(), chance.random()))
        self.look(before)

    def look(self, before: JobState | None) -> None:
        """At the job's state, which may be another one now."""
        after = self.machine.state
        if after is JobState.RUNNING:
            self.deployment.running()
        if after is not before:
            self.phases[after.value] = self._env.clock.monotonic() - self.began
            if after is JobState.STOPPING and self.checkpoints is not None:
                self.checkpoints.handle(Closed("the job is ending"))
            self._watcher.changed(after)
            if self._listeners.on_state is not None:
                self._call(self._listeners.on_state, after)

    def process_exited(self, name: str, reason: str) -> None:
        """A TaskManager's process has ended."""
        self.handle(TaskManagerLost(name, reason, fatal=True))

    def _enumerator_failed(self, vertex: int, error: ErrorInfo) -> None:
        self.handle(EnumeratorFailed(vertex, error))

    def received(self, name: str, message: messages.ToJobManager) -> None:
        """A TaskManager's message."""
        if isinstance(message, messages.TaskManagerAlive):
            self._watcher.said(name, message)
            return
        slot = getattr(message, "slot", -1)
        record = self.machine.slots.get(slot)
        attempt = self.machine.attempt_of(slot)
        if message.attempt != attempt or record is None or record.taskmanager != name:
            # The last words of a slot that was given up: nobody has to read of them.
            _log.info("dropped %s of %s: not of this attempt", type(message).__name__, name)
            return
        match message:
            case messages.SlotForked(pid=pid):
                self.handle(SlotStarted(slot, message.attempt, pid))
            case messages.SlotGone(reason=reason, last_output=lines):
                self.handle(SlotExited(slot, message.attempt, reason, tuple(lines)))
            case messages.SlotOutput(stream=stream, lines=lines):
                self._watcher.heard(slot, message)
                if self._listeners.on_output is not None:
                    self._call(self._listeners.on_output, slot, stream, lines)
            case messages.SlotSilent(seconds=seconds):
                _log.warning(
                    "%s has been silent for %.0f s; its stacks are in its output",
                    record.label,
                    seconds,
                )
            case messages.FromSlot(body=body):
                self._from_slot(slot, messages.from_slot.decode(body))
            case _:
                raise ProtocolError(f"{type(message).__name__} from a registered TaskManager")

    def _from_slot(self, slot: int, message: messages.FromSlotBody) -> None:
        attempt = message.attempt
        if (message.generation, attempt) != (
            self._sessions.generation,
            self.machine.attempt_of(slot),
        ):
            return
        self._watcher.heard(slot, message)
        match message:
            case messages.SlotIsReady(address=address):
                self.handle(SlotReady(slot, attempt, address))
            case messages.TasksDeployed():
                self.handle(Deployed(slot, attempt))
            case messages.TaskDone(task=task):
                self.handle(TaskFinished(slot, attempt, task))
            case messages.SlotError(error=error):
                self._slot_failed(slot, attempt, error)
            case messages.RequestSplits(task=task):
                self.splits.asked(task)
            case messages.SinkReport(sink=sink, data=data):
                if self._listeners.on_report is not None:
                    self._call(self._listeners.on_report, sink, data)
            case messages.MetricsReport(tasks=tasks):
                self.metrics.update((t.task, t.values) for t in tasks)
                if tasks and self._listeners.on_metrics is not None:
                    self._call(self._listeners.on_metrics, self.metrics)
            case _:
                self.deployment.received(message)

    def _slot_failed(self, slot: int, attempt: int, error: ErrorInfo) -> None:
        """What a snapshot lacks, another one may have."""
        service = self.checkpoints if error.code == DamagedSnapshot.code else None
        if service is not None and service.found_damaged(error.message):
            self.handle(RestartRequested(f"the snapshot cannot be read: {error.message}"))
        else:
            self.handle(SlotFailed(slot, attempt, error))

    def taskmanagers(self) -> list[Session]:
        """Those that are there."""
        return self._sessions.here()

    def _call(self, listener: Callable[..., object], *arguments: object) -> None:
        """A listener's exception is its client's own: the job is stopped for it, and `run` raises it."""
        if self.listener_error is not None:
            return
        try:
            listener(*arguments)
        except Exception as error:  # noqa: BLE001 - carried to the client, see above
            self.listener_error = error
            self.handle(CancelRequested(f"a listener stopped it: {error!r}"))

    # What to do

    def _apply(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            self._apply_one(instruction)

    def _apply_one(self, instruction: Instruction) -> None:
        match instruction:
            case StartSlot(taskmanager, slot, attempt):
                launch = self._launch(taskmanager, slot, attempt)
                self._sessions.send(
                    taskmanager, messages.StartSlot(slot=slot, attempt=attempt, launch=launch)
                )
            case Deploy():
                self.deployment.deploy(instruction)
            case Run(taskmanager, slot, attempt):
                self._to_slot(taskmanager, slot, messages.RunTasks(attempt=attempt))
            case StopSlot(taskmanager, slot, attempt, reason, kill):
                grace = 0.0 if kill else self._request.stop_grace
                stop = messages.StopSlot(slot=slot, attempt=attempt, reason=reason, grace=grace)
                self._sessions.send(taskmanager, stop)
            case StartEnumerators():
                self.splits.start()
            case ResetTasks(slots, tasks):
                self._watcher.reset(tasks)
                for task in tasks:
                    self.metrics.pop(task, None)
                self.deployment.reset(slots, tasks)
            case ReplaceTaskManager(name):
                assert self.cluster is not None
                self.cluster.replace(name)
            case Tell(notice):
                self._notice(notice)
            case SetDeadline(wait, seconds, region):
                self._clear_deadline(wait, region)
                waiting = asyncio.ensure_future(self._deadline(wait, seconds, region))
                self._deadlines[wait, region] = waiting
            case CancelDeadline(wait, region):
                self._clear_deadline(wait, region)
            case Finish():
                self.finish = instruction
                self._watcher.finished(instruction)
                self._finished()

    def _launch(self, taskmanager: str, slot: int, attempt: int) -> bytes:
        host = self._sessions.host_of(taskmanager)
        launch = messages.Launch(
            slot=slot,
            host=host,
            job=self.job,
            attempt=attempt,
            generation=self._sessions.generation,
        )
        return messages.to_slot.encode(launch)

    def _to_slot(self, taskmanager: str, slot: int, message: messages.ToSlotBody) -> None:
        body = messages.to_slot.encode(messages.stamped(message, self._sessions.generation))
        self._sessions.send(
            taskmanager, messages.ToSlot(slot=slot, body=body, attempt=message.attempt)
        )

    def _answer(self, task: TaskId, splits: list[messages.WireSplit], complete: bool) -> None:
        answer = messages.AssignSplits(task=task, splits=splits, complete=complete)
        self._to_running_slot(task.subtask, answer)  # slot sharing: subtask i is in slot i
        if self.machine.state is JobState.RUNNING:
            self.deployment.running()

    def ask_inventory(self, taskmanager: str, slot: int, attempt: int) -> None:
        """Has a slot of another JobManager say what it has."""
        self._to_slot(taskmanager, slot, messages.ReportTasks(attempt=attempt))

    def _to_running_slot(self, slot: int, message: messages.ToSlotBody) -> None:
        record = self.machine.slots.get(slot)
        if record is not None:
            attempt = self.machine.attempt_of(slot)
            stamped = msgspec.structs.replace(message, attempt=attempt)
            self._to_slot(record.taskmanager, slot, stamped)

    def _notice(self, notice: Notice) -> None:
        self._watcher.noticed(notice)
        if isinstance(notice, Restarting) and self.checkpoints is not None:
            self.checkpoints.tasks_failed(cause_of(notice.cause))
        self.telling.source = self.deployment.source
        self.telling.notice(notice)

    def tell(self, event: JobEvent) -> None:
        """Whoever watches."""
        _log.info("%s", event.text)
        self._watcher.told(event)
        if self._listeners.on_event is not None:
            self._call(self._listeners.on_event, event)

    def _clear_deadline(self, wait: Wait, region: int) -> None:
        task = self._deadlines.pop((wait, region), None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _deadline(self, wait: Wait, seconds: float, region: int) -> None:
        await self._env.clock.sleep(seconds)
        self.handle(DeadlinePassed(wait, region))
