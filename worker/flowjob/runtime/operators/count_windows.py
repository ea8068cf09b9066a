"""Windows of a number of rows that overlap or leave gaps, vectorised: the last `size` rows of a key
after every `slide` rows.

Rows of a key are numbered; runs of gcd(size, slide) rows are panes, and a window is whole panes
that are complete when it fires. So all firings of a batch are computed after its rows have joined,
and batching changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MIN_TIME
from flowjob.kernels.accumulate import occurrence
from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.batch import Batch, Data, Int64s
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.key_store import KeyStore
from flowjob.runtime.operators.window_base import WindowOperator, WindowParts, key_types
from flowjob.runtime.operators.window_results import Firing
from flowjob.runtime.operators.window_state import (
    KEYS,
    PANES,
    Reading,
    Writing,
    time_fields,
    times,
)
from flowjob.windows import CountWindow

_ROWS, _FIRST_ROW, _LATEST = "rows_so_far", "first_row", "__latest"
_NONE = np.empty(0, np.int64)


class CountWindows(WindowOperator):
    """`counts[key]` rows have come of a key; pane p of it has its rows p * pane … (p + 1) * pane -
    1.

    Result timestamps are the greatest of the window's rows; window bounds are null."""

    def __init__(self, parts: WindowParts, assigner: CountWindow) -> None:
        super().__init__(parts)
        self.slide = assigner.slide
        self.pane = gcd(assigner.size, assigner.slide)
        self.width = assigner.size // self.pane
        self.sections = (KEYS, PANES)
        self.shape = assigner.size, assigner.slide

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        self.keys = KeyStore(key_types(self.parts.keys))
        self.counts = _NONE
        self.panes = GroupIndex()
        self.contents = self.parts.contents.fresh()
        self.latest = _NONE

    def advance(self, passed: int) -> Emitted:
        self.passed = passed  # rows close these windows, never time
        yield from ()

    def on_end(self) -> Emitted:
        yield from ()

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        if len(data) == 0:
            return
        keys = self.keys.slots(self.key_columns(data.columns), len(data))
        self.counts = grown(self.counts, self.keys.limit, 0)
        numbers = occurrence(keys, self.counts)
        panes = (numbers - 1) // self.pane
        self._join(data, keys, panes)
        firing = np.flatnonzero(numbers % self.slide == 0)
        if len(firing):
            yield from self._fire(keys[firing], panes[firing], data.timestamps is not None)
        # The row that completes a pane ends the need for the one `width` panes before.
        complete = np.flatnonzero(numbers % self.pane == 0)
        self._drop(keys[complete], panes[complete] - (self.width - 1))

    def _join(self, data: Batch, keys: Int64s, panes: Int64s) -> None:
        found = self.panes.upsert(encode_keys([pa.array(keys), pa.array(panes)]))
        limit = self.panes.slot_limit
        self.contents.grow(limit)
        self.latest = grown(self.latest, limit, MIN_TIME)
        inputs = self.parts.contents.read(data.columns, self.arrivals(len(data)))
        self.contents.update(found.slots, inputs)
        if data.timestamps is not None:
            scatter.latest(self.latest, found.slots, data.timestamps)

    def _fire(self, keys: Int64s, panes: Int64s, timed: bool) -> Emitted:
        values = self.keys.take(keys)
        if self.width == 1:
            slots = self._find(keys, panes)
            times = self.latest[slots] if timed else None
            yield from self.emit(Firing(values, None, None, times, self.contents, slots))
            return
        merged = self.contents.fresh()
        merged.grow(len(keys))
        targets = np.arange(len(keys))
        latest = np.full(len(keys), MIN_TIME, np.int64)
        for back in range(self.width - 1, -1, -1):
            found = self._find(keys, panes - back)
            held = np.flatnonzero(found >= 0)
            unique, picks = np.unique(found[held], return_inverse=True)
            merged.merge(targets[held], self.contents, unique, picks)
            latest[held] = np.maximum(latest[held], self.latest[found[held]])
        times = latest if timed else None
        yield from self.emit(Firing(values, None, None, times, merged, targets))

    def _drop(self, keys: Int64s, panes: Int64s) -> None:
        found = self._find(keys, panes)
        gone = found[found >= 0]
        if len(gone):
            self.contents.reset(gone)
            self.latest[gone] = MIN_TIME
            self.panes.release(gone)

    # -- snapshots --------------------------------------------------------------------------------

    @property
    def state_bytes(self) -> int:
        held = self.keys.nbytes + self.counts.nbytes + self.latest.nbytes
        return held + self.panes.nbytes + self.contents.nbytes

    def take_snapshot(self) -> Iterator[Section]:
        of_keys, of_panes = self._writings()
        keys = np.arange(self.keys.limit)  # keys are never released
        counts, hashes = self.counts[: len(keys)], self.keys.hashes(keys)
        of_keys.add(self.keys.take(keys), [pa.array(counts)], None, keys, hashes)
        yield of_keys.section(self.meta)
        newest = (counts - 1) // self.pane
        for back in range(self.width - 1, -1, -1):
            found = self._find(keys, newest - back)
            held = np.flatnonzero(found >= 0)
            slots = found[held]
            first = (newest[held] - back) * self.pane
            own = [pa.array(first), times(self.latest[slots], MIN_TIME)]
            of_panes.add(self.keys.take(held), own, self.contents, slots, hashes[held])
        yield of_panes.section(self.meta)

    def adopt(self, state: RestoredState, meta: Mapping[str, Any]) -> None:
        self.adopt_meta(meta)
        self.passed = meta.get("passed", self.passed)
        of_keys, of_panes = (
            Reading(state.parts(writing.name), writing.schema) for writing in self._writings()
        )
        keys = self.keys.slots(of_keys.keys(), len(of_keys))
        self.counts = grown(self.counts, self.keys.limit, 0)
        self.counts[keys] = of_keys.ints(_ROWS, null=0)
        first = of_panes.ints(_FIRST_ROW)
        keys = self.keys.slots(of_panes.keys(), len(of_panes))
        self.counts = grown(self.counts, self.keys.limit, 0)
        pairs = encode_keys([pa.array(keys), pa.array(first // self.pane)])
        slots = self.panes.upsert(pairs).slots
        self.contents.grow(self.panes.slot_limit)
        of_panes.load(self.contents, slots)
        self.latest = grown(self.latest, self.panes.slot_limit, MIN_TIME)
        self.latest[slots] = of_panes.ints(_LATEST)

    def _writings(self) -> tuple[Writing, Writing]:
        """How many rows each key has had, and the runs of them that windows still need."""
        keys = self.parts.keys
        runs = [pa.field(_FIRST_ROW, pa.int64()), *time_fields(_LATEST)]
        return (
            Writing(KEYS, keys, [pa.field(_ROWS, pa.int64())]),
            Writing(PANES, keys, runs, self.parts.contents),
        )

    def _find(self, keys: Int64s, panes: Int64s) -> Int64s:
        slots: Int64s = self.panes.find(encode_keys([pa.array(keys), pa.array(panes)]))
        return slots
