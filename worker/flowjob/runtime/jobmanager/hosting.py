"""A cluster's job in this process: leads it, stands by, waits for its storage, refuses it; and stays when it is over.

Whoever keeps the process up learns from the view (cluster/control_api.py) what is the case, never from an exit: only
SIGTERM ends it. What is asked of the job is operating.py's; it must not know HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from dataclasses import dataclass
from typing import Any, Protocol

from flowjob.checkpointing import Checkpoints
from flowjob.cluster.control_api import JobManagerView, NotLeader, Snapshot
from flowjob.core.job_machine import JobState
from flowjob.core.restartable import RestartStrategy
from flowjob.core.snapshot_log import DISCARDED
from flowjob.errors import (
    AlreadyEnded,
    FlowjobError,
    JobCancelled,
    JobFailed,
    LostLeadership,
    OutdatedRevision,
    StoodDown,
    StorageError,
)
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.cluster import Elsewhere
from flowjob.runtime.jobmanager.leading import ATTEMPTS_PER_GENERATION
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import (
    JobEvent,
    JobRequest,
    Listeners,
    Replan,
    WorkersLost,
)
from flowjob.runtime.jobmanager.snapshot_store import SnapshotStore
from flowjob.runtime.jobmanager.viewing import (
    STATES,
    SnapshotFacts,
    checkpointing_of,
    shortened,
    slots_of,
    when,
)
from flowjob.runtime.observing.observer import Observer
from flowjob.runtime.observing.watching import Guarded
from flowjob.runtime.outbox import first_of
from flowjob.runtime.storage.discarding import discard_checkpoints
from flowjob.runtime.storage.paths import JobPaths

_log = logging.getLogger("flowjob.jobmanager")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a job whose storage does not answer is begun again."""

_ENDS = {
    "succeeded": "Finished",
    "suspended": "Suspended",
    "cancelled": "Cancelled",
    DISCARDED: "Cancelled",
    "failed": "Failed",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What was changed while the job ran, and holds for whatever is planned next; None: as in the job file."""

    checkpoints: Checkpoints | None = None
    restarts: RestartStrategy | None = None


class Planner(Protocol):
    """The job file with its program, or another source of requests."""

    @property
    def uid(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def parallelism(self) -> int: ...
    @property
    def api_port(self) -> int: ...
    @property
    def checkpoints(self) -> Checkpoints | None: ...
    @property
    def program_checkpoints(self) -> Checkpoints | None: ...

    def request(self, parallelism: int, settings: Settings) -> JobRequest:
        """Blocking. Raises PlanError and its kin, and whatever else keeps the job from being planned."""
        ...


class Host:
    """`run` returns when this JobManager was told to leave; `finished` is called with the manager of a run that has
    ended well, before it is forgotten."""

    def __init__(
        self, env: Env, planner: Planner, listeners: Listeners | None = None, version: str = ""
    ) -> None:
        self.env = env
        self.planner = planner
        self.settings = Settings()
        self.manager: JobManager | None = None
        self.changed = asyncio.Event()
        self.facts = SnapshotFacts()
        self.observer = Observer(env)
        self._version = version
        self._listeners = listeners or Listeners()
        self._leaving = asyncio.Event()
        self._parallelism = planner.parallelism
        self._end = ""
        self._refused = False
        self._leader = ""
        self._error: str | None = None
        self._code: str | None = None
        self._restarts = 0
        self._completed = 0
        self._started = self._ended = 0
        self._final: Snapshot | None = None
        self._last: JobManagerView | None = None

    # -- the life of the process

    def leave(self, reason: str) -> None:
        """Goes away; the job goes on."""
        self._leaving.set()
        if self.manager is not None:
            self.manager.leave(reason)

    async def run(self) -> None:
        """Until `leave`."""
        pause = FIRST_PAUSE
        while not self._leaving.is_set():
            try:
                await self._lead()
            except Replan as other:
                self._parallelism = other.parallelism
                continue
            except StoodDown:
                return
            except OutdatedRevision as error:
                self._leader = error.leader
                self._forget()
            except LostLeadership as error:
                _log.warning("%s", error)
                self._forget()
                await first_of(self.env.clock.sleep(FIRST_PAUSE), self._leaving.wait())
                continue
            except StorageError as error:
                self._fail(error)
                self._forget()
                await first_of(self.env.clock.sleep(pause), self._leaving.wait())
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self._note()
            await self._leaving.wait()

    async def _lead(self) -> None:
        """Returns when the job is over, or was refused."""
        began = self.env.clock.monotonic()
        try:
            request = await self.env.run_blocking(
                self.planner.request, self._parallelism, self.settings
            )
            took = self.env.clock.monotonic() - began
            _log.info("planned the job for parallelism %d in %.1f s", self._parallelism, took)
            manager = self.manager = JobManager(self.env, request, self.heard())
            if self._leaving.is_set():
                manager.leave("told to leave")
            await manager.run(Elsewhere())
            self._over("suspended" if self._is_stopped(manager) else "succeeded")
        except AlreadyEnded:
            await self._read_end()
        except JobCancelled as error:
            self._over("cancelled", error)
        except JobFailed as error:
            self._over("failed", error)
        except (StorageError, StoodDown):
            raise
        except FlowjobError as error:
            self._refused = True
            self._fail(error)

    def heard(self) -> Listeners:
        """What a JobManager is to tell: its client's listeners, and this host."""
        return dataclasses.replace(
            self._listeners,
            on_state=self._on_state,
            on_event=self._on_event,
            watcher=Guarded(self.observer),
        )

    def _on_state(self, state: JobState) -> None:
        self._note()
        if self._listeners.on_state is not None:
            self._listeners.on_state(state)

    def _is_stopped(self, manager: JobManager) -> bool:
        lead = manager.tenure.held
        return lead is not None and lead.store.state.stopped

    def _over(self, end: str, error: FlowjobError | None = None) -> None:
        """The job's end under this JobManager."""
        if end == "cancelled":
            self._error, self._code = None, None
        elif error is not None:
            self._fail(error)
        checkpoints = None if self.manager is None else self.manager.tenure.conductor.checkpoints
        newest = None if checkpoints is None else checkpoints.newest
        if end == "suspended" and checkpoints is not None and newest is not None:
            self._final = self.facts.of(newest, checkpoints.store.checksum(newest))
        self._last = self.view()
        self._end, self._ended = end, self.env.clock.wall()

    async def _read_end(self) -> None:
        """The run had ended before this JobManager was started: the log says how."""
        assert self.manager is not None
        plan = self.manager.tenure.request.job.checkpoints
        assert plan is not None
        store = SnapshotStore(self.env, plan.location, plan.root)
        try:
            state = await store.look()
            if state.newest is not None and state.stopped:
                point = await store.read(state.newest)
                self._final = self.facts.of(point, state.newest.digest)
        finally:
            await store.close()
        self._end = state.ended
        self._error, self._code = state.reason or None, state.code or None

    def _fail(self, error: FlowjobError) -> None:
        text = str(error)
        if text != self._error:  # once per outage
            _log.error("error[%s]: %s", error.code, text)
        self._error, self._code = text, error.code
        self._note()

    def _forget(self) -> None:
        self.manager = None
        self._note()

    def _note(self) -> None:
        """Something is the case that those who wait want to look at."""
        if self._started == 0 and self.manager is not None and self.manager.is_leading:
            self._started = self.env.clock.wall()
        self.changed.set()
        self.changed = asyncio.Event()

    def _on_event(self, event: JobEvent) -> None:
        if isinstance(event, WorkersLost):
            self._restarts += event.counts
            self._error, self._code = event.text, None
        if self._listeners.on_event is not None:
            self._listeners.on_event(event)

    def rescaled(self, parallelism: int) -> None:
        """The job goes on with it, also after its leadership was lost and won again."""
        self._parallelism = parallelism
        self._note()

    async def discard(self) -> None:
        """Deletes what checkpoints the job has left: it is over, and is not to go on. Raises StorageError."""
        plan = None if self.manager is None else self.manager.tenure.request.job.checkpoints
        if plan is None or self.env.open_store is None:
            return
        store = self.env.open_store(plan.location)
        try:
            await discard_checkpoints(self.env, store, JobPaths(plan.root))
        finally:
            await store.close()

    def tenure_ends(self) -> None:
        """Its figures are to be kept: another one begins."""
        if self.manager is not None and self.manager.tenure.conductor.checkpoints is not None:
            self._completed += self.manager.tenure.conductor.checkpoints.completed

    # -- what it says

    @property
    def state(self) -> str:
        """As in JobManagerView."""
        if self._end:
            return _ENDS.get(self._end, "Failed")
        if self._refused:
            return "Failed"
        if self.manager is None or not self.manager.is_leading:
            return "Waiting"
        return STATES[self.manager.state]

    @property
    def is_leading(self) -> bool:
        return self.manager is not None and self.manager.is_leading and not self._end

    @property
    def is_ready(self) -> bool:
        """It leads, stands by, or has said its last word."""
        listens = self.manager is not None
        return bool(self._end) or self._refused or listens

    def answer(self) -> JobManagerView | NotLeader:
        """To who asks for the status."""
        waits_for_storage = self._error is not None and self.manager is None
        if self._end or self._refused or self.is_leading or waits_for_storage:
            return self.view()
        leader = self._leader
        if self.manager is not None:
            leader = self.manager.sessions.leader.removeprefix("ws://").removeprefix("wss://")
        host = leader.rpartition(":")[0]
        return NotLeader(leader=f"{host}:{self.planner.api_port}" if host else None)

    def view(self) -> JobManagerView:
        """Of the job, as this JobManager knows it."""
        facts = self._running_facts() if self.is_leading else {}
        if self._last is not None and self._end:
            facts = {
                "leader": self._last.leader, "attempt": self._last.attempt, "parallelism": self._last.parallelism,
                "max_parallelism": self._last.max_parallelism, "checkpoints": self._last.checkpoints,
            }  # fmt: skip
        state: Any = self.state
        return JobManagerView(
            version=self._version,
            uid=self.planner.uid,
            revision=self.planner.revision,
            state=state,
            restarts=self._restarts,
            started_at=when(self._started) if self._started else None,
            ended_at=when(self._ended) if self._ended else None,
            error=None if self._error is None else shortened(self._error),
            error_code=self._code,
            final=self._final,
            **facts,
        )

    def _running_facts(self) -> dict[str, Any]:
        assert self.manager is not None
        tenure = self.manager.tenure
        machine, graph = tenure.conductor.machine, tenure.request.graph
        before = 0 if tenure.held is None else tenure.held.attempts_before
        # Tasks that were taken over are in an attempt of the JobManager before: counted from 1, as its were.
        attempts = [
            (region.attempt - before) % ATTEMPTS_PER_GENERATION for region in machine.regions
        ]
        return {
            "leader": self.manager.sessions.generation,
            "attempt": max(attempts, default=0),
            "parallelism": tenure.request.job.parallelism,
            "max_parallelism": graph.max_parallelism,
            "slots": slots_of(machine.shape.slots, self.manager.sessions, tenure.places),
            "checkpoints": checkpointing_of(
                tenure.conductor.checkpoints, self._completed, self.facts
            ),
        }
