"""The JobManager of one job: carries out what the job machine says, and tells it what happens.

Everything that happens ends in `_handle`, which is synchronous: sending is putting into an outbox, so decisions never
interleave. It reaches TaskManagers through Sessions, and the processes themselves only through a Cluster."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec.structs

from flowjob.core.coordinator_events import Closed
from flowjob.core.failures import ErrorInfo
from flowjob.core.heartbeats import HeartbeatMonitor
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
    TaskManagerRegistered,
    Tell,
    Wait,
)
from flowjob.core.job_machine import JobMachine, JobState
from flowjob.errors import ProtocolError
from flowjob.runtime import messages
from flowjob.runtime.env import Env
from flowjob.runtime.failures import to_exception
from flowjob.runtime.jobmanager.asking import (
    Answering,
    publish,
    refuse_a_second,
    unpublish,
)
from flowjob.runtime.jobmanager.checkpoints import Shell
from flowjob.runtime.jobmanager.deploying import Deployment, Way
from flowjob.runtime.jobmanager.leading import Lead, take_lead
from flowjob.runtime.jobmanager.request import Enough, JobEvent, JobRequest, JobResult, Listeners
from flowjob.runtime.jobmanager.sessions import Sessions
from flowjob.runtime.jobmanager.shape import shape_of
from flowjob.runtime.jobmanager.splits import SplitService
from flowjob.runtime.jobmanager.telling import Telling, cause_of
from flowjob.runtime.outbox import cancel_all

_log = logging.getLogger("flowjob.jobmanager")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a TaskManager needs to find its JobManager."""

    url: str
    token: str


class Cluster(Protocol):
    """Who makes TaskManagers: MiniCluster on this machine; elsewhere they come by themselves."""

    async def start(self, endpoint: Endpoint, exited: Callable[[str, str], None]) -> None:
        """Starts TaskManagers; `exited(name, reason)` is called when one's process ends."""
        ...

    def replace(self, name: str) -> None:
        """Ends what is left of this TaskManager, and starts another of that name soon."""
        ...

    async def stop(self) -> None:
        """Returns when none of its processes lives."""
        ...


class JobManager:
    """`run` once."""

    def __init__(self, env: Env, request: JobRequest, listeners: Listeners | None = None) -> None:
        self._env = env
        self._request = request
        self._listeners = listeners or Listeners()
        shape = shape_of(request.graph)
        self._machine = JobMachine(shape, request.timeouts, restarts=request.restarts)
        self._telling = Telling(env.clock, self._tell)
        self._answering = Answering(env, lambda: self._machine.state.value, self.cancel)
        interval, timeout = request.heartbeat_interval, request.heartbeat_timeout
        self._sessions = Sessions(
            env,
            monitor=HeartbeatMonitor(interval=interval, timeout=timeout),
            registered=lambda name, slots: self._handle(TaskManagerRegistered(name, slots)),
            lost=lambda name, reason: self._handle(TaskManagerLost(name, reason)),
            received=self._received,
            asked=self._answering.answer,
        )
        self._splits = SplitService(env, request.graph, self._answer, self._enumerator_failed)
        way = Way(self._handle, self._to_slot)
        self._deployment = Deployment(env, request.graph, shape, self._splits, way)
        self._lead: Lead | None = None
        self._error: Exception | None = None
        self._deadlines: dict[tuple[Wait, int], asyncio.Task[None]] = {}
        self._finished: asyncio.Event = asyncio.Event()
        self._finish: Finish | None = None
        self._metrics: dict[TaskId, dict[str, Any]] = {}
        self._phases: dict[str, float] = {}
        self._listener_error: Exception | None = None
        self._cluster: Cluster | None = None
        self._began = 0.0

    @property
    def state(self) -> JobState:
        return self._machine.state

    def metrics(self) -> dict[TaskId, dict[str, Any]]:
        """The latest totals of every task."""
        return dict(self._metrics)

    def cancel(self, reason: str) -> None:
        """Stops the job; a second call kills what has not stopped yet. `run` then raises JobCancelled."""
        self._handle(CancelRequested(reason))

    async def run(self, cluster: Cluster) -> JobResult:
        """Runs the job to its end and stops the cluster. Raises JobFailed and its kin."""
        clock, token = self._env.clock, self._env.random.token()
        self._cluster = cluster
        self._began = clock.monotonic()
        at = self._request.host, self._request.port
        try:
            await self._take_lead()
        except BaseException:
            await cluster.stop()
            raise
        listener = await self._env.control.serve(*at, token, self._sessions.serve)
        beating = asyncio.ensure_future(self._sessions.beat())
        try:
            lead = self._lead
            before = 0 if lead is None else lead.attempts_before
            saved = lead is None or lead.initial is not None
            self._apply(self._machine.start(before + 1, saved=saved))
            host, port = listener.address
            endpoint = Endpoint(f"ws://{host}:{port}", token)
            await publish(self._env, self._request, endpoint.url, token)
            await cluster.start(endpoint, self._process_exited)
            await self._finished.wait()
        finally:
            self._sessions.end("the job has ended")
            await self._deployment.close()
            await self._splits.close()
            if self._lead is not None:
                await self._lead.checkpoints.close("the job has ended")
            await cluster.stop()
            await cancel_all([beating, *self._deadlines.values()])
            await unpublish(self._env, self._request, token)
            await listener.close()
        return self._result(clock.monotonic() - self._began)

    async def _take_lead(self) -> None:
        await refuse_a_second(self._env, self._request)
        shell = Shell(
            send=self._to_running_slot,
            slots=lambda: list(self._machine.slots),
            happened=self._handle,
            tell=self._tell,
            broken=self._broken,
        )
        lead = self._lead = await take_lead(self._env, self._request, shell)
        if lead is not None:
            job = msgspec.structs.replace(self._request.job, run_id=lead.run)
            self._request = dataclasses.replace(self._request, job=job)
            self._answering.checkpoints = lead.checkpoints
            self._sessions.generation = lead.generation
            self._telling.attempts_before = lead.attempts_before
            await self._deployment.begin(lead.checkpoints, lead.initial)

    def _broken(self, error: Exception) -> None:
        """This JobManager must not go on: another one leads."""
        self._error = self._error or error
        self._handle(CancelRequested(str(error)))

    def _result(self, seconds: float) -> JobResult:
        assert self._finish is not None
        if self._error is not None:
            raise self._error
        enough = isinstance(self._listener_error, Enough)
        if self._listener_error is not None and not enough:
            raise self._listener_error
        failure = to_exception(self._finish.outcome, self._finish.unstopped)
        if failure is not None and not enough:
            raise failure
        job = self._request.job
        return JobResult(
            job.name, job.run_id, seconds, self._metrics, self._phases, complete=not enough
        )

    # What happens

    def _handle(self, event: Event) -> None:
        before = self._machine.state
        clock, chance = self._env.clock, self._env.random
        self._apply(self._machine.handle(event, clock.monotonic(), chance.random()))
        after = self._machine.state
        if after is JobState.RUNNING:
            self._deployment.running()
        if after is not before:
            self._phases[after.value] = self._env.clock.monotonic() - self._began
            if after is JobState.STOPPING and self._lead is not None:
                self._lead.checkpoints.handle(Closed("the job is ending"))
            if self._listeners.on_state is not None:
                self._call(self._listeners.on_state, after)

    def _process_exited(self, name: str, reason: str) -> None:
        self._handle(TaskManagerLost(name, reason, fatal=True))

    def _enumerator_failed(self, vertex: int, error: ErrorInfo) -> None:
        self._handle(EnumeratorFailed(vertex, error))

    def _received(self, name: str, message: messages.ToJobManager) -> None:
        slot = getattr(message, "slot", -1)
        record = self._machine.slots.get(slot)
        attempt = self._machine.attempt_of(slot)
        if message.attempt != attempt or record is None or record.taskmanager != name:
            _log.warning("dropped %s of %s: not of this attempt", type(message).__name__, name)
            return
        match message:
            case messages.SlotForked(pid=pid):
                self._handle(SlotStarted(slot, message.attempt, pid))
            case messages.SlotGone(reason=reason, last_output=lines):
                self._handle(SlotExited(slot, message.attempt, reason, tuple(lines)))
            case messages.SlotOutput(stream=stream, lines=lines):
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
            self._machine.attempt_of(slot),
        ):
            return
        match message:
            case messages.SlotIsReady(address=address):
                self._handle(SlotReady(slot, attempt, address))
            case messages.TasksDeployed():
                self._handle(Deployed(slot, attempt))
            case messages.TaskDone(task=task):
                self._handle(TaskFinished(slot, attempt, task))
            case messages.SlotError(error=error):
                self._handle(SlotFailed(slot, attempt, error))
            case messages.RequestSplits(task=task):
                self._splits.asked(task)
            case messages.SinkReport(sink=sink, data=data):
                if self._listeners.on_report is not None:
                    self._call(self._listeners.on_report, sink, data)
            case messages.MetricsReport(tasks=tasks):
                self._metrics.update((t.task, t.values) for t in tasks)
                if tasks and self._listeners.on_metrics is not None:
                    self._call(self._listeners.on_metrics, self._metrics)
            case _:
                self._deployment.received(message)

    def _call(self, listener: Callable[..., object], *arguments: object) -> None:
        """A listener's exception is its client's own: the job is stopped for it, and `run` raises it."""
        if self._listener_error is not None:
            return
        try:
            listener(*arguments)
        except Exception as error:  # noqa: BLE001 - carried to the client, see above
            self._listener_error = error
            self._handle(CancelRequested(f"a listener stopped it: {error!r}"))

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
                self._deployment.deploy(instruction)
            case Run(taskmanager, slot, attempt):
                self._to_slot(taskmanager, slot, messages.RunTasks(attempt=attempt))
            case StopSlot(taskmanager, slot, attempt, reason, kill):
                grace = 0.0 if kill else self._request.stop_grace
                stop = messages.StopSlot(slot=slot, attempt=attempt, reason=reason, grace=grace)
                self._sessions.send(taskmanager, stop)
            case StartEnumerators():
                self._splits.start()
            case ResetTasks(slots, tasks):
                for task in tasks:
                    self._metrics.pop(task, None)
                self._deployment.reset(slots, tasks)
            case ReplaceTaskManager(name):
                assert self._cluster is not None
                self._cluster.replace(name)
            case Tell(notice):
                self._notice(notice)
            case SetDeadline(wait, seconds, region):
                self._clear_deadline(wait, region)
                waiting = asyncio.ensure_future(self._deadline(wait, seconds, region))
                self._deadlines[wait, region] = waiting
            case CancelDeadline(wait, region):
                self._clear_deadline(wait, region)
            case Finish():
                self._finish = instruction
                self._finished.set()

    def _launch(self, taskmanager: str, slot: int, attempt: int) -> bytes:
        host = self._sessions.host_of(taskmanager)
        launch = messages.Launch(
            slot=slot,
            host=host,
            job=self._request.job,
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

    def _to_running_slot(self, slot: int, message: messages.ToSlotBody) -> None:
        record = self._machine.slots.get(slot)
        if record is not None:
            attempt = self._machine.attempt_of(slot)
            stamped = msgspec.structs.replace(message, attempt=attempt)
            self._to_slot(record.taskmanager, slot, stamped)

    def _notice(self, notice: Notice) -> None:
        if isinstance(notice, Restarting) and self._lead is not None:
            self._lead.checkpoints.tasks_failed(cause_of(notice.cause))
        self._telling.source = self._deployment.source
        self._telling.notice(notice)

    def _tell(self, event: JobEvent) -> None:
        _log.info("%s", event.text)
        if self._listeners.on_event is not None:
            self._call(self._listeners.on_event, event)

    def _clear_deadline(self, wait: Wait, region: int) -> None:
        task = self._deadlines.pop((wait, region), None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _deadline(self, wait: Wait, seconds: float, region: int) -> None:
        await self._env.clock.sleep(seconds)
        self._handle(DeadlinePassed(wait, region))


async def run_job(
    env: Env, cluster: Cluster, request: JobRequest, listeners: Listeners | None = None
) -> JobResult:
    """Runs one job on a cluster. Raises JobFailed and its kin."""
    return await JobManager(env, request, listeners).run(cluster)
