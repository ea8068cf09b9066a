"""What is asked of a job of this machine besides what any JobManager does: to rest, to go on, to become another
program, to have more slots; and work on its snapshots.

The runs are local_hosting.py's, what any JobManager does is jobmanager/operating.py's. It must not know HTTP."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import msgspec.structs

from flowjob.cluster.control_api import (
    CancelJob,
    OperationView,
    Rescale,
    Snapshot,
    StopJob,
)
from flowjob.cluster.local_requests import (
    AnyRequest,
    DeleteSnapshot,
    RestoreJob,
    ResumeJob,
    SuspendJob,
    UpgradeJob,
    VerifySnapshot,
)
from flowjob.core.operations import ENDED
from flowjob.runtime.jobmanager.operating import Operation, Operations, Unfulfilled
from flowjob.runtime.jobmanager.request import LATEST, StartFrom
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint
from flowjob.runtime.observing import local_snapshots
from flowjob.runtime.observing.details import AskedOperations
from flowjob.runtime.observing.local_program import Program, tried, upgraded
from flowjob.runtime.outbox import first_of

if TYPE_CHECKING:
    from flowjob.runtime.observing.local_hosting import LocalHost, LocalRun

MOST_SLOTS: Final = 64
"""Processes that a wish from outside may start on this machine; `flowjob run -p` may say more."""
SLOTS_WITHIN: Final = 60.0
"""Seconds for a TaskManager to start."""
TAKING_WITHIN: Final = 2.0
"""Seconds from the run of all tasks until snapshots are taken, if any are."""
ALL: Final = 1_000_000
"""TaskManagers that may stay: what is counted in a cluster, and is one machine here."""


class LocalOperations(Operations):
    """Of one LocalRun."""

    def __init__(self, host: LocalHost, run: LocalRun) -> None:
        super().__init__(host)
        self._local = host
        self._run_of = run

    def newest(self) -> RestorePoint | None:
        """The snapshot that the job would go on from now."""
        checkpoints = self._checkpoints_or_none()
        return None if checkpoints is None else checkpoints.newest

    async def _carry_out(self, operation: Operation) -> None:
        request: Any = operation.request
        match request:
            case SuspendJob():
                await self._suspend(operation, request.name, drain=request.drain)
            case ResumeJob():
                await self._resume(request)
            case RestoreJob():
                await self._restore(request)
            case UpgradeJob():
                await self._upgrade(operation, request)
            case VerifySnapshot():
                operation.snapshot = await local_snapshots.verify(self._places(), request.name)
            case DeleteSnapshot():
                await local_snapshots.delete(self._places(), request.name, self._needed())
            case CancelJob() | StopJob() if self._run_of.rests:
                operation.snapshot = self._local.view().final
                self._run_of.dismiss()
            case CancelJob():
                self._run_of.keeps = False
                await super()._carry_out(operation)
            case _:
                await super()._carry_out(operation)

    # -- snapshots

    def _places(self) -> local_snapshots.Places:
        """Raises Unfulfilled."""
        request = self._local.observer.request
        plan = None if request is None else request.job.checkpoints
        if plan is None:
            raise Unfulfilled("NO_STORAGE", "the job keeps no snapshots (--no-checkpoints)")
        return local_snapshots.Places(self._local.env, plan)

    def _needed(self) -> str | None:
        """Where the job would go on from."""
        final: Snapshot | None = self._local.view().final
        return None if final is None else final.path

    # -- resting and going on

    async def _suspend(self, operation: Operation, name: str, *, drain: bool) -> None:
        """Until it rests."""
        run = self._run_of
        if run.rests:
            operation.snapshot = self._local.view().final
            return
        run.keeps = True
        stop = Operation(StopJob(name=name, drain=drain), operation.view)
        try:
            await super()._carry_out(stop)
        except BaseException:
            run.keeps = False
            raise
        operation.snapshot = stop.snapshot
        await self._until(lambda: run.rests or not run.keeps)

    async def _resume(self, wish: ResumeJob) -> None:
        if not self._run_of.rests:
            raise Unfulfilled("ENDED", "the job is not suspended: there is nothing to resume")
        program = self._local.planner.program
        if wish.parallelism is not None:
            program = dataclasses.replace(program, parallelism=wish.parallelism)
        _check_slots(wish.parallelism, program)
        await self._begin(program, StartFrom(self._suspended_at()))

    async def _restore(self, wish: RestoreJob) -> None:
        """From what is there and can be read, or nothing is stopped."""
        path = await local_snapshots.place_of(self._places(), wish.name, wish.path)
        if not self._run_of.rests:
            await self._stop_at_once("it goes back to a snapshot")
        await self._begin(self._local.planner.program, StartFrom(path))

    def _suspended_at(self) -> str:
        final = self._local.view().final
        if final is None:
            raise Unfulfilled("NO_STORAGE", "the job was stopped without a savepoint")
        return final.path

    async def _begin(self, program: Program, start: StartFrom) -> None:
        """Another run of a job that rests, until it runs."""
        run, host = self._run_of, self._local
        number = await run.begin(program, start)
        await self._until(
            lambda: (
                number in run.refusals
                or (run.runs >= number and (host.state == "Running" or host.state in ENDED))
            )
        )
        refusal = run.refusals.pop(number, None)
        if refusal is not None:
            raise Unfulfilled(
                refusal.code, f"it could not be started, and is suspended as it was: {refusal}"
            )
        run.keeps = False
        # Who asks for a savepoint right behind is not to be told that it came too early.
        await first_of(self._until_taking(), host.env.clock.sleep(TAKING_WITHIN))
        if host.state == "Failed":
            raise Unfulfilled("ENDED", f"the job has failed: {host.view().error}")

    async def _until_taking(self) -> None:
        while (checkpoints := self._checkpoints_or_none()) and not checkpoints.has_begun:
            await self._host.env.clock.sleep(0.02)

    async def _upgrade(self, operation: Operation, wish: UpgradeJob) -> None:
        host = self._local
        program = host.planner.program
        _check_slots(wish.parallelism, program)
        manager = host.manager
        digest = "" if manager is None else manager.tenure.request.job.digest
        found = await host.env.run_blocking(tried, program, wish, self.newest(), digest)
        if not found.accepted:
            raise Unfulfilled(found.error_code or "PLAN", "; ".join(found.problems))
        following = await host.env.run_blocking(upgraded, program, wish)
        start = await self._stopped(operation, wish)
        await self._begin(following, start)

    async def _stopped(self, operation: Operation, wish: UpgradeJob) -> StartFrom:
        """Where the next run begins."""
        run = self._run_of
        allow = wish.allow_non_restored
        if run.rests or wish.mode == "Savepoint":
            await self._suspend(operation, wish.name, drain=False)
            self._check_rests()
            stateless = wish.mode == "Stateless"
            return StartFrom(None if stateless else self._suspended_at(), allow_non_restored=allow)
        await self._stop_at_once("it is upgraded")
        start = LATEST if wish.mode == "LastState" else None
        return StartFrom(start, allow_non_restored=allow)

    async def _stop_at_once(self, why: str) -> None:
        """Without a savepoint; another run is to follow."""
        run, host = self._run_of, self._local
        run.keeps = True
        self._manager.cancel(why)
        await self._until(
            lambda: run.rests or not run.keeps or host.state in ("Finished", "Failed")
        )
        self._check_rests()

    def _check_rests(self) -> None:
        if not self._run_of.rests:
            self._run_of.keeps = False
            raise Unfulfilled("ENDED", f"the job is {self._local.state.lower()}")

    # -- more slots

    async def _rescaling(self, operation: Operation, request: Rescale) -> dict[str, Any]:
        found = await super()._rescaling(operation, request)
        missing = found.get("needed", 0) - found.get("offered", 0)
        if missing <= 0 or self._host.state != "Running":
            return found
        _check_slots(request.parallelism, self._local.planner.program)
        await self._run_of.cluster.grow(missing)
        await first_of(
            self._until_offered(found["needed"]), self._host.env.clock.sleep(SLOTS_WITHIN)
        )
        return {**found, "offered": self._offered()}

    async def _until_offered(self, slots: int) -> None:
        while self._offered() < slots:
            await self._host.env.clock.sleep(0.05)

    def _offered(self) -> int:
        manager = self._host.manager
        return 0 if manager is None else sum(manager.sessions.offers().values())


def _check_slots(parallelism: int | None, program: Program) -> None:
    """Raises Unfulfilled."""
    most = max(MOST_SLOTS, program.parallelism)
    if parallelism is not None and parallelism > most:
        raise Unfulfilled(
            "SLOTS_UNAVAILABLE",
            f"parallelism {parallelism} would be as many processes on this machine, and at most {most} are started on "
            f"request. Start it with them: flowjob run … -p {parallelism} --from latest",
        )


class AskedLocally(AskedOperations):
    """A job_details.JobOperations."""

    async def ask(self, id: str, request: AnyRequest) -> OperationView:
        if isinstance(request, Rescale):
            request = msgspec.structs.replace(request, task_managers=ALL)
        return await super().ask(id, request)
