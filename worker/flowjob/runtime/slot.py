"""A slot: one process (or, simulated, one coroutine) that runs its share of a job's tasks for one attempt.

It rebuilds the job, refuses when its plan differs from the JobManager's, and then does what it is told: deploy, run,
stop. What running means is a TaskRunner's business; processes and sockets are runtime/real/slot_process.py's."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec.structs

from flowjob.core.job_events import Address, TaskId, TaskPlace
from flowjob.errors import PlanError, ProtocolError
from flowjob.runtime import messages
from flowjob.runtime.checkpoint.manifest import TaskSnapshot
from flowjob.runtime.env import ControlConnection, Env, StoreLocation
from flowjob.runtime.failures import describe
from flowjob.runtime.job_description import EntrypointSource, JobDescription, JobSource
from flowjob.runtime.messages import (
    AbortSnapshot,
    AssignSplits,
    CommitSnapshot,
    DeployTasks,
    Launch,
    MetricsReport,
    ReleaseTasks,
    ReportTasks,
    RequestSplits,
    RunTasks,
    SinkReport,
    SlotError,
    SlotInventory,
    SlotIsReady,
    SnapshotCommitted,
    SnapshotDeclined,
    SnapshotTaken,
    StopTasks,
    TaskDone,
    TaskEnded,
    TaskInventory,
    TaskMetrics,
    TasksDeployed,
    TriggerSnapshot,
)
from flowjob.runtime.outbox import Outbox, cancel_all, first_of

if TYPE_CHECKING:
    from flowjob.job import Job
    from flowjob.plan.job_graph import JobGraph

Metrics = Mapping[TaskId, Mapping[str, Any]]
"""Totals per task, msgpack-able."""

SnapshotOrder = TriggerSnapshot | AbortSnapshot | CommitSnapshot | ReleaseTasks
"""What the JobManager wants of snapshots."""


@dataclass(frozen=True, slots=True)
class RestoreFrom:
    """The name of a snapshot's manifest in the store at `location`; None: in the job's own."""

    manifest: str
    location: StoreLocation | None = None


class TaskRunner(Protocol):
    """What a slot does with its tasks. Methods are called in this order, each once; `close` in any case."""

    async def open(self) -> Address:
        """Starts listening for data; peers connect once all slots have prepared."""
        ...

    async def prepare(
        self, tasks: list[TaskId], places: list[TaskPlace], restore: RestoreFrom | None = None
    ) -> None:
        """Builds its `tasks`; `places` says where every task of the job runs, `restore` the manifest of the snapshot
        to begin from."""
        ...

    async def run(self) -> None:
        """Connects to its peers and runs until all tasks have finished, each told by `control.task_finished`. Raises
        what a task raised: UserCodeFailed for user functions, ConnectionError for a lost peer. Cancelled when the job
        is stopped."""
        ...

    def obey(self, message: SnapshotOrder) -> None:
        """At any time after `prepare`, also while it runs."""
        ...

    def metrics(self) -> Metrics: ...

    def inventory(self) -> tuple[list[TaskInventory], int]:
        """Its tasks as they are, and the newest snapshot that was triggered: for a JobManager that takes over."""
        ...

    async def close(self) -> None:
        """Releases everything, also after a failure or a cancellation."""
        ...


@dataclass(frozen=True, slots=True)
class SlotContext:
    """What a TaskRunner is made of: `Runner(context)`."""

    env: Env
    slot: int
    attempt: int
    generation: int
    host: str
    job: JobDescription
    graph: JobGraph
    control: SlotControl


@dataclass(frozen=True, slots=True)
class Assigned:
    """Splits for a source task. `complete`: it will never get another one and must not ask again."""

    splits: list[messages.WireSplit]
    complete: bool


class SlotControl:
    """The tasks' way to the JobManager."""

    def __init__(self, outbox: Outbox, generation: int, attempt: int) -> None:
        self._outbox = outbox
        self._stamp = {"generation": generation, "attempt": attempt}
        self.generation = generation
        self._asked: dict[TaskId, Callable[[Assigned], None]] = {}
        self.metrics: Callable[[], Metrics] = dict

    def ask_splits(self, vertex: int, subtask: int, deliver: Callable[[Assigned], None]) -> None:
        """Asks for splits. `deliver` is called, before any later message is read, when there are some or no more will
        come. One question at a time per task."""
        task = TaskId(vertex, subtask)
        asked_before = task in self._asked
        self._asked[task] = deliver
        if not asked_before:
            self.send(RequestSplits(task=task, **self._stamp))

    async def next_splits(self, vertex: int, subtask: int) -> Assigned:
        """The same, waiting for the answer."""
        answer: asyncio.Future[Assigned] = asyncio.get_running_loop().create_future()
        self.ask_splits(vertex, subtask, answer.set_result)
        return await answer

    def assigned(self, message: AssignSplits) -> None:
        """The JobManager's answer."""
        deliver = self._asked.pop(TaskId(*message.task), None)
        if deliver is None:
            raise ProtocolError(f"splits for {message.task}, which has not asked")
        deliver(Assigned(message.splits, message.complete))

    def report(self, vertex: int, subtask: int, sink: str, data: bytes) -> Awaitable[None] | None:
        """Bytes for whoever watches the job. Await what it returns, when it does, before reporting more."""
        self.send(SinkReport(task=TaskId(vertex, subtask), sink=sink, data=data, **self._stamp))
        return self._outbox.room() if self._outbox.full else None

    def task_finished(self, vertex: int, subtask: int) -> None:
        """The task has ended well; its last metrics go first."""
        self.send_metrics(final=True)
        self.send(TaskDone(task=TaskId(vertex, subtask), **self._stamp))

    def task_ended(self, vertex: int, subtask: int) -> None:
        """The task has nothing more to do but for its last commit."""
        self.send_metrics(final=True)
        self.send(TaskEnded(task=TaskId(vertex, subtask), **self._stamp))

    def snapshot_taken(self, checkpoint: int, snapshot: TaskSnapshot) -> None:
        self.send(SnapshotTaken(checkpoint=checkpoint, snapshot=snapshot, **self._stamp))

    def snapshot_declined(self, checkpoint: int, task: TaskId, reason: str) -> None:
        self.send(SnapshotDeclined(checkpoint=checkpoint, task=task, reason=reason, **self._stamp))

    def snapshot_committed(self, checkpoint: int, task: TaskId) -> None:
        self.send(SnapshotCommitted(checkpoint=checkpoint, task=task, **self._stamp))

    def failed(self, error: BaseException) -> None:
        self.send_metrics(final=True)
        self.send(SlotError(error=describe(error), **self._stamp))

    def send_metrics(self, *, final: bool = False) -> None:
        tasks = [TaskMetrics(TaskId(*t), dict(values)) for t, values in self.metrics().items()]
        if tasks or not final:  # without tasks it is still a sign of life
            self.send(MetricsReport(tasks=tasks, final=final, **self._stamp))

    def report_to(self, generation: int, inventory: SlotInventory) -> None:
        """A new JobManager wants to know what is here; what the last one was asked, and has not answered, it is asked
        again."""
        self.generation = self._stamp["generation"] = generation
        self.send(msgspec.structs.replace(inventory, **self._stamp))
        for task in self._asked:
            self.send(RequestSplits(task=task, **self._stamp))

    def ready(self, address: Address, digest: str) -> None:
        self.send(SlotIsReady(address=address, digest=digest, **self._stamp))

    def deployed(self) -> None:
        self.send(TasksDeployed(**self._stamp))

    def send(self, message: messages.FromSlotBody) -> None:
        self._outbox.put(messages.from_slot.encode(message))


class Orphaned(Exception):
    """The TaskManager is gone; nothing is worth closing properly."""


class Slot:
    """One attempt's life behind `connection`."""

    def __init__(self, env: Env, connection: ControlConnection) -> None:
        self._env = env
        self._connection = connection
        self._outbox = Outbox()
        self._runner: TaskRunner | None = None
        self._work: asyncio.Future[None] | None = None
        self._address: Address | None = None
        self._at_work = False

    async def run(self) -> None:
        """Returns when told to stop and closed. Raises Orphaned when the other side is gone."""
        first = await self._connection.receive()
        if first is None:
            raise Orphaned
        launch = messages.to_slot.decode(first)
        if not isinstance(launch, Launch):
            raise ProtocolError(f"{type(launch).__name__} in place of Launch")
        control = SlotControl(self._outbox, launch.generation, launch.attempt)
        try:
            await first_of(
                self._outbox.run(self._connection),
                self._send_metrics(control, launch.job.metrics_interval),
                self._obey(launch, control),
            )
        except ConnectionError as error:
            raise Orphaned from error

    async def _obey(self, launch: Launch, control: SlotControl) -> None:
        self._begin(self._open(launch, control), control)
        while (data := await self._connection.receive()) is not None:
            message = messages.to_slot.decode(data)
            newer = isinstance(message, ReportTasks) and message.generation >= control.generation
            if message.attempt != launch.attempt or (
                message.generation != control.generation and not newer
            ):
                continue
            match message:
                case DeployTasks():
                    self._begin(self._prepare(message, control), control)
                case RunTasks():
                    self._at_work = True
                    self._begin(self._run_tasks(), control)
                case ReportTasks(generation=generation):
                    self._report(generation, launch.job, control)
                case AssignSplits():
                    control.assigned(message)
                case TriggerSnapshot() | AbortSnapshot() | CommitSnapshot() | ReleaseTasks():
                    if self._runner is not None:
                        self._runner.obey(message)
                case StopTasks():
                    await self._stop()
                    return
                case Launch():
                    raise ProtocolError("a second Launch")
        raise Orphaned

    def _begin(self, step: Awaitable[None], control: SlotControl) -> None:
        """Runs the next step beside the reading of messages; its failure is reported, and the slot then waits."""
        previous = self._work

        async def work() -> None:
            if previous is not None:
                await previous
            try:
                await step
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, the JobManager must hear of it
                self._at_work = False
                control.failed(error)
                await asyncio.Event().wait()  # until stopped: no later step may run

        self._work = asyncio.ensure_future(work())

    async def _open(self, launch: Launch, control: SlotControl) -> None:
        graph = rebuild(launch.job)
        context = SlotContext(
            env=self._env,
            slot=launch.slot,
            attempt=launch.attempt,
            generation=launch.generation,
            host=launch.host,
            job=launch.job,
            graph=graph,
            control=control,
        )
        self._runner = _resolve(launch.job.runner)(context)
        control.metrics = self._runner.metrics
        self._address = await self._runner.open()
        control.ready(self._address, launch.job.digest)

    def _report(self, generation: int, job: JobDescription, control: SlotControl) -> None:
        tasks, highest = ([], 0) if self._runner is None else self._runner.inventory()
        inventory = SlotInventory(
            run_id=job.run_id,
            digest=job.digest,
            running=self._at_work,
            address=self._address,
            highest=highest,
            tasks=tasks,
        )
        control.report_to(generation, inventory)

    async def _prepare(self, deploy: DeployTasks, control: SlotControl) -> None:
        assert self._runner is not None
        restore = None
        if deploy.restore is not None:
            restore = RestoreFrom(deploy.restore, deploy.restore_location)
        await self._runner.prepare(deploy.tasks, deploy.places, restore)
        control.deployed()

    async def _run_tasks(self) -> None:
        assert self._runner is not None
        await self._runner.run()
        self._at_work = False

    async def _stop(self) -> None:
        if self._work is not None:
            await cancel_all([self._work])
        if self._runner is not None:
            await self._runner.close()
        await self._outbox.flushed()

    async def _send_metrics(self, control: SlotControl, interval: float) -> None:
        while True:
            await self._env.clock.sleep(interval)
            if not self._outbox.full:
                control.send_metrics()


def rebuild(job: JobDescription) -> JobGraph:
    """The job graph, made here from the user's program. Raises PlanError, with the difference, when it is not the
    one the JobManager has."""
    program = load_job(job.source)  # first: it brings the module search path
    if job.max_parallelism is not None:
        program.max_parallelism = job.max_parallelism
    planner = importlib.import_module(job.planner)
    graph: JobGraph = planner.compile_job(program, parallelism=job.parallelism)
    digest = planner.digest(graph)
    if digest != job.digest:
        text = planner.job_graph_text(graph)
        diff = difflib.unified_diff(
            job.explain.splitlines(),
            text.splitlines(),
            "in the JobManager",
            "in this worker",
            lineterm="",
            n=2,
        )
        shown = "\n".join(diff) or f"(no visible difference; digests {job.digest} and {digest})"
        raise PlanError(
            "this worker builds another plan from the job than the JobManager did. A job must come out the same in "
            "every process: it must not depend on time, chance, environment or the order of sets.\n"
            + shown
        )
    return graph


def load_job(source: JobSource) -> Job:
    """The client's Job, after taking over its module search path and directory. Raises what the user's code does."""
    if source.directory is not None:
        os.chdir(source.directory)
    if isinstance(source, EntrypointSource):
        from flowjob.entrypoint import Entrypoint, load

        return load(Entrypoint(source.target, source.args, tuple(source.sys_path)))
    import cloudpickle

    sys.path[:0] = [path for path in source.sys_path if path not in sys.path]
    job: Job = cloudpickle.loads(
        source.data
    )  # from our own client, over an authenticated connection
    return job


def _resolve(path: str) -> Callable[[SlotContext], TaskRunner]:
    module, _, attribute = path.partition(":")
    factory: Callable[[SlotContext], TaskRunner] = getattr(
        importlib.import_module(module), attribute
    )
    return factory
