"""Keys that want work: coalesced, tried again with growing pauses, looked at again every minute, one at a time each.

kopf's own handlers cannot do this: it does not retry events, and its timers force finalizers on objects. What wakes a
key (an event) goes before what is merely due (a resync), so that hundreds of resyncs delay no edit.
Knows nothing of Kubernetes; the work is a coroutine function."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from flowjob_operator.process.clock import Clock

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, except for `concurrency`."""

    concurrency: int = 32
    """Keys at work at once"""
    resync: float = 60.0
    """After success, unless the work asks for another time"""
    first_retry: float = 1.0
    """After one failure; twice as long after each further one"""
    longest_retry: float = 120.0
    jitter: float = 0.2
    """Share of a pause by which it may differ, either way"""
    deadline: float = 60.0
    """Work that takes longer is cancelled, which is a failure"""


@dataclass(frozen=True, slots=True)
class Again:
    """What work may answer: look again `after` so many seconds, rather than at the next resync."""

    after: float


FORGET: Literal["forget"] = "forget"
"""What work answers when the key is of nothing any more."""

Answer = Again | Literal["forget"] | None


class Slow(Exception):
    """A failure that asks for a pause of at least so long before the next try."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Listener(Protocol[K]):  # type: ignore[misc]
    """Told of what happens. All of it is cheap and never raises."""

    def started(self, key: K, waited: float) -> None:
        """`waited`: seconds from when it was due until now."""
        ...

    def succeeded(self, key: K, took: float) -> None: ...

    def failed(self, key: K, took: float, error: Exception, attempts: int) -> None: ...


@dataclass(slots=True)
class _Entry:
    due: float | None = None
    """None: it is in a lane, or at work and not wanted again"""
    urgent: bool = False
    queued: bool = False
    failures: int = 0
    not_before: float = 0.0
    """An event does not shorten the pause after a failure to less than this"""
    started: float | None = None
    wanted_again: float | None = None
    """Said while it was at work: when"""
    gone: bool = False


@dataclass(slots=True)
class _Lanes(Generic[K]):
    urgent: deque[K] = field(default_factory=deque)
    routine: deque[K] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.urgent) + len(self.routine)

    def take(self) -> K:
        return (self.urgent or self.routine).popleft()


class Queue(Generic[K]):
    """Run by `run()`, which never ends. Methods are called on the loop's thread only."""

    def __init__(
        self,
        work: Callable[[K], Awaitable[Answer]],
        clock: Clock,
        pace: Pace,
        listener: Listener[K] | None = None,
    ) -> None:
        self._work = work
        self._clock = clock
        self._pace = pace
        self._listener = listener
        self._entries: dict[K, _Entry] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._lanes: _Lanes[K] = _Lanes()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._last_end = clock.monotonic()

    # -- what is asked of it

    def add(self, key: K, *, after: float = 0.0, urgent: bool = True) -> None:
        """Has the key worked on, once, however often this is said before that happens."""
        entry = self._entries.setdefault(key, _Entry())
        entry.gone = False
        at = max(self._clock.monotonic() + after, entry.not_before)
        if entry.started is not None:
            entry.wanted_again = at if entry.wanted_again is None else min(at, entry.wanted_again)
            return
        entry.urgent = entry.urgent or urgent
        if entry.queued:
            if urgent and key in self._lanes.routine:
                self._lanes.routine.remove(key)
                self._lanes.urgent.append(key)
            return
        if entry.due is None or at < entry.due:
            self._set_timer(key, entry, at)

    def forget(self, key: K) -> None:
        """It is looked at no more. Work under way goes on to its end."""
        entry = self._entries.get(key)
        if entry is None:
            return
        if entry.started is not None:
            entry.gone = True
            entry.wanted_again = None
            return
        self._drop(key)

    def keys(self) -> list[K]:
        return list(self._entries)

    # -- what can be seen of it

    @property
    def depth(self) -> int:
        """Keys that are due and wait for a turn."""
        self._release_due()
        return len(self._lanes)

    @property
    def at_work(self) -> int:
        return len(self._tasks)

    def oldest_work(self) -> float:
        """Seconds that the longest work under way has taken so far."""
        now = self._clock.monotonic()
        at_work = (e.started for e in self._entries.values() if e.started is not None)
        return max((now - started for started in at_work), default=0.0)

    def idle_although_due(self) -> float:
        """Seconds since work last ended while keys are due: a queue that is stuck shows by it."""
        return self._clock.monotonic() - self._last_end if self.depth else 0.0

    # -- the loop

    async def run(self) -> None:
        try:
            while True:
                self._changed.clear()
                self._release_due()
                while self._lanes and len(self._tasks) < self._pace.concurrency:
                    self._start(self._lanes.take())
                await self._wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self) -> None:
        """Until the next timer, or until something changes."""
        pause = self._timers[0][0] - self._clock.monotonic() if self._timers else None
        try:
            async with asyncio.timeout(None if pause is None else max(pause, 0.0)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _release_due(self) -> None:
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            due, _, key = heapq.heappop(self._timers)
            entry = self._entries.get(key)
            # A timer that was replaced by a sooner one, or whose key is forgotten, means nothing.
            if entry is None or entry.due != due or entry.queued or entry.started is not None:
                continue
            entry.queued = True
            (self._lanes.urgent if entry.urgent else self._lanes.routine).append(key)

    def _start(self, key: K) -> None:
        entry = self._entries.get(key)
        if entry is None:
            return
        now = self._clock.monotonic()
        waited = now - entry.due if entry.due is not None else 0.0
        entry.due, entry.queued, entry.urgent = None, False, False
        entry.started = now
        if self._listener is not None:
            self._listener.started(key, waited)
        task = asyncio.create_task(self._attempt(key, entry))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._last_end = self._clock.monotonic()
        self._changed.set()

    async def _attempt(self, key: K, entry: _Entry) -> None:
        answer: Answer = None
        failure: Exception | None = None
        started = self._clock.monotonic()
        deadline = asyncio.timeout(self._pace.deadline)
        try:
            async with deadline:
                answer = await self._work(key)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one key is no other key's matter
            late = f"not done within {self._pace.deadline:g} s"
            failure = TimeoutError(late) if deadline.expired() else error
        took = self._clock.monotonic() - started
        entry.started = None
        if failure is None:
            entry.failures, entry.not_before = 0, 0.0
        else:
            entry.failures += 1
        if self._listener is not None:
            if failure is None:
                self._listener.succeeded(key, took)
            else:
                self._listener.failed(key, took, failure, entry.failures)
        self._plan(key, entry, answer, failure)

    def _plan(self, key: K, entry: _Entry, answer: Answer, failure: Exception | None) -> None:
        """When the key is looked at next."""
        wanted, entry.wanted_again = entry.wanted_again, None
        if entry.gone or (failure is None and answer == FORGET and wanted is None):
            self._drop(key)
            return
        now = self._clock.monotonic()
        if failure is not None:
            self._set_timer(key, entry, now + self._pause(entry, failure))
            if wanted is not None:
                self.add(key)
            return
        after = answer.after if isinstance(answer, Again) else self._spread(self._pace.resync)
        self._set_timer(key, entry, now + after)
        if wanted is not None:
            self.add(key, after=max(wanted - now, 0.0))

    def _pause(self, entry: _Entry, failure: Exception) -> float:
        pace = self._pace
        grown = min(pace.first_retry * 2 ** min(entry.failures - 1, 30), pace.longest_retry)
        least = failure.seconds if isinstance(failure, Slow) else 0.0
        entry.not_before = self._clock.monotonic() + max(pace.first_retry, least)
        return max(self._spread(grown), least)

    def _spread(self, seconds: float) -> float:
        return seconds * (1 + self._pace.jitter * (2 * self._clock.chance() - 1))

    def _set_timer(self, key: K, entry: _Entry, at: float) -> None:
        entry.due = at
        self._sequence += 1
        heapq.heappush(self._timers, (at, self._sequence, key))
        if len(self._timers) > 64 and len(self._timers) > 4 * len(self._entries):
            self._sweep()
        self._changed.set()

    def _sweep(self) -> None:
        """Events replace timers all the time: what means nothing any more must not pile up."""
        live = [(e.due, k) for k, e in self._entries.items() if e.due is not None and not e.queued]
        self._timers = [(due, n, key) for n, (due, key) in enumerate(live)]
        heapq.heapify(self._timers)
        self._sequence = len(live)

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None and entry.queued:
            lane = self._lanes.urgent if key in self._lanes.urgent else self._lanes.routine
            lane.remove(key)
