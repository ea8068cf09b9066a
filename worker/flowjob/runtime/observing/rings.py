"""Histories that never grow beyond their bounds: of numbered things, and of figures at steps of time.

They drop the oldest and count what they have dropped. They must not know what they hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


class Ring(Generic[T]):
    """The newest things, numbered from 1: at most `capacity` of them, of together at most `budget` weight.

    last     number of the newest, 0 before there is one
    dropped  how many are here no more
    """

    def __init__(self, capacity: int, budget: int | None = None) -> None:
        self.capacity = capacity
        self.budget = budget
        self.last = 0
        self.weight = 0
        self.dropped = 0
        self._items: deque[tuple[T, int]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def first(self) -> int:
        """Number of the oldest there is; one more than `last` when there is none."""
        return self.last - len(self._items) + 1

    def add(self, item: T, weight: int = 1) -> int:
        """Its number."""
        self.last += 1
        self.weight += weight
        self._items.append((item, weight))
        while len(self._items) > self.capacity or self._is_too_heavy():
            self.weight -= self._items.popleft()[1]
            self.dropped += 1
        return self.last

    def replace(self, number: int, item: T) -> None:
        """In the place of one that may be gone."""
        index = number - self.first
        if 0 <= index < len(self._items):
            self._items[index] = item, self._items[index][1]

    def behind(self, number: int) -> Iterator[tuple[int, T]]:
        """Those with larger numbers, oldest first, each with its own."""
        skipped = max(0, number - self.first + 1)
        first = self.first + skipped
        for place, (item, _) in enumerate(islice(self._items, skipped, None)):
            yield first + place, item

    def newest_first(self) -> Iterator[tuple[int, T]]:
        for place, (item, _) in enumerate(reversed(self._items)):
            yield self.last - place, item

    def _is_too_heavy(self) -> bool:
        return self.budget is not None and self.weight > self.budget and len(self._items) > 1


Floats = npt.NDArray[np.float32]
"""Four bytes a figure: what a chart shows needs no more."""


class Steps:
    """Figures in rows, one column per step of time: the newest `capacity` of them. Memory is taken at once, and never
    grows: 4 bytes per row and step."""

    def __init__(self, rows: int, capacity: int) -> None:
        self.times: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        """ms since the epoch"""
        self._values: Floats = np.full((rows, capacity), np.nan, np.float32)
        self._count = 0

    @property
    def nbytes(self) -> int:
        return int(self._values.nbytes + self.times.nbytes)

    def add(self, time_ms: int, values: Floats) -> None:
        """`values`: one per row; NaN where nothing is known."""
        place = self._count % len(self.times)
        self.times[place] = time_ms
        self._values[:, place] = values
        self._count += 1

    def order(self) -> npt.NDArray[np.intp]:
        """Columns, oldest first."""
        capacity = len(self.times)
        first = max(0, self._count - capacity)
        return np.arange(first, self._count) % capacity

    def row(self, row: int) -> Floats:
        """Oldest first, as `order` has them."""
        values: Floats = self._values[row, self.order()]
        return values

    def mean_of_last(self, count: int) -> Floats:
        """Of the newest `count` columns, by row; NaN where none is known."""
        columns = self._values[:, self.order()[-count:]]
        known = ~np.isnan(columns)
        sums = np.where(known, columns, 0).sum(axis=1)
        counts = known.sum(axis=1)
        means: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(
            np.float32
        )
        return means
