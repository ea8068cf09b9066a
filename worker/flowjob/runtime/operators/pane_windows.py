"""Tumbling and sliding windows with the default trigger, vectorised: rows join panes, windows are
merged panes.

A firing's order is (window end, first row of the key in the window). A late row that is still
allowed fires its windows at once, row by row, so that results do not depend on batching. It must
not know what aggregates are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.plan.partials import PANE_COLUMN
from flowjob.runtime.accumulators.base import occurrences
from flowjob.runtime.batch import Batch, Data, Int64s
from flowjob.runtime.checkpoint.plain_types import are_words
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import Emitted, OperatorContext
from flowjob.runtime.operators.pane_blocks import PaneBlocks
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_merging import merged_windows
from flowjob.runtime.operators.pane_tables import PaneTable, PaneTables
from flowjob.runtime.operators.window_base import WindowOperator, WindowParts, key_types
from flowjob.runtime.operators.window_contents import (
    Contents,
    Inputs,
    take_columns,
    take_inputs,
)
from flowjob.runtime.operators.window_results import Firing
from flowjob.runtime.operators.window_state import (
    ARRIVAL,
    CHANGED,
    END,
    PANE_END,
    PANE_START,
    PANES,
    START,
    WINDOWS,
    Reading,
    Writing,
    other_windows,
    time_fields,
    times,
)


class PaneWindows(WindowOperator):
    """`fired` and `expired` are boundaries: windows ending up to them have fired, or are gone for
    good."""

    def __init__(self, parts: WindowParts, grid: PaneGrid) -> None:
        super().__init__(parts)
        self.grid = grid
        self._whole = grid.width == grid.step == 1
        self.sections = (WINDOWS if self._whole else PANES,)
        self.shape = grid.shape
        self._bounds = (START, END) if self._whole else (PANE_START, PANE_END)

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        self.tables = PaneTables(key_types(self.parts.keys), self.parts.contents)
        self.blocks = PaneBlocks(self.tables, self.grid.width)
        self._set_passed(self.passed)

    # -- rows -------------------------------------------------------------------------------------

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        if len(data) == 0:
            return
        panes = self._panes(data)
        arrivals = self.arrivals(len(data))
        first_live = self.grid.first_live(self.expired)
        if int(panes.min()) < first_live:
            live = panes >= first_live
            yield from self.late(data, ~live & ~self.grid.in_gap(panes))
            data, panes, arrivals = data.filter(live), panes[live], arrivals[live]
        if self.grid.width < self.grid.step:
            inside = ~self.grid.in_gap(panes)
            data, panes, arrivals = data.filter(inside), panes[inside], arrivals[inside]
        if len(data):
            yield from self._join(data.columns, panes, arrivals)

    def _panes(self, batch: Batch) -> Int64s:
        if self.parts.partials:
            return self.grid.panes(batch.columns.column(PANE_COLUMN).to_numpy())
        return self.grid.panes(self.times_of(batch))

    def _join(self, columns: pa.RecordBatch, panes: Int64s, arrivals: Int64s) -> Emitted:
        keys = self.key_columns(columns)
        inputs = self.parts.contents.read(columns, arrivals)
        if self.fired > self.expired and int(panes.min()) < self.fired:
            # Some windows of these rows have fired but still live: each such row fires them anew.
            again = self.grid.next_ends(panes, self.expired) <= self.fired
            if again.any():
                yield from self._fire_again(np.flatnonzero(again), keys, inputs, panes, arrivals)
                rows = np.flatnonzero(~again)
                if len(rows) == 0:
                    return
                keys, inputs = take_columns(keys, rows), take_inputs(inputs, rows)
                panes, arrivals = panes[rows], arrivals[rows]
        self._update(keys, inputs, panes, arrivals, show=bool(self.parts.early))
        self.expect_early()

    def _update(
        self,
        keys: list[pa.Array],
        inputs: Inputs,
        panes: Int64s,
        arrivals: Int64s,
        *,
        show: bool = False,
    ) -> None:
        """Rows join panes; `show`: an early firing is to give what they change."""
        self.blocks.changed(panes)
        for table, rows in self.tables.split(panes):
            if rows is None:
                slots = table.slots(keys, panes, arrivals)
                table.contents.update(slots, inputs)
            else:
                slots = table.slots(take_columns(keys, rows), panes[rows], arrivals[rows])
                table.contents.update(slots, take_inputs(inputs, rows))
            if show:
                table.changed[slots] = True

    def _fire_again(
        self,
        rows: Int64s,
        keys: list[pa.Array],
        inputs: Inputs,
        panes: Int64s,
        arrivals: Int64s,
    ) -> Emitted:
        """Rows of windows that have fired: in rounds in which no key comes twice, so that each
        row's result is the one as of that row."""
        rank = occurrences(
            GroupIndex().upsert(encode_keys(take_columns(keys, rows), len(rows))).slots
        )
        contents = self.parts.contents.fresh()
        fired_rows: list[Int64s] = []
        fired_ends: list[Int64s] = []
        count = 0
        for turn in range(int(rank.max()) + 1):
            now = rows[rank == turn]
            turn_keys = take_columns(keys, now)
            self._update(turn_keys, take_inputs(inputs, now), panes[now], arrivals[now])
            ends = self.grid.next_ends(panes[now], self.expired)
            while (due := (ends <= self.fired) & (ends <= panes[now] + self.grid.width)).any():
                which = np.flatnonzero(due)
                contents.grow(count + len(which))
                slots = np.arange(count, count + len(which))
                self._gather(take_columns(turn_keys, which), ends[which], contents, slots)
                fired_rows.append(now[which])
                fired_ends.append(ends[which])
                count += len(which)
                ends = ends + self.grid.step
        at, ends = np.concatenate(fired_rows), np.concatenate(fired_ends)
        order = np.lexsort((ends, at))
        yield from self._emit(take_columns(keys, at[order]), ends[order], contents, order)

    def _gather(
        self, keys: list[pa.Array], ends: Int64s, contents: Contents, slots: Int64s
    ) -> None:
        """Merges, for each key and window, its panes into its slot of `contents`."""
        for end in np.unique(ends).tolist():
            which = np.flatnonzero(ends == end)
            wanted = take_columns(keys, which)
            for pane in range(end - self.grid.width, end):
                for table in self.tables.between(pane, pane + 1):
                    found = table.find(wanted, np.full(len(which), pane, np.int64))
                    held = found >= 0
                    contents.merge(slots[which[held]], table.contents, found[held], None)

    # -- time -------------------------------------------------------------------------------------

    def fire_early(self, at: int) -> Emitted:
        """Tumbling only: a window is a pane."""
        for table in list(self.tables):
            slots = np.flatnonzero(table.changed[: len(table)])
            if len(slots):
                slots = slots[np.argsort(table.panes()[slots], kind="stable")]
                table.changed[slots] = False
                yield from self._fire_slots(table, slots)

    def next_end(self) -> int | None:
        if not len(self.tables):
            return None
        # Panes before `fired` wait only for the windows that are still to come.
        pane = min(int(table.panes().min()) for table in self.tables)
        end = self.grid.next_ends(np.array([pane]), self.fired)
        return int(self.grid.times(end)[0])

    def advance(self, passed: int) -> Emitted:
        due = self.grid.passed(passed)
        if due > self.fired:
            if self._whole:
                for table in self.tables.between(self.fired, due):
                    yield from self._fire_table(table, due)
            else:
                for merged in merged_windows(self.grid, self.tables, self.blocks, self.fired, due):
                    yield from self._emit(*merged)
        self._set_passed(passed)
        first_live = self.grid.first_live(self.expired)
        self.tables.drop_before(first_live)
        self.blocks.drop_before(first_live)

    def _fire_table(self, table: PaneTable, due: int) -> Emitted:
        """Tumbling: a window is a pane. Slots are in order of first arrival already."""
        panes = table.panes()
        if table.span == 1:
            slots = np.arange(len(panes))
        else:
            slots = np.flatnonzero((panes >= self.fired) & (panes < due))
            slots = slots[np.argsort(panes[slots], kind="stable")]
        if self.parts.early:
            table.changed[slots] = False
        yield from self._fire_slots(table, slots)

    def _fire_slots(self, table: PaneTable, slots: Int64s) -> Emitted:
        # In pieces: a window of millions of keys need not be copied as a whole.
        panes = table.panes()
        rows = self.context.batch_rows
        for start in range(0, len(slots), rows):
            some = slots[start : start + rows]
            yield from self._emit(table.take_keys(some), panes[some] + 1, table.contents, some)

    def _set_passed(self, passed: int) -> None:
        self.passed = passed
        self.fired = self.grid.passed(passed)
        self.expired = self.grid.passed(passed - self.parts.lateness)

    # -- snapshots --------------------------------------------------------------------------------

    @property
    def state_bytes(self) -> int:
        return sum(table.used_bytes for table in self.tables)

    @property
    def state_is_words(self) -> bool:
        return are_words(self._writing().schema)

    def take_snapshot(self) -> Iterator[Section]:
        writing = self._writing()
        for table, slots in self.tables.live(self.grid.first_live(self.expired)):
            columns = partial(self._stored, table)
            writing.add_made(columns, table.contents, slots, table.hashes(slots))
        yield writing.section(self.meta)

    def _stored(self, table: PaneTable, _: Int64s, some: Int64s) -> list[pa.Array]:
        """The columns of a section but for the contents', of some of the table's slots."""
        panes = table.panes_of(some)
        own = [times(self.grid.times(panes)), times(self.grid.times(panes + 1))]
        own.append(pa.array(table.arrivals[some]))
        if self.parts.early:
            own.append(pa.array(table.changed[some]))
        return [*table.take_keys(some), *own]

    def adopt(self, state: RestoredState, meta: Mapping[str, Any]) -> None:
        self.adopt_meta(meta)
        self._set_passed(meta.get("passed", self.passed))
        writing = self._writing()
        reading = Reading(state.parts(writing.name), writing.schema)
        start, end = (reading.ints(name) for name in self._bounds)
        panes = self.grid.numbers(start, end, windows=False)
        if panes is None:
            raise other_windows(self.context.name)
        arrivals = reading.arrivals()
        self.arrived(arrivals)
        for table, slots, rows in self.tables.adopt(reading.keys(), panes, arrivals):
            reading.load(table.contents, slots, rows)
            if self.parts.early:
                table.changed[slots] = reading.flags(CHANGED, rows)

    def _writing(self) -> Writing:
        """Tumbling: a window is a pane, and is stored as one."""
        own = [*time_fields(*self._bounds), pa.field(ARRIVAL, pa.int64())]
        if self.parts.early:
            own.append(pa.field(CHANGED, pa.bool_()))
        return Writing(self.sections[0], self.parts.keys, own, self.parts.contents)

    def _emit(
        self, keys: list[pa.Array], ends: Int64s, contents: Contents, slots: Int64s
    ) -> Emitted:
        until = self.grid.times(ends)
        since = self.grid.times(ends - self.grid.width)
        yield from self.emit(Firing(keys, since, until, until - 1, contents, slots))
