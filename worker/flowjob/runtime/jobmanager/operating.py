"""Carries out what a cluster's operator asks of a job: operations by id, which may be asked for again and again.

What is to be done is decided in core/operations.py; one comes after the other, only a cancellation waits for nobody.
Operations are forgotten with their JobManager, not what they brought about. It must not know HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec.structs

from flowjob.cluster.control_api import (
    CancelJob,
    ChangeSettings,
    NewAttempt,
    OperationView,
    Rescale,
    Snapshot,
    StopJob,
    TakeCheckpoint,
    TakeSavepoint,
)
from flowjob.cluster.local_requests import AnyRequest
from flowjob.cluster.settings import change_needs_attempt, checkpoints_of, restarts_of, seconds_of
from flowjob.core.checkpoint_settings import CheckpointSettings, Mode
from flowjob.core.coordinator_events import CheckpointRequested, SavepointRequested
from flowjob.core.elements import Stop
from flowjob.core.job_events import RestartRequested
from flowjob.core.operations import ENDED, Effect, Facts, Kind, Refused, Step, decide
from flowjob.core.slot_placement import Places
from flowjob.errors import FlowjobError
from flowjob.runtime.job_description import JobDescription
from flowjob.runtime.jobmanager.checkpoints import CheckpointService
from flowjob.runtime.jobmanager.hosting import Host, Settings
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import JobRequest
from flowjob.runtime.outbox import cancel_all

_log = logging.getLogger("flowjob.jobmanager")

CHECKPOINT_WITHIN = 60.0
"""Seconds for a checkpoint that would be good to have before tasks are started again."""

REMEMBERED = 200
"""Operations that are over."""

_KINDS: dict[type[Any], Kind] = {
    TakeSavepoint: Kind.SAVEPOINT, TakeCheckpoint: Kind.CHECKPOINT, StopJob: Kind.STOP, CancelJob: Kind.CANCEL,
    Rescale: Kind.RESCALE, ChangeSettings: Kind.SETTINGS, NewAttempt: Kind.NEW_ATTEMPT,
}  # fmt: skip


class Unfulfilled(Exception):
    """An operation has failed: `reason` for people, `code` as in docs/jobmanager-api.md."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class Operation:
    """`planned`: how the job is to go on, where that changes."""

    request: AnyRequest
    view: OperationView
    snapshot: Snapshot | None = None
    planned: JobRequest | None = None
    settings: Settings | None = None


class Operations:
    """Of one JobManager process."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[str, Operation] = {}
        self._one = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    def ask(self, id: str, request: AnyRequest) -> OperationView | None:
        """Begins it, unless it is known. None: that id is another request's."""
        known = self._known.get(id)
        if known is not None:
            return known.view if known.request == request else None
        operation = self._known[id] = Operation(request, OperationView(id=id, state="UnderWay"))
        task = asyncio.ensure_future(self._run(operation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        self._forget()
        return operation.view

    def look(self, id: str) -> OperationView | None:
        known = self._known.get(id)
        return None if known is None else known.view

    async def close(self) -> None:
        await cancel_all(list(self._running))

    def _forget(self) -> None:
        over = [id for id, o in self._known.items() if o.view.state != "UnderWay"]
        for id in over[: max(0, len(over) - REMEMBERED)]:
            del self._known[id]

    async def _run(self, operation: Operation) -> None:
        replace = msgspec.structs.replace
        try:
            if isinstance(operation.request, CancelJob):
                await self._carry_out(operation)
            else:
                async with self._one:
                    await self._carry_out(operation)
        except (Unfulfilled, FlowjobError) as error:
            _log.warning(
                "%s: %s", operation.view.id, str(error)
            )  # a record may be kept, and all with it
            operation.view = replace(
                operation.view, state="Failed", error=str(error), error_code=error.code
            )
        except Exception as error:  # noqa: BLE001 - a defect: whoever asked has to hear of it
            _log.exception("%s", operation.view.id)
            operation.view = replace(
                operation.view, state="Failed", error=repr(error), error_code="ENGINE"
            )
        else:
            operation.view = replace(operation.view, state="Done", snapshot=operation.snapshot)

    async def _carry_out(self, operation: Operation) -> None:
        decision = decide(_KINDS[type(operation.request)], await self._facts(operation))
        if isinstance(decision, Refused):
            raise Unfulfilled(decision.code, decision.reason)
        if isinstance(operation.request, StopJob) and not decision:
            operation.snapshot = self._host.view().final
        for step in decision:
            await self._steps()[step](operation)

    # -- what is the case

    async def _facts(self, operation: Operation) -> Facts:
        host, request = self._host, operation.request
        checkpoints = self._checkpoints_or_none()
        facts: dict[str, Any] = {"state": host.state, "keeps": host.planner.checkpoints is not None}
        match request:
            case TakeSavepoint(name=name) | StopJob(name=name) if checkpoints is not None:
                found = await checkpoints.store.savepoint(name)
                ends = found is not None and checkpoints.store.ends_with(found)
                if found is not None and (ends or isinstance(request, TakeSavepoint)):
                    operation.snapshot, facts["savepoint"] = host.facts.of(found), True
                else:
                    facts["in_the_way"] = await checkpoints.savepoint_in_the_way(name)
            case Rescale():
                facts.update(await self._rescaling(operation, request))
            case ChangeSettings():
                facts["effect"] = self._effect(operation, request)
        return Facts(**facts)

    async def _rescaling(self, operation: Operation, request: Rescale) -> dict[str, Any]:
        host, places = self._host, Places(request.task_managers)
        manager = host.manager
        if manager is None or host.state in ENDED:
            return {}
        try:
            planned = await host.env.run_blocking(
                host.planner.request, request.parallelism, host.settings
            )
        except FlowjobError as error:
            return {"plan_error": str(error)}
        operation.planned = _deliberate(planned)
        offers = manager.sessions.offers()
        living = [s.taskmanager for s in manager.tenure.conductor.machine.slots.values()]
        return {
            "parallelism": manager.tenure.request.job.parallelism,
            "wanted": request.parallelism,
            "placed": all(places.usable(name, 1) for name in living),
            "needed": max((v.parallelism for v in planned.graph.vertices), default=0),
            "offered": sum(places.usable(name, slots) for name, slots in offers.items()),
        }

    def _effect(self, operation: Operation, request: ChangeSettings) -> Effect:
        """Raises PlanError."""
        host = self._host
        now = host.settings.checkpoints or host.planner.checkpoints
        base = host.planner.program_checkpoints
        wanted = None if now is None else checkpoints_of(request.checkpoints, base)
        strategy = restarts_of(request.restarts, None if wanted is None else wanted.strategy())
        operation.settings = Settings(wanted, strategy)
        if now is not None and wanted is not None and change_needs_attempt(now, wanted):
            return Effect.ATTEMPT
        return Effect.LIVE

    # -- the steps

    def _steps(self) -> dict[Step, Callable[[Operation], Awaitable[None]]]:
        return {
            Step.SAVEPOINT: self._savepoint,
            Step.CHECKPOINT: self._checkpoint,
            Step.TRY_CHECKPOINT: self._try_checkpoint,
            Step.STOP: self._stop,
            Step.CANCEL: self._cancel,
            Step.END: self._ended,
            Step.RECLAIM: self._reclaim,
            Step.CHANGE: self._change,
            Step.RESTART: self._restart,
            Step.RUN: self._run_again,
        }

    @property
    def _manager(self) -> JobManager:
        manager = self._host.manager
        if manager is None or not self._host.is_leading:
            raise Unfulfilled("NOT_LEADING", "this JobManager does not lead the job any more")
        return manager

    def _checkpoints_or_none(self) -> CheckpointService | None:
        manager = self._host.manager
        return None if manager is None else manager.tenure.conductor.checkpoints

    @property
    def _checkpoints(self) -> CheckpointService:
        checkpoints = self._manager.tenure.conductor.checkpoints
        if checkpoints is None:
            raise Unfulfilled("NO_STORAGE", "the job takes no snapshots")
        return checkpoints

    async def _savepoint(self, operation: Operation) -> None:
        request, checkpoints = operation.request, self._checkpoints
        assert isinstance(request, TakeSavepoint)
        token = self._host.env.random.token()
        answer = await checkpoints.request(SavepointRequested(token, request.name))
        if answer.failure is not None:
            raise Unfulfilled("SAVEPOINT_FAILED", answer.failure)
        found = await checkpoints.store.savepoint(request.name)
        operation.snapshot = None if found is None else self._host.facts.of(found)

    async def _checkpoint(self, operation: Operation) -> None:
        checkpoints = self._checkpoints
        token = self._host.env.random.token()
        answer = await checkpoints.request(CheckpointRequested(token))
        if answer.failure is not None:
            raise Unfulfilled("CHECKPOINT_FAILED", answer.failure)
        newest = checkpoints.newest
        if newest is not None:
            checksum = checkpoints.store.checksum(newest)
            operation.snapshot = self._host.facts.of(newest, checksum)

    async def _try_checkpoint(self, operation: Operation) -> None:
        try:
            await self._within(CHECKPOINT_WITHIN, self._checkpoint(operation))
        except (TimeoutError, Unfulfilled) as error:
            _log.warning("going on from an older checkpoint: %s", error or "none came in time")

    async def _stop(self, operation: Operation) -> None:
        request = operation.request
        assert isinstance(request, StopJob)
        stop = Stop.DRAIN if request.drain else Stop.SUSPEND
        token = self._host.env.random.token()
        wish = SavepointRequested(token, request.name, stop)
        limit = seconds_of("timeout", request.timeout)
        try:
            answer = await self._within(limit, self._checkpoints.request(wish))
        except TimeoutError:
            # Whoever asked may go on otherwise: then this stop must not come true behind their back.
            self._checkpoints.abort(request.name, "it took too long")
            raise Unfulfilled(
                "STOP_TIMEOUT", f"the savepoint was not complete within {request.timeout}"
            ) from None
        if answer.failure is not None and self._host.state != "Suspended":
            raise Unfulfilled("SAVEPOINT_FAILED", answer.failure)

    async def _cancel(self, operation: Operation) -> None:
        self._manager.cancel("asked for by the operator")

    async def _ended(self, operation: Operation) -> None:
        host = self._host
        await self._until(lambda: host.state in ENDED)
        operation.snapshot = host.view().final
        if isinstance(operation.request, StopJob) and host.state != "Suspended":
            raise Unfulfilled("ENDED", f"the job has ended before the savepoint: {host.state}")
        if isinstance(operation.request, CancelJob) and operation.request.discard:
            await host.discard()

    async def _reclaim(self, operation: Operation) -> None:
        host, request, planned = self._host, operation.request, operation.planned
        assert isinstance(request, Rescale)
        assert planned is not None
        host.tenure_ends()
        try:
            await self._manager.succeed(planned, Places(request.task_managers), adopt=False)
        except ValueError as error:
            raise Unfulfilled("ENDING", str(error)) from None
        host.rescaled(request.parallelism)

    async def _change(self, operation: Operation) -> None:
        host, settings, manager = self._host, operation.settings, self._manager
        assert settings is not None
        conductor = manager.tenure.conductor
        if settings.checkpoints is not None and conductor.checkpoints is not None:
            conductor.checkpoints.change(settings.checkpoints.settings())
            conductor.job = described(conductor.job, settings.checkpoints.settings())
        conductor.machine.restarts = settings.restarts
        host.settings = settings

    async def _restart(self, operation: Operation) -> None:
        request = operation.request
        reason = request.reason if isinstance(request, NewAttempt) else "its settings have changed"
        self._manager.tenure.conductor.handle(RestartRequested(reason))

    async def _run_again(self, operation: Operation) -> None:
        host = self._host
        await self._until(lambda: host.state == "Running" or host.state in ENDED)
        if host.state in ENDED:
            raise Unfulfilled("ENDED", f"the job is {host.state.lower()}")

    # -- waiting

    async def _until(self, there: Callable[[], bool]) -> None:
        while not there():
            await self._host.changed.wait()

    async def _within(self, seconds: float, work: Awaitable[Any]) -> Any:
        """Its result. Raises TimeoutError; it is left then."""
        doing = asyncio.ensure_future(work)
        alarm = asyncio.ensure_future(self._host.env.clock.sleep(seconds))
        try:
            await asyncio.wait([doing, alarm], return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise TimeoutError
            return doing.result()
        finally:
            await cancel_all([alarm, doing])


def described(job: JobDescription, settings: CheckpointSettings) -> JobDescription:
    """What tasks that are started from here on are told."""
    if job.checkpoints is None:
        return job
    plan = msgspec.structs.replace(
        job.checkpoints,
        exactly_once=settings.mode is Mode.EXACTLY_ONCE,
        alignment_timeout=settings.task_alignment_timeout,
        spill_bytes=settings.spill_bytes,
        expires=settings.timeout,
    )
    return msgspec.structs.replace(job, checkpoints=plan)


def _deliberate(request: JobRequest) -> JobRequest:
    """Its parallelism is to hold from here on."""
    service = request.service
    if service is None or service.cluster is None:
        return request
    cluster = dataclasses.replace(service.cluster, rescales=True)
    return dataclasses.replace(request, service=dataclasses.replace(service, cluster=cluster))
