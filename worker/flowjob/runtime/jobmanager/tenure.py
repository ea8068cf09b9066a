"""The time from one claim of the job to its end, or to the next claim: who leads, what runs, what is decided.

A JobManager has one after the other: a job that is to run otherwise (another parallelism), or whose TaskManagers have
come back, is taken over by the next tenure as it is by another JobManager after a failover. It must not know why."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import msgspec.structs

from flowjob.core.job_adopting import Takeover
from flowjob.core.job_events import TaskManagerLost, TaskManagerRegistered
from flowjob.core.slot_placement import Places
from flowjob.errors import FlowjobError
from flowjob.runtime import messages
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.adopting import Adopting, Outcome, Wanted
from flowjob.runtime.jobmanager.conducting import Conductor
from flowjob.runtime.jobmanager.leading import Lead, take_lead
from flowjob.runtime.jobmanager.request import JobRequest, Listeners, TookOver
from flowjob.runtime.jobmanager.sessions import Sessions
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore

_log = logging.getLogger("flowjob.jobmanager")


@dataclass(frozen=True, slots=True)
class Way:
    """To the JobManager.

    listeners   of its client
    sessions    of its TaskManagers
    finished    the tenure's job has ended
    stand_down  it must not go on
    """

    listeners: Listeners
    sessions: Sessions
    finished: Callable[[Tenure], None]
    stand_down: Callable[[Tenure, Exception], None]


class Tenure:
    """Call `lead`, then `begin`. `places`: which slots of TaskManagers may be used."""

    def __init__(self, env: Env, request: JobRequest, way: Way, places: Places) -> None:
        self._env = env
        self._way = way
        self.request = request
        self.places = places
        self.conductor = Conductor(
            env, request, way.listeners, way.sessions, partial(way.finished, self)
        )
        self.held: Lead | None = None
        self.resigned = False
        self._adopting: Adopting | None = None
        self._begun = False

    @property
    def has_begun(self) -> bool:
        """Decisions are made: nothing is waited for any more."""
        return self._begun and self._adopting is None

    async def lead(self, address: str, store: SnapshotStore | None = None) -> None:
        """Claims the job, if it has a log to claim. `store`: see take_lead. Raises StorageError, SnapshotError,
        AlreadyEnded."""
        shell = self.conductor.shell(partial(self._way.stand_down, self))
        lead = self.held = await take_lead(self._env, self.request, shell, address, store)
        if lead is not None:
            _log.info("leads the job: claim %d of its log", lead.generation)
            conductor = self.conductor
            conductor.job = msgspec.structs.replace(conductor.job, run_id=lead.run)
            conductor.checkpoints = lead.checkpoints
            conductor.telling.attempts_before = lead.attempts_before
            await conductor.deployment.begin(
                lead.checkpoints, lead.initial, stand_in=not lead.continues
            )

    async def begin(self, *, adopt: bool) -> None:
        """Has the tasks running, or on their way. `adopt`: those of the tenure before may still be there; without it
        nothing is waited for."""
        conductor, lead, sessions = self.conductor, self.held, self._way.sessions
        if lead is None:
            self._begun = True
            sessions.generation = 1
            conductor.start(1, saved=True, found=None)
            return
        found = None
        if adopt:
            run, digest, generation = lead.run, conductor.job.digest, lead.generation
            wanted = Wanted(conductor.machine.shape, run, digest, generation)
            self._adopting = Adopting(self._env.clock, wanted, conductor.ask_inventory)
        sessions.keeping, sessions.generation = adopt, lead.generation
        sessions.renew()
        self._begun = True
        if self._adopting is not None:
            found = await self._adopt(self._adopting, lead)
        if lead.over:
            found = found or Outcome(Takeover(), lead.store.state.highest)
            found = replace(found, takeover=replace(found.takeover, over=True))
        conductor.start(lead.attempts_before + 1, saved=lead.initial is not None, found=found)

    async def _adopt(self, adopting: Adopting, lead: Lead) -> Outcome:
        """What is left of the tenure before."""
        service, conductor = self.request.service, self.conductor
        assert service is not None
        await adopting.wait(service.adopt_within)
        self._adopting, self._way.sessions.keeping = None, False
        outcome = adopting.decide(lead.store.state.highest)
        source = conductor.deployment.source
        told = "nothing is left to do" if lead.over and not outcome.goes_on else outcome.told
        conductor.tell(TookOver(f"took the job over at {source}; {told}"))
        return outcome

    async def resign(self) -> None:
        """Nothing more goes into the log under this claim: what is on its way is certain when this returns."""
        self.resigned = True
        if self.held is not None:
            await self.held.store.resign()

    async def leave(self) -> None:
        """Another tenure has the job: lets go of everything but the tasks."""
        await self.conductor.close()
        if self.held is not None:
            with contextlib.suppress(FlowjobError):
                await self.held.checkpoints.close("another tenure goes on", tidy=False)
        await self.conductor.close_deadlines()

    # -- what TaskManagers do

    def registered(self, hello: messages.Register) -> None:
        slots = self.places.usable(hello.taskmanager, hello.slots)
        if self._adopting is not None:
            self._adopting.registered(msgspec.structs.replace(hello, slots=slots))
        else:
            self.conductor.handle(TaskManagerRegistered(hello.taskmanager, slots))

    def lost(self, name: str, reason: str) -> None:
        if self._adopting is not None:
            self._adopting.lost(name)
        else:
            self.conductor.handle(TaskManagerLost(name, reason))

    def received(self, name: str, message: messages.ToJobManager) -> None:
        if self._adopting is not None:
            self._adopting.received(name, message)
        else:
            self.conductor.received(name, message)
