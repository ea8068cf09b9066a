"""Sliding windows from panes: every (window, key) that is due, its panes merged, in order of
firing.

Three ways, by cost: many small windows at once, because a watermark that leaps over sparse rows
makes thousands due; one window at a time; and windows of many panes and rows from blocks
(pane_blocks.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.pane_blocks import PaneBlocks
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_tables import PaneTable, PaneTables
from flowjob.runtime.operators.window_contents import Contents

_MOST_PAIRS = 1 << 18
"""(window, slot) pairs merged in one go."""

_MANY_PANES = 16
_MANY_PAIRS = 1 << 12
_NONE = np.empty(0, np.int64)

Merged = tuple[list[pa.Array], Int64s, Contents, Int64s]
"""Keys, window ends (boundaries), contents and slots of windows in order of firing."""


def merged_windows(
    grid: PaneGrid, tables: PaneTables, blocks: PaneBlocks, fired: int, due: int
) -> Iterator[Merged]:
    """The windows ending after boundary `fired` and up to `due`."""
    sources = tables.between(fired + 1 - grid.width, due)
    ends, sizes = _due_ends(grid, sources, fired, due)
    big = (sizes >= _MANY_PAIRS) & (grid.width >= _MANY_PANES)
    start = 0
    while start < len(ends):
        if big[start]:
            yield _from_blocks(grid, blocks, int(ends[start]))
            start += 1
            continue
        stop = start + 1
        pairs = int(sizes[start])
        while stop < len(ends) and not big[stop] and pairs + int(sizes[stop]) <= _MOST_PAIRS:
            pairs += int(sizes[stop])
            stop += 1
        first, last = int(ends[start]), int(ends[stop - 1])
        yield _merge(grid, tables.between(first - grid.width, last), first, last)
        start = stop


def _due_ends(
    grid: PaneGrid, sources: Sequence[PaneTable], fired: int, due: int
) -> tuple[Int64s, Int64s]:
    """The ends of due windows with anything in them, ascending, and how many slots each covers."""
    counted = [table.count_by_pane() for table in sources]
    panes = np.concatenate([_NONE, *(panes for panes, _ in counted)])
    counts = np.concatenate([_NONE, *(counts for _, counts in counted)])
    found = []
    ends = grid.next_ends(panes, fired)
    for _ in range(grid.windows_per_pane):
        inside = (ends <= due) & (ends <= panes + grid.width)
        if not inside.any():
            break
        found.append(np.unique(ends[inside]))
        ends = ends + grid.step
    distinct = np.unique(np.concatenate([_NONE, *found]))
    until = np.concatenate(([0], np.cumsum(counts)))
    covered = until[np.searchsorted(panes, distinct)]
    sizes: Int64s = covered - until[np.searchsorted(panes, distinct - grid.width)]
    return distinct, sizes


def _from_blocks(grid: PaneGrid, blocks: PaneBlocks, end: int) -> Merged:
    block = blocks.cover(end - grid.width, end)
    order = np.argsort(block.arrivals)
    at = pa.array(order)
    keys = [key.take(at) for key in block.keys]
    return keys, np.full(len(order), end, np.int64), block.contents, block.slots[order]


def _merge(grid: PaneGrid, sources: Sequence[PaneTable], first: int, last: int) -> Merged:
    """The windows ending at boundaries `first` … `last`."""
    pairs = [_pairs(grid, table, first - 1, last) for table in sources]
    ends = np.concatenate([p[0] for p in pairs])
    several = first != last
    taken = zip(*(table.take_keys(slots) for table, (_, slots) in zip(sources, pairs)))
    keys = [pa.concat_arrays(parts) for parts in taken]
    encoded = encode_keys([pa.array(ends), *keys] if several else keys, len(ends))
    index = GroupIndex().upsert(encoded)
    count = len(index.new_rows)
    contents = sources[0].contents.fresh()
    contents.grow(count)
    firsts = np.full(count, np.iinfo(np.int64).max)
    start = 0
    for table, (_, slots) in zip(sources, pairs):
        groups = index.slots[start : start + len(slots)]
        start += len(slots)
        picks = None
        np.minimum.at(firsts, groups, table.arrivals[slots])
        if several:  # else a slot is in the one window once
            slots, picks = np.unique(slots, return_inverse=True)
        contents.merge(groups, table.contents, slots, picks)
    window_ends = ends[index.new_rows]
    order = np.lexsort((firsts, window_ends))
    picked = pa.array(index.new_rows[order])
    return [key.take(picked) for key in keys], window_ends[order], contents, order


def _pairs(grid: PaneGrid, table: PaneTable, fired: int, due: int) -> tuple[Int64s, Int64s]:
    """(end, slot) of every window ending after `fired` and up to `due` that each slot is in."""
    panes = table.panes()
    ends = grid.next_ends(panes, fired)
    found_ends, found_slots = [_NONE], [_NONE]
    for _ in range(grid.windows_per_pane):
        inside = np.flatnonzero((ends <= due) & (ends <= panes + grid.width))
        if len(inside) == 0:
            break
        found_ends.append(ends[inside])
        found_slots.append(inside)
        ends = ends + grid.step
    return np.concatenate(found_ends), np.concatenate(found_slots)
