"""The job's log: the one place that says who leads and which checkpoints exist (core/snapshot_log.py has its records).

Entries are objects numbered 1, 2, 3, …, each made by a conditional create: every number has one winner, for ever. No
listing is needed to find the end, so a stale one does no harm. Every SUMMED-th entry carries a summary of all before
it: reading starts at the last of those. The entries between older milestones, every MILESTONE-th, are deleted. It must
not judge what records mean: that is the fold's business."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import msgspec

from flowjob.core.snapshot_log import Claim, LogState, Record, apply, outdated, refusal
from flowjob.errors import LostLeadership, ObjectMissing, OutdatedRevision, StorageError
from flowjob.runtime.env import Clock, Random
from flowjob.runtime.storage.conditional_create import prove_conditional_create
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import JobPaths

FORMAT = 1
MILESTONE = 256
"""Entries from one that is kept for ever to the next."""

SUMMED = 16
"""Entries from one summary to the next: what a start reads at most."""

WINDOW = 16
"""Entries read at once."""

FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0
"""Seconds between tries to settle an append; the store has made its own, quicker ones before."""


class LogUncertain(StorageError):
    """An append may or may not have happened, and the store does not say. Only a new claim tells."""


class _Header(msgspec.Struct, frozen=True):
    """What every version can read."""

    format: int


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """`token` tells our own entry from another's of the same content; `written` is µs since the epoch, for people;
    `summary` is the state before this record."""

    format: int = FORMAT
    token: str
    written: int
    record: Record
    summary: LogState | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What every claim of a JobManager says of itself; the fields of Claim."""

    job_revision: int = 0
    parallelism: int = 0
    asked: int = 0


class JobLog:
    """Not opened before its first use. One coroutine appends at a time; others wait for it. `terms` go into claims."""

    def __init__(self, store: ObjectStore, paths: JobPaths, clock: Clock, chance: Random) -> None:
        self._store = store
        self._paths = paths
        self._clock = clock
        self._chance = chance
        self._last = 0
        self._state = LogState()
        self._started = False
        self._proven = False
        self._generation = 0
        self._appending = asyncio.Lock()
        self._me = chance.token()
        self._written = 0
        self.interrupted = False
        self.terms = Terms()
        self._others_wrote = False

    @property
    def state(self) -> LogState:
        """What all records that were read or appended so far amount to."""
        return self._state

    @property
    def length(self) -> int:
        """The number of the newest entry known."""
        return self._last

    async def read(self) -> LogState:
        """Reads what has been appended since, by whomever; the state then. Needs no leadership and changes nothing."""
        while True:
            if not self._started:
                await self._start()
            width = 1
            while await self._read_window(width):
                width = min(2 * width, WINDOW)
            if not await self._is_outrun(self._last):
                return self._state

    async def claim(self, revision: str, address: str = "", *, patience: float = 60.0) -> int:
        """Takes leadership: from now on all earlier claimants' appends fail. Returns the generation.

        The claim stands behind everything that has been read, without a gap, because its number was free. `interrupted`
        then tells whether anybody else has written since this JobLog led before. Raises StorageError where the store
        does not honour conditional creation, or cannot be reached for `patience` seconds; it may be called again.
        Raises OutdatedRevision when a newer revision of the job has led."""
        async with self._appending:
            if not self._proven:
                await prove_conditional_create(self._store, self._paths, self._chance)
                self._proven = True
            self._generation = 0
            while True:
                await self.read()
                terms = self.terms
                if why := outdated(self._state, terms.job_revision):
                    raise OutdatedRevision(f"{self._where()}: {why}", self._state.address)
                generation = self._state.generation + 1
                told = (terms.job_revision, terms.parallelism, terms.asked)
                if await self._create(Claim(generation, revision, address, *told), patience):
                    self._generation = generation
                    self.interrupted, self._others_wrote = self._others_wrote, False
                    return generation

    async def append(self, record: Record, *, patience: float = 60.0) -> int:
        """Appends as the leader; returns the entry's number. Tries for `patience` seconds while the store fails.

        Raises LostLeadership when another JobManager has appended, LogUncertain when the store does not say what has
        happened. After either, and after a cancellation, the record may be in the log or not, and only `claim` may
        follow, which tells. Raises ValueError for a record that the log's rules refuse: a defect of the caller."""
        async with self._appending:
            if not self._generation:
                raise LostLeadership(f"{self._where()}: this JobManager does not lead")
            if self._state.generation > self._generation:  # somebody has looked meanwhile
                self._generation = 0
                raise await self._lost()
            if why := refusal(self._state, record):
                raise ValueError(f"{self._where()}: {record} must not be appended: {why}")
            generation, self._generation = self._generation, 0  # until the outcome is known
            if not await self._create(record, patience):
                raise await self._lost()
            self._generation = generation
            return self._last

    async def trim(self) -> None:
        """Deletes entries that a milestone has made superfluous. May be repeated, and may fail without harm."""
        newest = self._last // MILESTONE * MILESTONE
        oldest = max(newest - 2 * MILESTONE, 0)
        numbers = (n for n in range(oldest + 1, newest) if n % MILESTONE)
        names = [self._paths.log_entry(n) for n in numbers]
        if names:
            await self._store.delete(names)

    async def _read_window(self, width: int) -> bool:
        """Takes up to `width` further entries; whether all of them were there."""
        numbers = range(self._last + 1, self._last + 1 + width)
        reading = (self._entry(n) for n in numbers)
        for entry in await asyncio.gather(*reading, return_exceptions=True):  # all have ended
            if isinstance(entry, BaseException):
                raise entry
            if entry is None:
                return False
            self._take(entry)
        return True

    async def _start(self) -> None:
        """Finds the newest summary. Milestones are consecutive and never deleted, nor is what is behind the newest, so
        that both searches are binary."""
        self._last, self._state = 0, LogState()
        low, high = 0, 1
        while await self._exists(high * MILESTONE):
            low, high = high, 2 * high
        milestone = MILESTONE * await self._last_there(MILESTONE, low, high)
        if milestone and not await self._start_at(milestone):
            raise StorageError(f"{self._where()}: entry {milestone} has lost its summary")
        low, high = milestone // SUMMED, (milestone + MILESTONE) // SUMMED
        newest = SUMMED * await self._last_there(SUMMED, low, high)
        if newest > milestone:
            # It has none where an older version wrote it; it may have been trimmed meanwhile.
            await self._start_at(newest)
        self._started = True

    async def _last_there(self, step: int, low: int, high: int) -> int:
        """Of the numbers from `low` to before `high` the last one whose `step`-fold is an entry, or `low`."""
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await self._exists(middle * step) else (low, middle)
        return low

    async def _start_at(self, number: int) -> bool:
        """Whether that entry has a summary."""
        entry = await self._entry(number)
        if entry is None or entry.summary is None:
            return False
        self._last, self._state = number - 1, entry.summary
        self._take(entry)
        return True

    def _take(self, entry: _Entry) -> None:
        self._last += 1
        self._others_wrote |= not entry.token.startswith(self._me)
        self._state = apply(self._state, entry.record)

    async def _exists(self, number: int) -> bool:
        return await self._store.head(self._paths.log_entry(number)) is not None

    async def _entry(self, number: int) -> _Entry | None:
        try:
            data = await self._store.get(self._paths.log_entry(number))
        except ObjectMissing:
            return None
        try:
            format = msgspec.json.decode(data, type=_Header).format
            if format <= FORMAT:
                return msgspec.json.decode(data, type=_Entry)
        except msgspec.MsgspecError as error:
            raise StorageError(
                f"{self._where()}: entry {number} cannot be read: {error}. Something else has written there. "
                "The job cannot go on in this place: begin in another one (--checkpoints), with --from and the path of "
                "a snapshot that is here"
            ) from None
        raise StorageError(
            f"{self._where()}: entry {number} has format {format}, this flowjob knows up to {FORMAT}; "
            "run a newer flowjob"
        )

    async def _create(self, record: Record, patience: float) -> bool:
        """Whether `record` became entry number `length + 1`. Returns with certainty, or raises LogUncertain."""
        self._written += 1
        number, token = self._last + 1, f"{self._me}-{self._written}"
        entry = _Entry(
            token=token,
            written=self._clock.wall(),
            record=record,
            summary=None if number % SUMMED else self._state,
        )
        data = msgspec.json.encode(entry)
        give_up = self._clock.monotonic() + patience
        delay = FIRST_DELAY
        while True:
            try:
                won = await self._try_create(number, token, data)
                break
            except StorageError as error:
                if self._clock.monotonic() + delay > give_up:
                    raise LogUncertain(
                        f"{self._where()}: nobody knows whether entry {number} was written: {error}"
                    ) from error
            await self._clock.sleep(delay * (0.5 + self._chance.random() / 2))
            delay = min(2 * delay, LONGEST_DELAY)
        if won:
            self._last, self._state = number, apply(self._state, record)
        return won

    async def _try_create(self, number: int, token: str, data: bytes) -> bool:
        """May be repeated with the same token: an entry of ours that an earlier try has made is found again."""
        if not await self._store.create(self._paths.log_entry(number), data):
            entry = await self._entry(number)
            if entry is None or entry.token != token:
                return False
        return not await self._is_outrun(number)

    async def _is_outrun(self, number: int) -> bool:
        """Whether the log has gone past a milestone behind `number`. Then entries here may have been deleted, and that
        a number is free says nothing: without this look, who sleeps for long enough would win a number again."""
        if not await self._exists((number // MILESTONE + 1) * MILESTONE):
            return False
        self._started = False
        self._others_wrote = True
        return True

    async def _lost(self) -> LostLeadership:
        by = ""
        with contextlib.suppress(StorageError):
            by = f" (generation {(await self.read()).generation})"
        return LostLeadership(
            f"{self._where()}: another JobManager{by} has taken over; this one has to end"
        )

    def _where(self) -> str:
        return f"the log {self._paths.log} in {self._store.url}"
