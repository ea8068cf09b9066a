"""A whole cluster on this machine: JobManager in this process, TaskManagers and slots as its children.

The same processes and messages as anywhere else; only who starts the TaskManagers differs. `run_local` is the
synchronous front door that `job.run()`, `stream.preview()` and `flowjob run` use."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from flowjob.checkpointing import DEFAULT_LOCATION, Checkpoints
from flowjob.core.checkpoint_settings import Mode
from flowjob.core.job_events import Timeouts
from flowjob.core.restartable import RestartStrategy
from flowjob.errors import PlanError
from flowjob.runtime.env import Env, OwnedProcess, StoreLocation
from flowjob.runtime.job_description import (
    CheckpointPlan,
    EntrypointSource,
    JobDescription,
    JobSource,
    PickledSource,
)
from flowjob.runtime.jobmanager.asking import CONTROL_FILE
from flowjob.runtime.jobmanager.manager import Endpoint, JobManager
from flowjob.runtime.jobmanager.request import JobRequest, JobResult, Listeners, StartFrom
from flowjob.runtime.outbox import cancel_all
from flowjob.runtime.storage.paths import JobPaths

if TYPE_CHECKING:
    from flowjob.job import Job
    from flowjob.runtime.observing.local_hosting import LocalRun, Serve

EXIT_WITHIN = 3.0
"""Seconds a TaskManager gets to end after it was told to; then it is killed."""


class MiniCluster:
    """A manager.Cluster of `taskmanagers` child processes with `slots` slots each.

    `started`: TaskManager processes that already run and wait for their settings (see real/processes.py); missing ones
    are launched. Scratch space is `env.directory`/<name>."""

    def __init__(
        self,
        env: Env,
        *,
        taskmanagers: int = 1,
        slots: int = 1,
        started: Sequence[OwnedProcess] = (),
        stuck_after: float = 600.0,
    ) -> None:
        self.env = env
        self._count = self._asked = taskmanagers
        self._slots = slots
        self._waiting = list(started)
        self._stuck_after = stuck_after
        self._processes: dict[str, OwnedProcess] = {}
        self._lives: dict[str, int] = {}
        self._slots_of: dict[str, int] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._replacing: dict[str, asyncio.Task[None]] = {}
        self._endpoint: Endpoint | None = None
        self._exited: Callable[[str, str], None] = _nobody
        self._stopping = False

    async def start(self, endpoint: Endpoint, exited: Callable[[str, str], None]) -> None:
        """See manager.Cluster."""
        self._endpoint, self._exited = endpoint, exited
        for number in range(1, self._count + 1):
            await self._start_one(f"taskmanager-{number}")

    async def grow(self, slots: int) -> None:
        """See local_hosting.LocalCluster."""
        self._count += 1
        name = f"taskmanager-{self._count}"
        self._slots_of[name] = slots
        await self._start_one(name)

    def successor(self, slots: int) -> MiniCluster:
        """See local_hosting.LocalCluster. Its processes are started anew."""
        next = MiniCluster(
            self.env,
            taskmanagers=self._asked,
            slots=-(-slots // self._asked),
            stuck_after=self._stuck_after,
        )
        next._lives = self._lives
        return next

    def replace(self, name: str) -> None:
        """See manager.Cluster. While that is done it may be said again, for another reason: two of one name would be
        one too many, and the end of the one would be taken for that of the other."""
        if name not in self._replacing:
            replacing = self._replacing[name] = asyncio.ensure_future(self._replace(name))
            replacing.add_done_callback(lambda _: self._replacing.pop(name))

    async def _replace(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:  # else it has ended
            process.kill()
            await process.wait()
        try:
            await self._start_one(name)
        except OSError as error:
            self._exited(name, f"could not be started: {error}")

    async def _start_one(self, name: str) -> None:
        assert self._endpoint is not None
        if self._waiting:
            process = self._waiting.pop(0)
        else:
            process = await self.env.launcher.launch(["flowjob.runtime.taskmanager", "--owned"])
        self._processes[name] = process
        self._watchers.append(asyncio.ensure_future(self._watch(name, process)))
        # A process that was killed leaves its scratch files; the next one must not stumble over them.
        life = self._lives[name] = self._lives.get(name, 0) + 1
        directory = name if life == 1 else f"{name}.{life}"
        settings = {
            "name": name,
            "urls": [self._endpoint.url],
            "token": self._endpoint.token,
            "slots": self._slots_of.get(name, self._slots),
            "directory": str(self.env.directory / directory),
            "stuck_after": self._stuck_after,
        }
        process.send(msgspec.json.encode(settings) + b"\n")

    async def stop(self) -> None:
        """See manager.Cluster. Those that do not end by themselves are killed, which kills their slots."""
        self._stopping = True
        await cancel_all(list(self._replacing.values()))
        for unused in self._waiting:
            unused.kill()
            await unused.wait()
        if self._watchers:
            await asyncio.wait(self._watchers, timeout=EXIT_WITHIN)
        for process in self._processes.values():
            process.kill()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await cancel_all(self._watchers)

    async def _watch(self, name: str, process: OwnedProcess) -> None:
        status = await process.wait()
        if self._processes.get(name) is process and not self._stopping:
            del self._processes[name]
            self._exited(name, f"(pid {process.pid}) {process.exit_reason(status)}")


def _nobody(name: str, reason: str) -> None:
    """Hears of ends before anything was started."""


@dataclass(frozen=True, kw_only=True)
class LocalOptions:
    """How `run_local` runs a job, apart from the job itself.

    source    how slots get the job; None: pickled with cloudpickle
    started   TaskManager processes started ahead (`start_ahead`), to save their start-up time
    run       options for the tasks, e.g. {"exchange": {…}}
    stuck_after  seconds after which a worker that says nothing is reported, with its stacks
    planner, runner  see job_description.JobDescription
    restarts  whether a failure is the end; None: as `checkpoints` say, and without those it is
    checkpoints  None: what the job says, False: none
    start     what to begin from: the place of a snapshot, or "latest"; None: nothing
    name      under which the job's checkpoints are kept; None: its own
    serve     runs beside the job, in its loop, with a cluster.job_details.LiveJob; the run is over when both are
    """

    taskmanagers: int = 1
    source: JobSource | None = None
    started: Sequence[OwnedProcess] = ()
    timeouts: Timeouts | None = None
    run: dict[str, Any] | None = None
    stuck_after: float = 600.0
    planner: str = "flowjob.plan"
    runner: str = "flowjob.runtime.slot_tasks:SlotTasks"
    stop_grace: float = 3.0
    restarts: RestartStrategy | None = None
    checkpoints: Checkpoints | Literal[False] | None = None
    start: StartFrom | str | None = None
    name: str | None = None
    serve: Serve | None = None


def run_local(
    job: Job,
    *,
    parallelism: int = 1,
    listeners: Listeners | None = None,
    options: LocalOptions | None = None,
    **more: Any,
) -> JobResult:
    """Runs `job` to its end in child processes. Raises JobFailed and its kin; Ctrl-C raises JobCancelled.

    Fields of Listeners and of LocalOptions may also be given by name: `run_local(job, taskmanagers=2,
    on_report=print)`."""
    from flowjob.runtime.real.host import run_on_this_machine

    listeners, options = _merged(listeners, options, more)

    def manage(env: Env) -> tuple[JobManager | LocalRun, MiniCluster]:
        run_id, token = env.random.token()[:8], env.random.token()
        request = job_request(job, parallelism, run_id, token, options)
        slots = max((v.parallelism for v in request.graph.vertices), default=1)
        cluster = MiniCluster(
            env,
            taskmanagers=options.taskmanagers,
            slots=-(-slots // options.taskmanagers),
            started=options.started,
            stuck_after=options.stuck_after,
        )
        if options.serve is None:
            return JobManager(env, request, listeners), cluster
        return _served(cluster, job, request, listeners, options), cluster

    return run_on_this_machine(manage, options.started)


def _served(
    cluster: MiniCluster, job: Job, request: JobRequest, listeners: Listeners, options: LocalOptions
) -> LocalRun:
    from flowjob.runtime.observing.local_hosting import LocalPlanner, local_run
    from flowjob.runtime.observing.local_program import Program

    first = request.job

    def make(program: Program, start: StartFrom, run_id: str) -> JobRequest:
        again = replace(
            options,
            source=program.source,
            checkpoints=program.checkpoints,
            run=program.options,
            start=start,
        )
        return job_request(program.job, program.parallelism, run_id, first.token, again)

    program = Program(job, first.source, first.parallelism, options.checkpoints, first.run)
    assert options.serve is not None
    planner = LocalPlanner(program, make, first.run_id)
    return local_run(cluster, planner, request, listeners, options.serve)


def job_request(
    job: Job, parallelism: int, run_id: str, token: str, options: LocalOptions
) -> JobRequest:
    """Plans the job. Raises PlanError."""
    planner = importlib.import_module(options.planner)
    graph = planner.compile_job(job, parallelism=parallelism)
    kept_as = options.name or graph.name
    checkpoints = job.checkpoints if options.checkpoints is None else options.checkpoints or None
    description = JobDescription(
        name=graph.name,
        run_id=run_id,
        source=options.source or pickled(job),
        parallelism=parallelism,
        digest=planner.digest(graph),
        explain=planner.job_graph_text(graph),
        token=token,
        planner=options.planner,
        runner=options.runner,
        run=options.run or {},
        checkpoints=None if checkpoints is None else checkpoint_plan(kept_as, checkpoints),
    )
    start = options.start if isinstance(options.start, StartFrom) else StartFrom(options.start)
    restarts = options.restarts
    if restarts is None and checkpoints is not None:
        restarts = checkpoints.strategy()
    return JobRequest(
        graph=graph,
        job=description,
        timeouts=options.timeouts or Timeouts(),
        stop_grace=options.stop_grace,
        restarts=restarts,
        checkpoints=None if checkpoints is None else checkpoints.settings(),
        start=start,
        control_file=None if checkpoints is None else control_file(kept_as, checkpoints),
    )


def checkpoint_plan(job: str, checkpoints: Checkpoints) -> CheckpointPlan:
    """What slots must know of them. A directory is where it is for this process: they may have another one."""
    settings = checkpoints.settings()
    return CheckpointPlan(
        location=location_of(checkpoints),
        root=JobPaths.of(job).root,
        exactly_once=settings.mode is Mode.EXACTLY_ONCE,
        alignment_timeout=settings.task_alignment_timeout,
        spill_bytes=settings.spill_bytes,
        expires=settings.timeout,
    )


def control_file(job: str, checkpoints: Checkpoints) -> Path:
    """Where a job of that name says how it can be reached: beside its checkpoints, if they are on this machine."""
    url = location_of(checkpoints).url
    directory = Path(DEFAULT_LOCATION).absolute() if "://" in url else Path(url)
    return directory / JobPaths.of(job).root / CONTROL_FILE


def location_of(checkpoints: Checkpoints) -> StoreLocation:
    """The store that jobs share."""
    place = str(checkpoints.location or DEFAULT_LOCATION)
    url = place if "://" in place else str(Path(place).absolute())
    return StoreLocation(url, checkpoints.endpoint, checkpoints.region)


def pickled(job: Job) -> PickledSource:
    """A job as it is in this process, for the ones that were not made from a script or module."""
    from flowjob.pickling import dumps

    try:
        data = dumps(job)
    except (TypeError, PicklingError) as error:
        raise _unpicklable(job, error) from error
    return PickledSource(data=data, sys_path=client_path(), directory=str(Path.cwd()))


def _unpicklable(job: Job, error: Exception) -> PlanError:
    """Names the operator whose function holds what cannot travel."""
    from flowjob.pickling import dumps

    for node in job.graph:
        try:
            dumps(node.spec)
        except (TypeError, PicklingError) as found:
            return PlanError(
                f"`{node.name}` cannot be sent to the worker processes: {found}. Its function uses something that "
                "exists only here (a lock, a connection, a generator): make it inside the function, or in `open` of a "
                "process function. Or put the job into a file of its own, which workers import: `flowjob run`",
                where=node.where,
            )
    return PlanError(f"the job cannot be sent to the worker processes: {error}")


def from_script(
    target: str, args: dict[str, Any], sys_path: Sequence[str] = ()
) -> EntrypointSource:
    """A job that slots import for themselves; the fields of flowjob.entrypoint.Entrypoint."""
    return EntrypointSource(
        target=target, args=args, sys_path=list(sys_path), directory=str(Path.cwd())
    )


def client_path() -> list[str]:
    """This process's module search path with the current directory spelled out."""
    return [str(Path(entry).resolve()) if entry else str(Path.cwd()) for entry in sys.path]


def _merged(
    listeners: Listeners | None, options: LocalOptions | None, more: dict[str, Any]
) -> tuple[Listeners, LocalOptions]:
    import dataclasses

    heard = {name: more.pop(name) for name in list(more) if name in Listeners.__dataclass_fields__}
    return (
        dataclasses.replace(listeners or Listeners(), **heard),
        dataclasses.replace(options or LocalOptions(), **more),
    )
