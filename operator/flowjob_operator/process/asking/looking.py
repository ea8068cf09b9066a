"""What JobManagers said last, asked in the background: no reconcile waits for one that hangs, but for the first look.

A job is asked every few seconds, while something is being done with it every second, and more often for a moment behind
each change: one step follows the other. A change that matters has the job reconciled; that another checkpoint was
completed matters only now and then. Jobs have their turns spread over the interval, however many began together.
Draws no conclusions from answers."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from flowjob.cluster.control_api import Checkpointing, JobManagerView, OperationView, Request
from flowjob.cluster.identity import JobId
from flowjob_operator.core.observed import Unreachable
from flowjob_operator.process.asking.jobmanagers import Address, Refused, Silent
from flowjob_operator.process.clock import Clock
from flowjob_operator.process.queue import FORGET, Again, Answer

SOON: Final = 1.0
AT_ONCE: Final = 0.25
CHECKPOINTS_SECONDS: Final = 60.0
"""Newer checkpoints have a job reconciled at most so often."""
LONGEST_SILENCE: Final = 15.0

Key = tuple[str, str]
"""Namespace and name of a FlowJob"""


class Asked(Protocol):
    """JobManagers, or what tests have in their place."""

    async def status(
        self, job: JobId, addresses: tuple[Address, ...]
    ) -> tuple[JobManagerView, Address]: ...

    async def operation(
        self, job: JobId, addresses: tuple[Address, ...], id_: str
    ) -> OperationView | None: ...

    async def ask(
        self, job: JobId, addresses: tuple[Address, ...], id_: str, request: Request
    ) -> OperationView: ...


@dataclass(frozen=True, slots=True)
class Interest:
    """Whose JobManager is asked about what. `busy`: something is being done, so every change matters."""

    job: JobId
    addresses: tuple[Address, ...]
    ids: tuple[str, ...] = ()
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest answer."""

    view: JobManagerView | Unreachable
    operations: Mapping[str, OperationView] = field(default_factory=dict)
    at: float = 0.0
    by: Address | None = None
    asked: tuple[Address, ...] = ()


@dataclass(slots=True)
class _Job:
    interest: Interest
    seen: Seen | None = None
    told: float = 0.0
    """When a change was last told, or the job was looked at, which is as good"""
    silent: int = 0
    stirred: float = 0.0
    """When something has changed that may be followed by more"""


class Looking:
    """`look` is the work of a Queue of its own; `wake` adds a key to it."""

    def __init__(
        self,
        asked: Asked,
        clock: Clock,
        poll: float,
        wake: Callable[[Key, float], None],
        changed: Callable[[Key], None],
    ) -> None:
        self._asked = asked
        self._clock = clock
        self._poll = poll
        self._wake = wake
        self._changed = changed
        self._jobs: dict[Key, _Job] = {}

    async def newest(self, key: Key, interest: Interest) -> Seen:
        """What was last seen; asked now only if nothing that is still there has been asked yet."""
        known = self._jobs.get(key)
        if known is None or known.interest.job != interest.job:
            known = self._jobs[key] = _Job(interest, stirred=self._clock.monotonic())
        old, known.interest = known.interest, interest
        if interest.busy and (not old.busy or interest.addresses != old.addresses):
            known.stirred = self._clock.monotonic()
        if not interest.addresses:
            return Seen(Unreachable(reason="there is no pod of a JobManager that runs"))
        seen = known.seen
        answerer_is_gone = seen is not None and (
            seen.by not in interest.addresses if seen.by else seen.asked != interest.addresses
        )
        new_ids = set(interest.ids) - set(old.ids)
        too_old = seen is not None and self._clock.monotonic() - seen.at > 4 * self._poll
        if seen is None or answerer_is_gone or too_old or (new_ids and seen.by):
            seen = known.seen = await self._look(known)
        known.told = self._clock.monotonic()
        self._wake(key, self._pace(key, known))
        return seen

    async def look(self, key: Key) -> Answer:
        known = self._jobs.get(key)
        if known is None or not known.interest.addresses:
            return FORGET
        before, seen = known.seen, await self._look(known)
        known.seen = seen
        now = self._clock.monotonic()
        if before is None or self._matters(before, seen, known, now):
            known.told = known.stirred = now
            self._changed(key)
        if isinstance(seen.view, Unreachable):
            first = self._soon(known) if known.interest.busy else min(self._poll, SOON)
            pause = first * 2 ** min(known.silent, 10)
            return Again(min(pause, max(LONGEST_SILENCE, self._poll)))
        return Again(self._pace(key, known))

    def _pace(self, key: Key, known: _Job) -> float:
        """Seconds until it is asked again."""
        return self._soon(known) if known.interest.busy else self._until_turn(key)

    def _soon(self, known: _Job) -> float:
        return min(SOON, AT_ONCE * (1 + self._clock.monotonic() - known.stirred))

    def _until_turn(self, key: Key) -> float:
        """Each job has its moment of the interval, by its name: hundreds that were asked together, say because an
        operator has just begun, would be for ever, and whoever edits one then would wait for all of them."""
        turn = zlib.crc32("/".join(key).encode()) / 2**32 * self._poll
        return self._poll - (self._clock.monotonic() - turn) % self._poll

    async def ask(self, key: Key, id_: str, request: Request) -> OperationView:
        """Raises Silent, Refused."""
        known = self._jobs.get(key)
        if known is None:
            raise Silent("nothing is known of a JobManager")
        found = await self._asked.ask(known.interest.job, self._order(known), id_, request)
        if known.seen is not None:
            operations = {**known.seen.operations, id_: found}
            known.seen = Seen(
                known.seen.view, operations, known.seen.at, known.seen.by, known.seen.asked
            )
        known.stirred = self._clock.monotonic()
        self._wake(key, AT_ONCE)
        return found

    def forget(self, key: Key) -> None:
        self._jobs.pop(key, None)

    async def _look(self, known: _Job) -> Seen:
        interest, now = known.interest, self._clock.monotonic()
        try:
            view, by = await self._asked.status(interest.job, self._order(known))
            found = {}
            for id_ in interest.ids:
                operation = await self._asked.operation(interest.job, (by,), id_)
                if operation is not None:
                    found[id_] = operation
        except (Silent, Refused) as error:
            known.silent += 1
            fact = error.fact if isinstance(error, Silent) else Unreachable(reason=str(error))
            return Seen(fact, {}, now, None, interest.addresses)
        known.silent = 0
        return Seen(view, found, now, by, interest.addresses)

    def _order(self, known: _Job) -> tuple[Address, ...]:
        """The one that answered last comes first."""
        last = None if known.seen is None else known.seen.by
        return tuple(sorted(known.interest.addresses, key=lambda address: address != last))

    def _matters(self, before: Seen, seen: Seen, known: _Job, now: float) -> bool:
        if before.operations != seen.operations or before.by != seen.by:
            return True
        if known.interest.busy or now - known.told >= CHECKPOINTS_SECONDS:
            return before.view != seen.view
        return _lasting(before.view) != _lasting(seen.view)


def _lasting(view: JobManagerView | Unreachable) -> JobManagerView | Unreachable:
    """Without what changes all the time."""
    if isinstance(view, Unreachable):
        return view
    failing = Checkpointing(
        failed_in_a_row=view.checkpoints.failed_in_a_row, error=view.checkpoints.error
    )
    return msgspec.structs.replace(view, checkpoints=failing, max_rows_behind=None)
