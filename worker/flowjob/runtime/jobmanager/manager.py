"""The JobManager of one job: listens, takes the lead or waits for its turn, has one tenure after the other, and ends.

What happens within a tenure is tenure.py's and conducting.py's. It reaches TaskManagers through Sessions, and the
processes themselves only through a Cluster."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Coroutine
from typing import Any

from flowjob.core.coordinator_events import CheckpointRequested
from flowjob.core.heartbeats import HeartbeatMonitor
from flowjob.core.job_events import CancelRequested, RestartRequested, TaskId
from flowjob.core.job_machine import JobState
from flowjob.core.region import slots_on
from flowjob.core.resuming import Resuming
from flowjob.core.slot_placement import Places
from flowjob.errors import LostLeadership, StoodDown, StorageError
from flowjob.runtime import messages
from flowjob.runtime.env import Env, Listener
from flowjob.runtime.failures import to_exception
from flowjob.runtime.jobmanager.asking import Answering, publish, refuse_a_second, unpublish
from flowjob.runtime.jobmanager.cluster import Cluster as Cluster
from flowjob.runtime.jobmanager.cluster import Endpoint as Endpoint
from flowjob.runtime.jobmanager.cluster import address_of, listen
from flowjob.runtime.jobmanager.leading import SAY_WITHIN, stand_by
from flowjob.runtime.jobmanager.request import (
    Enough,
    JobRequest,
    JobResult,
    Listeners,
)
from flowjob.runtime.jobmanager.sessions import Sessions
from flowjob.runtime.jobmanager.tenure import Tenure, Way
from flowjob.runtime.outbox import cancel_all, first_of

LOOK_EVERY = 10.0
"""Seconds between two looks into the log at who leads."""


class JobManager:
    """`run` once."""

    def __init__(self, env: Env, request: JobRequest, listeners: Listeners | None = None) -> None:
        self._env = env
        self._answering = Answering(env, lambda: self.state.value, self.cancel)
        self._doubts = asyncio.Event()
        interval, timeout = request.heartbeat_interval, request.heartbeat_timeout
        self.sessions = Sessions(
            env,
            monitor=HeartbeatMonitor(interval=interval, timeout=timeout),
            resumes=self._resumes,
            registered=self._registered,
            departing=self._departing,
            lost=self._lost,
            received=self._received,
            asked=self._answering.answer,
            outdated=self._doubts.set,
            leads_yet=self._leads_yet,
        )
        self._way = Way(listeners or Listeners(), self.sessions, self._over, self._stand_down)
        self.tenure = Tenure(env, request, self._way, Places())
        self._resuming = Resuming()
        self._error: Exception | None = None
        self._finished = asyncio.Event()
        self._succeeding = asyncio.Lock()
        self._beside: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._left = False
        self._address = ""

    @property
    def state(self) -> JobState:
        return self.tenure.conductor.machine.state

    @property
    def is_leading(self) -> bool:
        """A tenure has begun, and this JobManager has not left."""
        return self.sessions.generation > 0 and not self._left

    def metrics(self) -> dict[TaskId, dict[str, Any]]:
        """The latest totals of every task."""
        return dict(self.tenure.conductor.metrics)

    def cancel(self, reason: str) -> None:
        """Stops the job; a second call kills what has not stopped yet. `run` then raises JobCancelled."""
        self.tenure.conductor.handle(CancelRequested(reason))

    def leave(self, reason: str) -> None:
        """Goes away without ending the job, for another JobManager to continue it. `run` then raises StoodDown."""
        self._give_up(StoodDown(f"{reason}; the job goes on, and waits for its next JobManager"))

    async def run(self, cluster: Cluster) -> JobResult:
        """Runs the job to its end and stops the cluster. Raises JobFailed and its kin; LostLeadership and StoodDown
        when the job goes on without this JobManager."""
        env, request, conductor = self._env, self.tenure.request, self.tenure.conductor
        conductor.cluster, conductor.began = cluster, env.clock.monotonic()
        token = request.token or env.random.token()
        listener: Listener | None = None
        beside: list[asyncio.Future[None]] = []
        try:
            if request.service is None or not request.service.standby:
                await refuse_a_second(env, request)
            listener = await listen(env, request, token, self.sessions.serve)
            endpoint = Endpoint(f"ws://{address_of(listener, request)}", token)
            self._address = endpoint.address
            beside = [asyncio.ensure_future(w) for w in (self.sessions.beat(), self._mind_log())]
            await first_of(self._begin(endpoint), self._finished.wait())
            if not self._finished.is_set():
                await publish(env, request, endpoint.url, token)
                await cluster.start(endpoint, self._process_exited)
            await self._finished.wait()
        finally:
            await self._close(cluster, beside)
            if listener is not None:
                await unpublish(env, request, token)
                await listener.close()
        return self._result()

    def _process_exited(self, name: str, reason: str) -> None:
        self.tenure.conductor.process_exited(name, reason)

    async def _begin(self, endpoint: Endpoint) -> None:
        """Leads, and has the tasks running, or on their way."""
        tenure = self.tenure

        def follow(leader: str) -> None:
            self.sessions.leader = leader

        store = await stand_by(self._env, tenure.request, endpoint, follow)
        await tenure.lead(endpoint.address, store)
        self._answering.checkpoints = tenure.conductor.checkpoints
        await tenure.begin(adopt=tenure.held is not None and tenure.held.continues)

    async def _close(self, cluster: Cluster, beside: list[asyncio.Future[None]]) -> None:
        async with self._succeeding:  # a claim that is on its way has an owner then
            await cancel_all(list(self._beside))
        if self._closing:
            await asyncio.wait(self._closing)
        tenure, lead = self.tenure, self.tenure.held
        if self._left and tenure.request.service is not None:
            await self.sessions.abandon()
        else:
            self.sessions.end("the job has ended")
        await tenure.conductor.close()
        finish = tenure.conductor.finish
        if lead is not None:
            if finish is not None and not self._left:
                await lead.say_how_it_ended(self._env.clock, finish.outcome)
            tidy = not isinstance(self._error, StoodDown)
            await lead.checkpoints.close("the job has ended", tidy=tidy, hurry=self._left)
        await cluster.stop()
        await self.sessions.close()
        await cancel_all(beside)
        await tenure.conductor.close_deadlines()

    # The next tenure

    async def succeed(self, request: JobRequest, places: Places, *, adopt: bool) -> None:
        """Claims the job anew, to go on as `request` and `places` say. `adopt`: with the tasks that there are; else all
        are started again, from the newest checkpoint. Until the claim is certain everything goes on as it was.

        Returns when tasks are on their way. What it raises has ended this JobManager too, unless it is ValueError: the
        job has ended, or is being ended."""
        async with self._succeeding:
            former = self.tenure
            ends = self.state in _OVER or self._finished.is_set()
            if former.held is None or not former.has_begun or ends:
                raise ValueError("the job is not running, or ends")
            await first_of(former.resign(), self._finished.wait())
            try:
                if not await former.held.store.leads():
                    raise LostLeadership("another JobManager has taken over the job")
                tenure = Tenure(self._env, request, self._way, places)
                tenure.conductor.follow(former.conductor)
                # Also for a job that ends meanwhile: who has resigned cannot say in the log how.
                await first_of(tenure.lead(self._address), self._over_for(SAY_WITHIN))
                if tenure.held is None:
                    raise ValueError("the job has ended, or goes on without this JobManager")
                if self.state in _OVER or self._finished.is_set():
                    old = former.held.checkpoints
                    self._keep(old.close("claimed anew", tidy=False), self._closing)
                    former.held = tenure.held  # which alone may say now how the job has ended
                    raise ValueError("the job has ended")
                former.conductor.silent = True
                self.tenure = tenure
                self._answering.checkpoints = tenure.conductor.checkpoints
                self._keep(former.leave(), self._closing)
                await first_of(tenure.begin(adopt=adopt), self._finished.wait())
            except ValueError:
                raise
            except Exception as error:
                self._give_up(error)
                raise

    def _keep(
        self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]] | None = None
    ) -> None:
        """`among`: those that are waited for at the end; else it is cancelled then."""
        kept = self._beside if among is None else among
        task = asyncio.ensure_future(work)
        kept.add(task)
        task.add_done_callback(kept.discard)

    # The end

    async def _over_for(self, seconds: float) -> None:
        """Returns so long after the end."""
        await self._finished.wait()
        await self._env.clock.sleep(seconds)

    def _over(self, tenure: Tenure) -> None:
        if tenure is self.tenure:
            self._finished.set()

    def _stand_down(self, tenure: Tenure, error: Exception) -> None:
        """A tenure must not go on. One that has resigned knows."""
        if tenure is self.tenure and not tenure.resigned:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Nothing is said to anybody any more: another JobManager leads, or will."""
        if self._finished.is_set():
            return  # the job has ended
        self._error, self._left = error, True
        self.tenure.conductor.silent = True
        self._finished.set()

    async def _mind_log(self) -> None:
        """Who leads no more, and hears of nobody who would say so, finds out here."""
        while not self._finished.is_set():
            await first_of(self._env.clock.sleep(LOOK_EVERY), self._doubts.wait())
            self._doubts.clear()
            await self._leads_yet()

    async def _leads_yet(self) -> bool:
        """Whether the log says so; False also where it cannot be read. Who leads no more gives up."""
        tenure = self.tenure
        if tenure.held is None:
            return True  # without snapshots there is nobody else
        try:
            leads = await tenure.held.store.leads()
        except StorageError:
            return False
        if leads or tenure is not self.tenure or tenure.resigned:
            return True  # or has claimed it anew
        self._give_up(LostLeadership("another JobManager has taken over the job"))
        return False

    def _result(self) -> JobResult:
        if self._error is not None:
            raise self._error
        conductor = self.tenure.conductor
        finish, broken = conductor.finish, conductor.listener_error
        assert finish is not None
        enough = isinstance(broken, Enough)
        if broken is not None and not enough:
            raise broken
        failure = to_exception(finish.outcome, finish.unstopped)
        if failure is not None and not enough:
            raise failure
        job, metrics = conductor.job, conductor.metrics
        seconds = self._env.clock.monotonic() - conductor.began
        return JobResult(
            job.name, job.run_id, seconds, metrics, conductor.phases, complete=not enough
        )

    # What TaskManagers do

    def _resumes(self, hello: messages.Register) -> bool:
        """Whether a TaskManager that was away for a moment keeps its slots."""
        tenure, machine = self.tenure, self.tenure.conductor.machine
        if tenure.request.service is None or tenure.held is None or not tenure.has_begun:
            return False
        if self._succeeding.locked() or self.state is not JobState.RUNNING:
            return False
        wanted = slots_on(machine.regions, hello.taskmanager)
        return self._resuming.may(wanted, hello.running, self._env.clock.monotonic())

    def _registered(self, hello: messages.Register, resumes: bool) -> None:
        if resumes:
            self._keep(self._readopt())
        else:
            self.tenure.registered(hello)

    async def _readopt(self) -> None:
        """Messages may be lost: who has what is asked as by another JobManager."""
        with contextlib.suppress(Exception):  # which has ended this JobManager
            await self.succeed(self.tenure.request, self.tenure.places, adopt=True)

    def _departing(self, name: str, reason: str, within: float) -> None:
        """A TaskManager is to end: its tasks go on elsewhere, or here again when there is a place for them."""
        tenure = self.tenure
        if name not in tenure.places.leaving:
            leaving = tenure.places.leaving | {name}
            tenure.places = dataclasses.replace(tenure.places, leaving=leaving)
            self._keep(self._let_go(tenure, name, reason, within))

    async def _let_go(self, tenure: Tenure, name: str, reason: str, within: float) -> None:
        """With a checkpoint before, if one can be had in half of the time."""
        checkpoints = tenure.conductor.checkpoints
        if checkpoints is not None and self.state is JobState.RUNNING:
            wish = CheckpointRequested(self._env.random.token())
            await first_of(checkpoints.request(wish), self._env.clock.sleep(within / 2))
        why = f"{name} leaves: {reason}"
        self.tenure.conductor.handle(RestartRequested(why, without=name))

    def _received(self, name: str, message: messages.ToJobManager) -> None:
        self.tenure.received(name, message)

    def _lost(self, name: str, reason: str) -> None:
        self._doubts.set()
        tenure = self.tenure
        tenure.places = dataclasses.replace(tenure.places, leaving=tenure.places.leaving - {name})
        tenure.lost(name, reason)


_OVER = (JobState.STOPPING, JobState.ENDED)


async def run_job(
    env: Env, cluster: Cluster, request: JobRequest, listeners: Listeners | None = None
) -> JobResult:
    """Runs one job on a cluster. Raises JobFailed and its kin."""
    return await JobManager(env, request, listeners).run(cluster)
