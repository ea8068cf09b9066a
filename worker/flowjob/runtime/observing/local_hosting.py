"""A job of this machine with somebody who shows and steers it: `flowjob run --web`.

What a cluster's JobManager has in hosting.py, and what an operator does around it: one run after the other, each with a
JobManager and TaskManagers of its own, until nobody wants another one. Whoever serves the job gets a LiveJob
(cluster/job_details.py) in the JobManager's loop. It must not know HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from flowjob.checkpointing import Checkpoints
from flowjob.cluster.control_api import JobManagerView
from flowjob.cluster.job_details import JobDetails, JobOperations, LiveJob
from flowjob.cluster.local_requests import PlannedUpgrade, UpgradeJob
from flowjob.core.job_machine import JobState
from flowjob.errors import FlowjobError, JobCancelled, PlanError
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.cluster import Cluster
from flowjob.runtime.jobmanager.hosting import Host, Settings
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import (
    LATEST,
    JobEvent,
    JobRequest,
    JobResult,
    Listeners,
    StartFrom,
)
from flowjob.runtime.observing.details import ObservedJob
from flowjob.runtime.observing.local_program import Program, tried
from flowjob.runtime.observing.log_handler import logging_into
from flowjob.runtime.outbox import cancel_all

Serve = Callable[[LiveJob], Awaitable[None]]
Make = Callable[[Program, StartFrom, str], JobRequest]
"""A run of a program, begun from somewhere, under a name of its own. Blocking; raises PlanError."""


class LocalCluster(Cluster, Protocol):
    """TaskManagers on this machine."""

    @property
    def env(self) -> Env: ...

    async def grow(self, slots: int) -> None:
        """Starts another one, with so many slots."""
        ...

    def successor(self, slots: int) -> LocalCluster:
        """The same, for another run."""
        ...


class LocalPlanner:
    """See hosting.Planner. `program`: what runs now."""

    def __init__(self, program: Program, make: Make, uid: str) -> None:
        self.program = program
        self.uid = self.run = uid
        self._make = make
        self.has_checkpoint: Callable[[], bool] = lambda: False

    @property
    def revision(self) -> int:
        return 0

    @property
    def parallelism(self) -> int:
        return self.program.parallelism

    @property
    def api_port(self) -> int:
        return 0

    @property
    def checkpoints(self) -> Checkpoints | None:
        return self.program.kept

    @property
    def program_checkpoints(self) -> Checkpoints | None:
        return self.program.kept

    def request(self, parallelism: int, settings: Settings) -> JobRequest:
        """To go on with in the same run, from the newest checkpoint."""
        if not self.has_checkpoint():
            raise PlanError(
                "the job has no complete checkpoint yet, and would begin again from nothing: ask again when it has one"
            )
        program = dataclasses.replace(self.program, parallelism=parallelism)
        if settings.checkpoints is not None:
            program = dataclasses.replace(program, checkpoints=settings.checkpoints)
        planned = self._make(program, StartFrom(LATEST), self.run)
        return dataclasses.replace(planned, restarts=settings.restarts or planned.restarts)

    def begin(self, program: Program, start: StartFrom, run: str) -> JobRequest:
        """Of another run."""
        return self._make(program, start, run)


class LocalHost(Host):
    """See hosting.Host; its JobManagers come with a cluster. There is no other one to ask."""

    planner: LocalPlanner
    has_run = False
    """All tasks of this run have run at the same time once."""

    def answer(self) -> JobManagerView:
        return self.view()

    def manage(self, request: JobRequest) -> JobManager:
        """Makes the JobManager of a run."""
        manager = self.manager = JobManager(self.env, request, self.heard())

        def has_checkpoint() -> bool:
            checkpoints = manager.tenure.conductor.checkpoints
            return checkpoints is not None and checkpoints.newest is not None

        self.planner.has_checkpoint = has_checkpoint
        return manager

    async def run_once(self, manager: JobManager, cluster: Cluster) -> JobResult:
        """Raises what the job raises."""
        try:
            result = await manager.run(cluster)
        except JobCancelled as error:
            self._over("cancelled", error)
            raise
        except FlowjobError as error:
            self._over("failed", error)
            raise
        else:
            self._over("suspended" if self._is_stopped(manager) else "succeeded")
            return result
        finally:
            self._note()

    def begin_again(self, program: Program, run: str) -> None:
        """Another run: what was the case of the one before is over."""
        self.planner.program, self.planner.run = program, run
        self.has_run = False
        self._end, self._ended, self._started, self._last, self._final = "", 0, 0, None, None
        self._error, self._code, self._restarts, self._completed = None, None, 0, 0
        self._parallelism = program.parallelism

    def lie_down_again(self, program: Program, before: JobManagerView) -> None:
        """A run has come to nothing: it is as if it had not been begun, but for the error."""
        self.planner.program = program
        self._end, self._last, self._final = "suspended", before, before.final
        self._note()

    def dismiss(self) -> None:
        """A suspended job is not wanted any more."""
        self._end = "cancelled"
        self._note()

    def tell_changed(self) -> None:
        """Those who wait for something are to look again."""
        self._note()

    def rescaled(self, parallelism: int) -> None:
        self.planner.program = dataclasses.replace(self.planner.program, parallelism=parallelism)
        super().rescaled(parallelism)

    def say(self, text: str) -> None:
        """To people who watch."""
        event = JobEvent(text)
        self.observer.told(event)
        if self._listeners.on_event is not None:
            self._listeners.on_event(event)

    def _on_state(self, state: JobState) -> None:
        self.has_run = self.has_run or state is JobState.RUNNING
        super()._on_state(state)


@dataclass(frozen=True, slots=True)
class _Next:
    """A run that is to be begun."""

    program: Program
    request: JobRequest


class LocalRun:
    """A LiveJob: runs of a job with whoever serves it beside. What `serve` raises stops the job, and is raised; all is
    over when both are.

    rests  the job is suspended, and waits for what is to become of it
    keeps  when its run is stopped it is to rest; else all is over then"""

    def __init__(self, host: LocalHost, cluster: LocalCluster, serve: Serve) -> None:
        from flowjob.runtime.observing.local_operations import AskedLocally, LocalOperations

        self.host = host
        self.rests = self.keeps = False
        self.cluster = cluster
        self.refusals: dict[int, FlowjobError] = {}
        self.runs = 1
        self._serve = serve
        self._operations = LocalOperations(host, self)
        self._next: _Next | None = None
        self._woken = asyncio.Event()
        self._over = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.details: JobDetails = ObservedJob(host, local=True)
        self.operations: JobOperations = AskedLocally(host, self._operations)

    # -- LiveJob

    async def ended(self) -> None:
        """See LiveJob."""
        await self._over.wait()

    async def plan_upgrade(self, wish: UpgradeJob) -> PlannedUpgrade:
        """See LiveJob."""
        point = self._operations.newest()
        manager = self.host.manager
        digest = "" if manager is None else manager.tenure.request.job.digest
        planned: PlannedUpgrade = await self.host.env.run_blocking(
            tried, self.host.planner.program, wish, point, digest
        )
        return planned

    # -- what operations and signals do

    def cancel(self, reason: str) -> None:
        """The job; and when that is over, whoever serves it."""
        if self._over.is_set() and self._serving is not None:
            self._serving.cancel()
        elif self.rests:
            self.dismiss()
        elif self.host.manager is not None:
            self.keeps = False
            self.host.manager.cancel(reason)

    def dismiss(self) -> None:
        """A job that rests is over."""
        self.keeps = False
        self._woken.set()

    async def begin(self, program: Program, start: StartFrom) -> int:
        """Of a job that rests: another run, whose number this is. Raises PlanError and its kin."""
        env, planner = self.host.env, self.host.planner
        run = env.random.token()[:8]
        request = await env.run_blocking(planner.begin, program, start, run)
        self._next = _Next(program, request)
        self._woken.set()
        return self.runs + 1

    # -- one run after the other

    async def run(self, cluster: Cluster) -> JobResult:
        """`cluster`: the one that it was made with."""
        with logging_into(self.host.observer):
            return await self._run()

    async def _run(self) -> JobResult:
        serving = self._serving = asyncio.ensure_future(self._until_served())
        running = asyncio.ensure_future(self._runs())
        running.add_done_callback(lambda _: self._over.set())
        try:
            await asyncio.wait([serving, running], return_when=asyncio.FIRST_COMPLETED)
            if serving.done() and not serving.cancelled() and serving.exception() is not None:
                self.cancel("it cannot be served")
                await asyncio.wait([running])
                serving.result()
            await asyncio.wait([running, serving])
            return running.result()
        finally:
            await self._operations.close()
            await cancel_all([serving, running])

    async def _until_served(self) -> None:
        await self._serve(self)

    async def _runs(self) -> JobResult:
        """The result of the last run. Raises what it raises."""
        former: tuple[Program, JobManagerView] | None = None
        result: JobResult | None = None
        while True:
            assert self.host.manager is not None
            try:
                result = await self.host.run_once(self.host.manager, self.cluster)
            except FlowjobError as error:
                if not self._goes_on_behind(error, former):
                    raise
            following = await self._rest()
            if following is None:
                if result is None:
                    raise JobCancelled("it was stopped to be upgraded, and not started again")
                return result
            former = (self.host.planner.program, self.host.view())
            slots = max((v.parallelism for v in following.request.graph.vertices), default=1)
            self.cluster = self.cluster.successor(slots)
            self.host.begin_again(following.program, following.request.job.run_id)
            self.host.manage(following.request)
            self.runs += 1
            self.keeps = True  # until it runs: if it cannot, the one before can go on

    def _goes_on_behind(
        self, error: FlowjobError, former: tuple[Program, JobManagerView] | None
    ) -> bool:
        """A run that was stopped for the next one, or one that never ran, behind which the one before can go on."""
        if isinstance(error, JobCancelled):
            return self.keeps
        if former is None or self.host.has_run or not self.keeps:
            return False
        self.refusals[self.runs] = error
        self.host.lie_down_again(*former)
        return True

    async def _rest(self) -> _Next | None:
        """What is to be run next; None: nothing is."""
        if not self.keeps or self.host.state not in ("Suspended", "Cancelled"):
            return None
        self.rests = True
        self.host.tell_changed()
        await self._woken.wait()
        self._woken.clear()
        self.rests = False
        following, self._next = self._next, None
        if following is None:
            self.host.dismiss()
        return following


def local_run(
    cluster: LocalCluster,
    planner: LocalPlanner,
    request: JobRequest,
    listeners: Listeners,
    serve: Serve,
) -> LocalRun:
    """Ready to run."""
    try:
        installed = version("flowjob")
    except PackageNotFoundError:
        installed = ""
    host = LocalHost(cluster.env, planner, listeners, installed)
    host.manage(request)
    return LocalRun(host, cluster, serve)
