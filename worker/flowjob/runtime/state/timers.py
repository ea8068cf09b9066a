"""Timers of one time domain: deduplicated per key and time, fired in order of time, then of registration.

Buckets by time, and a heap of the distinct times: a window-like function sets many timers for one moment, and then a
timer costs a dict entry. Keys are slots; it must not know what they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

_SPARE = 64


class Timers:
    """Appends to `idle` each slot that has just lost its last timer: it may have nothing left to be kept for."""

    __slots__ = ("_buckets", "_counts", "_heap", "_idle")

    def __init__(self, idle: list[int] | None = None) -> None:
        self._idle: list[int] = [] if idle is None else idle
        # A bucket is a slot, or an insertion-ordered dict of them once there are two: most times are one key's own.
        self._buckets: dict[int, int | dict[int, None]] = {}
        self._heap: list[int] = []
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def holds(self, slot: int) -> bool:
        """Whether this key has a timer."""
        return slot in self._counts

    def add(self, time: int, slot: int) -> None:
        """A timer at `time` (µs UTC); nothing changes when this key has one there."""
        bucket = self._buckets.get(time)
        if bucket is None:
            self._buckets[time] = slot
            heappush(self._heap, time)
        elif isinstance(bucket, dict):
            if slot in bucket:
                return
            bucket[slot] = None
        elif bucket == slot:
            return
        else:
            self._buckets[time] = {bucket: None, slot: None}
        self._counts[slot] = self._counts.get(slot, 0) + 1

    def remove(self, time: int, slot: int) -> bool:
        """Undoes `add`; whether there was one."""
        bucket = self._buckets.get(time)
        if isinstance(bucket, dict):
            if slot not in bucket:
                return False
            del bucket[slot]
            if not bucket:
                del self._buckets[time]
        elif bucket is not None and bucket == slot:
            del self._buckets[time]
        else:
            return False
        self._forget(slot)
        if len(self._heap) > 2 * len(self._buckets) + _SPARE:  # times that were given up
            self._heap = list(self._buckets)
            heapify(self._heap)
        return True

    def next_time(self) -> int | None:
        """The earliest time of any timer."""
        heap, buckets = self._heap, self._buckets
        while heap and heap[0] not in buckets:
            heappop(heap)
        return heap[0] if heap else None

    def pop_due(self, limit: int) -> tuple[int, list[int]] | None:
        """Takes all timers of the earliest time, if it is <= `limit`: the time, and slots in order of registration.

        A timer that is set meanwhile for that very time forms a new bucket, to be popped next."""
        time = self.next_time()
        if time is None or time > limit:
            return None
        heappop(self._heap)
        bucket = self._buckets.pop(time)
        slots = list(bucket) if isinstance(bucket, dict) else [bucket]
        for slot in slots:
            self._forget(slot)
        return time, slots

    def due(self, limit: int) -> Iterator[tuple[int, int]]:
        """(time, slot) of every timer <= `limit`, taken one time at a time, as `pop_due` does."""
        while (popped := self.pop_due(limit)) is not None:
            time, slots = popped
            for slot in slots:
                yield time, slot

    def entries(self) -> Iterator[tuple[int, int]]:
        """(time, slot) of every timer, in the order in which they would fire."""
        for time in sorted(self._buckets):
            bucket = self._buckets[time]
            for slot in bucket if isinstance(bucket, dict) else (bucket,):
                yield time, slot

    def load(self, times: list[int], slots: list[int]) -> None:
        """Adds many, in order of registration: as `add` for each, in less time."""
        buckets, counts = self._buckets, self._counts
        for time, slot in zip(times, slots):
            bucket = buckets.get(time)
            if bucket is None:
                buckets[time] = slot
            elif isinstance(bucket, dict):
                if slot in bucket:
                    continue
                bucket[slot] = None
            elif bucket == slot:
                continue
            else:
                buckets[time] = {bucket: None, slot: None}
            counts[slot] = counts.get(slot, 0) + 1
        self._heap = sorted(buckets)  # a sorted list is a heap

    @property
    def nbytes(self) -> int:
        """About how much memory they take."""
        return 160 * len(self._buckets) + 100 * len(self._counts)

    def _forget(self, slot: int) -> None:
        left = self._counts[slot] - 1
        if left:
            self._counts[slot] = left
        else:
            del self._counts[slot]
            self._idle.append(slot)
