"""A job of this machine with somebody who shows and steers it: `flowjob run --web`.

What a cluster's JobManager has in hosting.py, around one run: the JobManager and the job end together. Whoever
serves it gets a LiveJob (cluster/job_details.py) in the JobManager's loop. It must not know HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version

import msgspec.structs

from flowjob.checkpointing import Checkpoints
from flowjob.cluster.control_api import JobManagerView, OperationView, Request, Rescale
from flowjob.cluster.job_details import JobDetails, JobOperations, LiveJob
from flowjob.errors import FlowjobError, JobCancelled, PlanError
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.cluster import Cluster
from flowjob.runtime.jobmanager.hosting import Host, Settings
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.operating import Operations
from flowjob.runtime.jobmanager.request import (
    LATEST,
    JobRequest,
    JobResult,
    Listeners,
    StartFrom,
)
from flowjob.runtime.observing.details import AskedOperations, ObservedJob
from flowjob.runtime.observing.log_handler import logging_into
from flowjob.runtime.outbox import cancel_all

Serve = Callable[[LiveJob], Awaitable[None]]
Plan = Callable[[int, Checkpoints | None], JobRequest]
"""By parallelism and settings of checkpoints (None: the run's own). Blocking; raises PlanError."""


class LocalPlanner:
    """See hosting.Planner. `first`: what the run began with; `plan` makes the same for another parallelism."""

    def __init__(self, first: JobRequest, plan: Plan, checkpoints: Checkpoints | None) -> None:
        self._first = first
        self._plan = plan
        self._checkpoints = checkpoints
        self.has_checkpoint: Callable[[], bool] = lambda: False

    @property
    def uid(self) -> str:
        return self._first.job.run_id

    @property
    def revision(self) -> int:
        return 0

    @property
    def parallelism(self) -> int:
        return self._first.job.parallelism

    @property
    def api_port(self) -> int:
        return 0

    @property
    def checkpoints(self) -> Checkpoints | None:
        return self._checkpoints

    @property
    def program_checkpoints(self) -> Checkpoints | None:
        return self._checkpoints

    def request(self, parallelism: int, settings: Settings) -> JobRequest:
        """To go on with, from the newest checkpoint."""
        if not self.has_checkpoint():
            raise PlanError(
                "the job has no complete checkpoint yet, and would begin again from nothing: ask again when it has one"
            )
        planned = self._plan(parallelism, settings.checkpoints)
        restarts = settings.restarts or planned.restarts
        return dataclasses.replace(planned, start=StartFrom(LATEST), restarts=restarts)


class LocalHost(Host):
    """See hosting.Host; its JobManager comes with a cluster, and is run once. There is no other one to ask."""

    def answer(self) -> JobManagerView:
        return self.view()

    def manage(self, request: JobRequest) -> JobManager:
        """Makes the JobManager."""
        self.manager = JobManager(self.env, request, self.heard())
        return self.manager

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


class LocalRun:
    """A run with whoever serves it beside. What `serve` raises stops the job, and is raised; the run is over when both
    are."""

    def __init__(self, host: LocalHost, manager: JobManager, serve: Serve) -> None:
        self._host = host
        self._manager = manager
        self._serve = serve
        self._operations = Operations(host)
        self._over = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.details: JobDetails = ObservedJob(host, local=True)
        self.operations: JobOperations = _LocalOperations(host, self._operations)

    async def ended(self) -> None:
        """See LiveJob."""
        await self._over.wait()

    def cancel(self, reason: str) -> None:
        """The job; and when that is over, whoever serves it."""
        if self._over.is_set() and self._serving is not None:
            self._serving.cancel()
        else:
            self._manager.cancel(reason)

    async def run(self, cluster: Cluster) -> JobResult:
        with logging_into(self._host.observer):
            return await self._run(cluster)

    async def _run(self, cluster: Cluster) -> JobResult:
        serving = self._serving = asyncio.ensure_future(self._until_served())
        running = asyncio.ensure_future(self._host.run_once(self._manager, cluster))
        running.add_done_callback(lambda _: self._over.set())
        try:
            await asyncio.wait([serving, running], return_when=asyncio.FIRST_COMPLETED)
            if serving.done() and not serving.cancelled() and serving.exception() is not None:
                self._manager.cancel("it cannot be served")
                await asyncio.wait([running])
                serving.result()
            await asyncio.wait([running, serving])
            return running.result()
        finally:
            await self._operations.close()
            await cancel_all([serving, running])

    async def _until_served(self) -> None:
        await self._serve(self)


class _LocalOperations(AskedOperations):
    """TaskManagers are counted from 1 here, and from 0 in a cluster: the ordinals that may stay are one larger."""

    async def ask(self, id: str, request: Request) -> OperationView:
        if isinstance(request, Rescale):
            request = msgspec.structs.replace(request, task_managers=request.task_managers + 1)
        return await super().ask(id, request)


def local_run(
    env: Env, planner: LocalPlanner, request: JobRequest, listeners: Listeners, serve: Serve
) -> LocalRun:
    """Ready to run."""
    try:
        installed = version("flowjob")
    except PackageNotFoundError:
        installed = ""
    host = LocalHost(env, planner, listeners, installed)
    manager = host.manage(request)

    def has_checkpoint() -> bool:
        checkpoints = manager.tenure.conductor.checkpoints
        return checkpoints is not None and checkpoints.newest is not None

    planner.has_checkpoint = has_checkpoint
    return LocalRun(host, manager, serve)
