"""One look at an object: read it, gather what is around it, decide, write the status, and only then act.

The order is what makes it harmless that an operator dies at any point: whatever is done is already written down. A
status that somebody else has written meanwhile is a conflict, and the look begins anew. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import structlog
from pydantic import ValidationError

from flowjob_operator.core.actions import Action, Outcome, SnapshotOutcome
from flowjob_operator.core.observed import Observed, SnapshotObserved
from flowjob_operator.process.asking.jobmanagers import Refused, Silent
from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Resource, Unreachable
from flowjob_operator.process.cluster.mirror import Mirror
from flowjob_operator.process.leading.claims import Claims, Foreign
from flowjob_operator.process.looks.applying import Applier, Stale, Subject
from flowjob_operator.process.looks.observing import Observer
from flowjob_operator.process.queue import FORGET, Again, Answer, Slow
from flowjob_operator.process.remembered import Remembered
from flowjob_operator.process.telling.events import Events, Regarding
from flowjob_operator.process.telling.logs import about
from flowjob_operator.process.telling.tallies import Tallies
from flowjob_operator.resources.kinds import FlowJob, FlowSnapshot

log: Final = structlog.get_logger("flowjob_operator.reconciling")

STALE_SECONDS: Final = 0.5
SILENT_SECONDS: Final = 3.0
FOREIGN_SECONDS: Final = 30.0
SNAPSHOT_SECONDS: Final = 600.0

Kind = Literal["FlowJob", "FlowSnapshot"]


@dataclass(frozen=True, slots=True)
class Key:
    """What the queue holds."""

    kind: Kind
    namespace: str
    name: str


class Decisions(Protocol):
    """Pure: what was observed goes in, a status and actions come out."""

    def of_job(self, observed: Observed) -> Outcome: ...

    def of_snapshot(self, observed: SnapshotObserved) -> SnapshotOutcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    api: Api
    mirror: Mirror
    observer: Observer
    decisions: Decisions
    applier: Applier
    claims: Claims
    events: Events
    remembered: Remembered
    tallies: Tallies
    forget: Callable[[str, str], None]
    """A FlowJob that is gone: namespace and name"""
    closed: Callable[[str], str | None]
    """Why nothing may be done in a namespace"""
    noted: Callable[[Object], None] = lambda _: None
    dry_run: bool = False


class Reconciler:
    def __init__(self, parts: Parts) -> None:
        self._with = parts

    async def look(self, key: Key) -> Answer:
        """The work of the queue. Raises what failed, to be tried again."""
        with about(kind=key.kind, namespace=key.namespace, name=key.name):
            try:
                return await self._look(key)
            except Stale as stale:
                log.debug("something has changed meanwhile", what=str(stale))
                return Again(STALE_SECONDS)
            except Foreign as foreign:
                log.warning("left alone", why=str(foreign))
                return Again(FOREIGN_SECONDS)
            except Silent as silent:
                # The look after the next answer, or deadline, goes on: that is no fault of this look.
                log.info("the JobManager could not be asked", why=str(silent))
                return Again(SILENT_SECONDS)
            except ApiError as error:
                return self._after(error, key)

    def _after(self, error: ApiError, key: Key) -> Answer:
        if error.is_namespace_terminating:
            self._with.remembered.ending.put(key.namespace, True)
            log.info("the namespace is being deleted")
            return Again(STALE_SECONDS)
        if error.retry_after > 0 or error.status == 429:
            raise Slow(str(error), max(error.retry_after, 1.0)) from error
        raise error

    async def _look(self, key: Key) -> Answer:
        resource = kinds.resource_of_kind(key.kind)
        if self._with.closed(key.namespace) is not None:
            return Again(FOREIGN_SECONDS)
        try:
            found = await self._with.api.get(resource, key.namespace, key.name)
        except ApiError as error:
            if error.is_not_found:
                self._is_gone(resource, key)
                return FORGET
            raise
        found.setdefault("apiVersion", resource.api_version)
        found.setdefault("kind", resource.kind)
        self._with.mirror.note(resource, found)
        await self._with.claims.check(key.namespace)
        try:
            of = FlowJob.of(found) if key.kind == "FlowJob" else FlowSnapshot.of(found)
        except ValidationError as error:
            what = _first(error)
            self._tell(found, "Unreadable", f"this operator cannot read the object: {what}")
            log.error("unreadable", error=what)
            return None
        return await self._reconcile(of, str(found["metadata"]["resourceVersion"]))

    async def _reconcile(self, of: FlowJob | FlowSnapshot, version: str) -> Answer:
        outcome: Outcome | SnapshotOutcome
        if isinstance(of, FlowJob):
            outcome = self._with.decisions.of_job(await self._with.observer.of_job(of))
            status = outcome.status
            self._with.tallies.job(of, status)
            subject = Subject(of, version)
            changed = status != of.status
            wire = status.wire()
            operation = status.operation.id if status.operation else None
        else:
            seen = await self._with.observer.of_snapshot(of)
            outcome = self._with.decisions.of_snapshot(seen)
            subject = Subject(of, version)
            changed = outcome.status != of.status
            wire = outcome.status.wire()
            operation = outcome.status.operation_id
        with about(operation=operation, generation=of.metadata.generation):
            if self._with.dry_run:
                _say(changed, wire, outcome.actions)
                return None
            if changed:
                subject = await self._write(subject, wire)
            await self._act(subject, outcome.actions)
        if self._with.remembered.refusals.pop(of.metadata.uid, None) is not None:
            return Again(STALE_SECONDS)  # to take back what the status says of it
        after = outcome.look_again_after
        if after is None and isinstance(of, FlowSnapshot):
            # There may be thousands, and nothing becomes of one that is complete.
            return Again(SNAPSHOT_SECONDS)
        return None if after is None else Again(after)

    async def _write(self, subject: Subject, status: dict[str, Any]) -> Subject:
        """The whole status, if nobody else has written the object since. Raises Stale."""
        where = subject.of.metadata
        resource = kinds.resource_of_kind(subject.kind)
        try:
            found = await self._with.api.write_status(
                resource, where.namespace, where.name, subject.version, status
            )
        except ApiError as error:
            if error.is_conflict or error.is_not_found:
                raise Stale(
                    "the status was written by somebody else, or the object is gone"
                ) from None
            raise
        self._with.mirror.note(resource, found)
        self._with.noted(found)
        log.debug("status", phase=status.get("phase"))
        return Subject(subject.of, str(found["metadata"]["resourceVersion"]))

    async def _act(self, subject: Subject, actions: Iterable[Action]) -> None:
        """In order, up to the first that fails."""
        for action in actions:
            name = type(action).__name__
            try:
                subject = await self._with.applier.do(subject, action)
            except Refused as refusal:
                self._emit(subject.regarding, "RequestRefused", str(refusal))
                raise
            except ApiError as error:
                if error.is_a_refusal:
                    # Said in the status by the next look, which comes after a pause that grows.
                    self._with.remembered.refusals[subject.of.metadata.uid] = error.message
                    self._emit(subject.regarding, "ActionFailed", f"{name}: {error.message}")
                raise
            except Unreachable:
                log.warning("whether it was done is not known", action=name)
                raise

    def _is_gone(self, resource: Resource, key: Key) -> None:
        known = self._with.mirror.get(resource, key.namespace, key.name)
        if known is not None:
            self._with.mirror.gone(resource, known)
            self._with.remembered.forget(known["metadata"]["uid"])
        if key.kind == "FlowJob":
            self._with.tallies.gone(key.namespace, key.name)
            self._with.forget(key.namespace, key.name)

    def _tell(self, found: Object, reason: str, message: str) -> None:
        self._emit(Regarding.of(found), reason, message)

    def _emit(self, regarding: Regarding, reason: str, message: str) -> None:
        self._with.events.emit(regarding, "Warning", reason, message)


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"


def _say(changed: bool, status: dict[str, Any], actions: Iterable[Action]) -> None:
    """Instead of doing it."""
    if changed:
        log.info(
            "would write the status", phase=status.get("phase"), operation=status.get("operation")
        )
    for action in actions:
        log.info("would act", action=type(action).__name__)
