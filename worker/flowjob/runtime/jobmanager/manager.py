"""The JobManager of one job: takes the lead, or waits for its turn; meets what an earlier one has left; ends.

What happens in between is conducting.py's. It reaches TaskManagers through Sessions, and the processes themselves only
through a Cluster."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import msgspec.structs

from flowjob.core.heartbeats import HeartbeatMonitor
from flowjob.core.job_events import (
    CancelRequested,
    TaskId,
    TaskManagerLost,
    TaskManagerRegistered,
)
from flowjob.core.job_machine import JobState
from flowjob.errors import LostLeadership, StoodDown, StorageError
from flowjob.runtime import messages
from flowjob.runtime.env import Env, Listener
from flowjob.runtime.failures import to_exception
from flowjob.runtime.jobmanager.adopting import Adopting, Outcome, Wanted
from flowjob.runtime.jobmanager.asking import Answering, publish, refuse_a_second, unpublish
from flowjob.runtime.jobmanager.cluster import Cluster as Cluster
from flowjob.runtime.jobmanager.cluster import Endpoint as Endpoint
from flowjob.runtime.jobmanager.cluster import address_of, listen
from flowjob.runtime.jobmanager.conducting import Conductor
from flowjob.runtime.jobmanager.leading import Lead, stand_by, take_lead
from flowjob.runtime.jobmanager.request import Enough, JobRequest, JobResult, Listeners, TookOver
from flowjob.runtime.jobmanager.sessions import Sessions
from flowjob.runtime.outbox import cancel_all, first_of

LOOK_EVERY = 10.0
"""Seconds between two looks into the log at who leads."""


class JobManager:
    """`run` once."""

    def __init__(self, env: Env, request: JobRequest, listeners: Listeners | None = None) -> None:
        self._env = env
        self._request = request
        self._answering = Answering(env, lambda: self.state.value, self.cancel)
        self._doubts = asyncio.Event()
        interval, timeout = request.heartbeat_interval, request.heartbeat_timeout
        self._sessions = Sessions(
            env,
            monitor=HeartbeatMonitor(interval=interval, timeout=timeout),
            registered=self._registered,
            lost=self._lost,
            received=self._received,
            asked=self._answering.answer,
            outdated=self._doubts.set,
        )
        self._lead: Lead | None = None
        self._error: Exception | None = None
        self._finished = asyncio.Event()
        self._conductor = Conductor(
            env, request, listeners or Listeners(), self._sessions, self._finished
        )
        self._adopting: Adopting | None = None
        self._left = False

    @property
    def state(self) -> JobState:
        return self._conductor.machine.state

    def metrics(self) -> dict[TaskId, dict[str, Any]]:
        """The latest totals of every task."""
        return dict(self._conductor.metrics)

    def cancel(self, reason: str) -> None:
        """Stops the job; a second call kills what has not stopped yet. `run` then raises JobCancelled."""
        self._conductor.handle(CancelRequested(reason))

    def leave(self, reason: str) -> None:
        """Goes away without ending the job, for another JobManager to continue it. `run` then raises StoodDown."""
        self._stand_down(StoodDown(f"{reason}; the job goes on, and waits for its next JobManager"))

    async def run(self, cluster: Cluster) -> JobResult:
        """Runs the job to its end and stops the cluster. Raises JobFailed and its kin; LostLeadership and StoodDown
        when the job goes on without this JobManager."""
        env, request = self._env, self._request
        conductor = self._conductor
        conductor.cluster, conductor.began = cluster, env.clock.monotonic()
        token = request.token or env.random.token()
        listener: Listener | None = None
        beside: list[asyncio.Future[None]] = []
        try:
            if request.service is None or not request.service.standby:
                await refuse_a_second(env, request)
            listener = await listen(env, request, token, self._sessions.serve)
            endpoint = Endpoint(f"ws://{address_of(listener, request)}", token)
            beside = [asyncio.ensure_future(w) for w in (self._sessions.beat(), self._mind_log())]
            await first_of(self._begin(endpoint), self._finished.wait())
            if not self._finished.is_set():
                await publish(env, request, endpoint.url, token)
                await cluster.start(endpoint, conductor.process_exited)
            await self._finished.wait()
        finally:
            await self._close(cluster, beside)
            if listener is not None:
                await unpublish(env, request, token)
                await listener.close()
        return self._result(env.clock.monotonic() - conductor.began)

    async def _close(self, cluster: Cluster, beside: list[asyncio.Future[None]]) -> None:
        if self._left and self._request.service is not None:
            await self._sessions.abandon()
        else:
            self._sessions.end("the job has ended")
        await self._conductor.close()
        finish = self._conductor.finish
        if self._lead is not None:
            if finish is not None and not self._left:
                await self._lead.say_how_it_ended(self._env.clock, finish.outcome)
            tidy = not isinstance(self._error, StoodDown)
            await self._lead.checkpoints.close("the job has ended", tidy=tidy)
        await cluster.stop()
        await cancel_all(beside)
        await self._conductor.close_deadlines()

    async def _begin(self, endpoint: Endpoint) -> None:
        """Leads, and has the tasks running, or on their way."""
        conductor, shell = self._conductor, self._conductor.shell(self._stand_down)
        waiting = partial(setattr, self._sessions, "leader")
        await stand_by(self._env, self._request, endpoint, waiting)
        lead = self._lead = await take_lead(self._env, self._request, shell, endpoint.address)
        if lead is None:
            self._sessions.generation = 1
            conductor.start(1, saved=True, found=None)
            return
        conductor.job = msgspec.structs.replace(conductor.job, run_id=lead.run)
        conductor.checkpoints = self._answering.checkpoints = lead.checkpoints
        conductor.telling.attempts_before = lead.attempts_before
        await conductor.deployment.begin(lead.checkpoints, lead.initial)
        self._sessions.keeping = lead.continues
        self._sessions.generation = lead.generation
        found = await self._adopt(lead) if lead.continues else None
        conductor.start(lead.attempts_before + 1, saved=lead.initial is not None, found=found)

    async def _adopt(self, lead: Lead) -> Outcome:
        """What is left of the JobManager before."""
        service, conductor = self._request.service, self._conductor
        assert service is not None
        wanted = Wanted(conductor.machine.shape, lead.run, conductor.job.digest, lead.generation)
        adopting = self._adopting = Adopting(self._env.clock, wanted, conductor.ask_inventory)
        await adopting.wait(service.adopt_within)
        self._adopting, self._sessions.keeping = None, False
        outcome = adopting.decide(lead.store.state.highest)
        source = conductor.deployment.source
        conductor.tell(TookOver(f"took the job over at {source}; {outcome.told}"))
        return outcome

    def _stand_down(self, error: Exception) -> None:
        """This JobManager must not go on. Nothing is said to anybody any more: another one leads, or will."""
        if self._finished.is_set():
            return  # the job has ended
        self._error, self._left = error, True
        self._conductor.silent = True
        self._finished.set()

    async def _mind_log(self) -> None:
        """Who leads no more, and hears of nobody who would say so, finds out here."""
        while True:
            await first_of(self._env.clock.sleep(LOOK_EVERY), self._doubts.wait())
            self._doubts.clear()
            if self._lead is None:
                continue
            with contextlib.suppress(StorageError):
                if not await self._lead.store.leads():
                    self._stand_down(LostLeadership("another JobManager has taken over the job"))
                    return

    def _result(self, seconds: float) -> JobResult:
        if self._error is not None:
            raise self._error
        conductor = self._conductor
        finish, broken = conductor.finish, conductor.listener_error
        assert finish is not None
        enough = isinstance(broken, Enough)
        if broken is not None and not enough:
            raise broken
        failure = to_exception(finish.outcome, finish.unstopped)
        if failure is not None and not enough:
            raise failure
        job, metrics = conductor.job, conductor.metrics
        return JobResult(
            job.name, job.run_id, seconds, metrics, conductor.phases, complete=not enough
        )

    # What TaskManagers do

    def _registered(self, hello: messages.Register) -> None:
        if self._adopting is not None:
            self._adopting.registered(hello)
        else:
            self._conductor.handle(TaskManagerRegistered(hello.taskmanager, hello.slots))

    def _lost(self, name: str, reason: str) -> None:
        self._doubts.set()
        if self._adopting is not None:
            self._adopting.lost(name)
        else:
            self._conductor.handle(TaskManagerLost(name, reason))

    def _received(self, name: str, message: messages.ToJobManager) -> None:
        if self._adopting is not None:
            self._adopting.received(name, message)
        else:
            self._conductor.received(name, message)


async def run_job(
    env: Env, cluster: Cluster, request: JobRequest, listeners: Listeners | None = None
) -> JobResult:
    """Runs one job on a cluster. Raises JobFailed and its kin."""
    return await JobManager(env, request, listeners).run(cluster)
