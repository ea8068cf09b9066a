"""Windows that have been told to fire, until their results are taken together.

Computing one window's result costs as much as a thousand's, so firings of different windows wait
for each other; they are settled before anything would change one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.window_contents import Contents
from flowjob.runtime.operators.window_results import Firing
from flowjob.runtime.operators.window_timers import LiveWindow
from flowjob.windows import Span


@dataclass(frozen=True, slots=True)
class _Fired:
    key: int
    span: Span
    latest: int


class FiringLog:
    """`contents` holds copies of what fired; `held` are slots waiting to be copied, some to be
    purged after."""

    def __init__(self, contents: Contents) -> None:
        self._empty = contents
        self._contents = contents.fresh()
        self._fired: list[_Fired] = []
        self._waiting: dict[int, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._fired)

    def holds(self, slot: int) -> bool:
        """Whether the slot's contents must not change before `settle`."""
        return slot in self._waiting

    def add(self, window: LiveWindow, *, purge: bool) -> None:
        """The window fires as it is now; its slot must not be held already."""
        self._waiting[window.slot] = purge
        self._fired.append(_Fired(window.key, window.span, window.latest))

    def settle(self, source: Contents) -> None:
        """Copies what is waiting out of `source`, and purges there what was to be purged."""
        if not self._waiting:
            return
        slots = np.fromiter(self._waiting, np.int64, len(self._waiting))
        count = len(self._fired)
        self._contents.grow(count)
        self._contents.merge(np.arange(count - len(slots), count), source, slots, None)
        purged = [slot for slot, purge in self._waiting.items() if purge]
        if purged:
            source.reset(np.array(purged, np.int64))
        self._waiting.clear()

    def take(
        self, keys_of: Callable[[Int64s], list[pa.Array]], *, bounded: bool, timed: bool
    ) -> Firing:
        """Everything settled, in the order it fired; the log is empty after."""
        fired, contents = self._fired, self._contents
        self._fired, self._contents = [], self._empty.fresh()
        keys = keys_of(np.array([f.key for f in fired], np.int64))
        slots = np.arange(len(fired))
        if not bounded:
            latest = np.array([f.latest for f in fired], np.int64) if timed else None
            return Firing(keys, None, None, latest, contents, slots)
        starts = np.array([f.span[0] for f in fired], np.int64)
        ends = np.array([f.span[1] for f in fired], np.int64)
        return Firing(keys, starts, ends, ends - 1, contents, slots)
