"""A source subtask at work: reads its splits, gives rows event time, tells how far event time has come.

What readers leave to it, once for all sources: timestamps, watermarks per split and their minimum, idleness, the policy
for malformed rows, and where batches are cut. Splits come from the JobManager through a `SplitInbox`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flowjob.connectors.base import (
    BAD_ROW_TYPE,
    BAD_ROWS,
    BadRow,
    Left,
    Read,
    Source,
    Split,
)
from flowjob.core.elements import MIN_TIME, Marker, Watermark
from flowjob.core.split_watermarks import SplitWatermarks
from flowjob.core.watermark_valve import Combined
from flowjob.errors import MalformedInput
from flowjob.runtime.batch import Batch
from flowjob.runtime.blame import EXITS
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.checkpoint.source_splits import SPLITS, read_splits, splits_section
from flowjob.runtime.driver import Driver
from flowjob.runtime.env import Env
from flowjob.runtime.event_times import timestamps_of
from flowjob.runtime.messages import SplitProgress, WireSplit
from flowjob.runtime.operators.base import Side
from flowjob.runtime.participant import Participant
from flowjob.runtime.split_reading import ActiveSplit, SplitInbox, left_of
from flowjob.watermarks import EventTime, micros

WATERMARK_INTERVAL = 0.02
"""Seconds between watermarks, unless the source pins their positions: each one flushes what waits to be sent."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """`batch_rows`: the most rows of a batch. A Marker of `vertex` every `latency_interval` seconds; 0: none."""

    batch_rows: int
    vertex: int
    latency_interval: float


class SourceTask:
    """Reads until the source is exhausted: never, when it is unbounded."""

    def __init__(
        self,
        source: Source,
        driver: Driver,
        env: Env,
        inbox: SplitInbox,
        participant: Participant | None = None,
        *,
        settings: SourceSettings,
    ) -> None:
        self.source = source
        self.driver = driver
        self.inbox = inbox
        self.participant = participant
        self._env = env
        self._settings = settings
        self._time = source.event_time
        self._active: dict[str, ActiveSplit] = {}
        self._finished: list[str] = []
        self._given_up: list[WireSplit] = []
        self._wake = asyncio.Event()
        self._held: Watermark | None = None
        self._marked_at = float("-inf")
        self._open_ended = False
        self.drained = False
        self.splits_read = 0
        self._mark = False
        self._mark_later: asyncio.TimerHandle | None = None

    def stay_open(self) -> None:
        """Do not end when the source does: for tests that look at an open stream."""
        self._open_ended = True

    async def run(self) -> None:
        """Raises what a reader or an operator raised, with whose fault it is."""
        await self.driver.live(self._work())

    async def _work(self) -> None:
        driver, participant = self.driver, self.participant
        try:
            self._take_over()
            driver.open()
            self.inbox.on_arrival(self._wake.set)
            if participant is not None:
                participant.wake = self._wake.set
                participant.sections = self._sections
            time = self._time or EventTime(None)
            self._watermarks = SplitWatermarks(
                micros(time.max_delay),
                None if time.idle_after is None else micros(time.idle_after),
                now=self._now(),
            )
            self._mark_in_time()
            if await self._loop():
                return
            self.drained = True
            if self._open_ended:
                await asyncio.get_running_loop().create_future()
            await self._say(self._watermarks.end(), at_once=True)
            await driver.end()
            if participant is not None:
                await participant.stay()
        finally:
            if self._mark_later is not None:
                self._mark_later.cancel()
            for active in self._active.values():
                with contextlib.suppress(*EXITS):  # only after a failure are there any left
                    await active.close()

    async def _loop(self) -> bool:
        """Until nothing is left to read; True: suspended and released before that, so nothing may be given any more."""
        participant = self.participant
        while True:
            if participant is not None and participant.calls:
                if participant.drains:
                    await self._stop_reading()
                    return False  # the order itself is for a task that has ended
                await self._release()
                if await participant.attend():
                    return True
                continue
            await self._adopt_splits()
            if not self._active and self.inbox.exhausted:
                return False
            progressed = False
            for active in list(self._active.values()):
                progressed |= await self._advance(active)
            await self.driver.fire_timers()
            await self._keep_time()
            if self._mark:
                self._send_marker()
            if progressed:
                await self.driver.breathe()
            else:
                await self._wait()

    async def _adopt_splits(self) -> None:
        waiting, head, rows = self.inbox.waiting, self.driver.chain.head, self._settings.batch_rows
        reached = []
        while waiting:
            given = waiting.popleft()
            try:
                split = Split(given.id, given.data)
                reader = self.source.reader(self._env, split, given.position, rows)
            except EXITS as error:
                head.blame(error)
            self._active[given.id] = ActiveSplit(given, reader, head)
            reached.append((given.id, _reached(given.progress)))
        if reached:
            await self._say(self._watermarks.add_splits(reached, self._now()))
        if not self._active:
            self.inbox.ask()

    async def _advance(self, active: ActiveSplit) -> bool:
        """Handles the next read of a split, if it is there."""
        if active.reader.immediate:
            read = await active.read()
        elif active.ready:
            read = active.take()
        else:
            active.start(self._wake.set)
            return False
        if read is None:
            del self._active[active.split.id]
            self.splits_read += 1
            if self.participant is not None:
                self._finished.append(active.split.id)
            await active.close()
            await self._say(self._watermarks.finish_split(active.split.id, self._now()))
            return True
        if not active.reader.immediate:
            active.start(self._wake.set)
        await self._handle(active, read)
        return True

    # -- snapshots

    def _take_over(self) -> None:
        """Of an earlier run only what was finished: unfinished splits come again from the JobManager."""
        head = self.driver.chain.head
        state = self.driver.restored.get(head.node.uid or "")
        if state is not None:
            self._finished += read_splits(part.table for part in state.parts(SPLITS)).finished
            self.splits_read = len(self._finished)

    @property
    def finished(self) -> list[str]:
        """Ids of splits that were read to their end, also in earlier lives."""
        return list(self._finished)

    @property
    def splits(self) -> int:
        """That it is reading, or is to read."""
        return len(self._active) + len(self.inbox.waiting)

    @property
    def left(self) -> Left:
        """Of these."""
        active = ((a.split, a.reached) for a in self._active.values())
        waiting = ((Split(w.id, w.data), w.position) for w in self.inbox.waiting)
        return left_of(self.source, itertools.chain(active, waiting))

    @property
    def unfinished(self) -> list[str]:
        """Ids of all others that this task was ever given."""
        return [*self._active, *(s.id for s in (*self._given_up, *self.inbox.waiting))]

    def _unread(self) -> list[WireSplit]:
        reached = self._watermarks.reached
        active = [a.state(reached(id)) for id, a in self._active.items()]
        return [*self._given_up, *active, *self.inbox.waiting]

    def _sections(self) -> Mapping[str, Sequence[Section]]:
        uid = self.driver.chain.head.node.uid
        return {} if uid is None else {uid: [splits_section(self._unread(), self._finished)]}

    async def _stop_reading(self) -> None:
        """The source is to end although there may be more to read: that stays for a later run."""
        self._given_up = self._unread()
        self.inbox.waiting.clear()
        while self._active:
            await self._active.popitem()[1].close()

    # -- rows

    async def _handle(self, active: ActiveSplit, read: Read) -> None:
        bad = list(read.bad)
        columns, times = read.columns, read.timestamps
        if times is None and self._time is not None and self._time.column is not None:
            times, nulls = timestamps_of(columns.column(self._time.column))
            if nulls is not None:
                bad += self._without_time(active.split, columns, nulls)
                keep = ~nulls
                columns, times = columns.filter(pa.array(keep)), times[keep]
        if bad:
            await self._divert(bad)
        batch = Batch(columns, times)
        self.driver.metrics.rows_in += len(batch)
        for piece in self._pieces(active, batch):
            await self._emit(active, piece)
        if read.watermark is not None:
            behind = micros(self._time.max_delay) + 1 if self._time is not None else 1
            reached = read.watermark + behind
            await self._say(
                self._watermarks.observe(active.split.id, reached, self._now()), at_once=True
            )

    def _without_time(self, split: Split, columns: pa.RecordBatch, nulls: object) -> list[BadRow]:
        lost = columns.filter(pa.array(nulls))
        column = self._time.column if self._time else None
        return [
            BadRow(split.id, str(row), f"event-time column `{column}` is null")
            for row in lost.to_pylist()
        ]

    async def _divert(self, bad: list[BadRow]) -> None:
        """What becomes of rows that could not be read: the source's policy."""
        if self.source.on_bad_row == "fail":
            first = bad[0]
            raise MalformedInput(first.reason, location=first.location, text=first.text)
        head = self.driver.chain.head
        head.context.metrics.bad_rows += len(bad)
        if self.source.on_bad_row == "divert":
            columns = {
                "location": [b.location for b in bad],
                "reason": [b.reason for b in bad],
                "text": [b.text for b in bad],
            }
            batch = pa.RecordBatch.from_pydict(columns, schema=BAD_ROW_TYPE.schema)
            await self.driver.carry_out(head.emit((Side(BAD_ROWS, Batch(batch)),)))

    def _pieces(self, active: ActiveSplit, batch: Batch) -> Iterable[Batch]:
        """The batch, cut where the source pins a watermark."""
        every = self._time.watermark_every if self._time is not None else None
        if every is None:
            yield batch
            return
        start = 0
        while start < len(batch):
            room = every - active.rows_to_mark
            piece = batch.slice(start, min(room, len(batch) - start))
            active.rows_to_mark = (active.rows_to_mark + len(piece)) % every
            start += len(piece)
            yield piece

    async def _emit(self, active: ActiveSplit, batch: Batch) -> None:
        if not len(batch):
            return
        driver = self.driver
        blocked = driver.metrics.backpressured
        await driver.carry_out(driver.chain.head.emit((batch,)))
        blocked = driver.metrics.backpressured - blocked
        if blocked:
            self._watermarks.was_blocked(int(blocked * 1e6))
        if batch.timestamps is None:
            return
        active.largest = max(active.largest, int(batch.timestamps.max()))
        pinned = self._time is not None and self._time.watermark_every is not None
        if not pinned or active.rows_to_mark == 0:
            said = self._watermarks.observe(active.split.id, active.largest, self._now())
            await self._say(said, at_once=pinned)

    # -- markers

    def _mark_in_time(self) -> None:
        """By a timer of its own, so that reading does not have to look at the clock."""
        if self._settings.latency_interval > 0:
            loop = asyncio.get_running_loop()
            self._mark_later = loop.call_later(self._settings.latency_interval, self._mark_now)

    def _mark_now(self) -> None:
        self._mark = True
        self._wake.set()

    def _send_marker(self) -> None:
        self._mark = False
        self.driver.chain.on_marker(Marker(self._settings.vertex, self.driver.clock.wall()))
        self._mark_in_time()

    # -- time

    def _now(self) -> int:
        return int(self.driver.clock.monotonic() * 1e6)

    async def _say(self, said: Combined, *, at_once: bool = False) -> None:
        """Sends watermarks, at most one per interval, and changes of status at once."""
        for element in said:
            if isinstance(element, Watermark):
                self._held = element
            else:
                await self._release()
                self.driver.chain.on_status(element)
        if self._held is not None:
            now = self.driver.clock.monotonic()
            if (
                at_once or now >= self._marked_at + WATERMARK_INTERVAL
            ):  # the sum that _wait waits for
                await self._release()

    async def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._marked_at = self.driver.clock.monotonic()
            self.driver.metrics.watermark = held.time
            await self.driver.carry_out(self.driver.chain.head.on_watermark(held.time))

    async def _keep_time(self) -> None:
        idle_at = self._watermarks.idle_at()
        if idle_at is not None and idle_at <= self._now():
            await self._say(self._watermarks.on_time(self._now()))
        else:
            await self._say(())

    async def _wait(self) -> None:
        """Until a read is done, splits arrive, or the clock asks for something."""
        clock, metrics = self.driver.clock, self.driver.metrics
        deadlines = [d for d in (self.driver.wake_at(),) if d is not None]
        if (idle_at := self._watermarks.idle_at()) is not None:
            deadlines.append(idle_at / 1e6)
        if self._held is not None:
            deadlines.append(self._marked_at + WATERMARK_INTERVAL)
        began = metrics.idle_since = clock.monotonic()
        timer: asyncio.Task[None] | None = None
        if deadlines:
            delay = max(0.0, min(deadlines) - began)
            timer = asyncio.get_running_loop().create_task(clock.sleep(delay))
            # One that was cancelled below must not wake the next wait: it would spin.
            timer.add_done_callback(lambda t: None if t.cancelled() else self._wake.set())
        try:
            await self._wake.wait()
            self._wake.clear()
        finally:
            if timer is not None:
                timer.cancel()
        metrics.idle_since = None
        metrics.idle += clock.monotonic() - began


def _reached(progress: SplitProgress | None) -> int:
    if progress is None:
        return MIN_TIME
    return progress.largest if progress.reached is None else progress.reached
