"""Sliding windows from panes: every (window, key) that is due, its panes merged, in order of
firing.

Works on many windows at once, because a watermark that leaps over sparse rows makes thousands due,
and on one at a time where windows are large."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_tables import PaneTable, PaneTables
from flowjob.runtime.operators.window_contents import Contents

_MOST_PAIRS = 1 << 18

Merged = tuple[list[pa.Array], Int64s, Contents, Int64s]
"""Keys, window ends (boundaries), contents and slots of windows in order of firing."""


def merged_windows(grid: PaneGrid, tables: PaneTables, fired: int, due: int) -> Iterator[Merged]:
    """The windows ending after boundary `fired` and up to `due`, merged anew."""
    sources = tables.between(fired + 1 - grid.width, due)
    pairs = [_pairs(grid, table, fired, due) for table in sources]
    ends = np.concatenate([p[0] for p in pairs]) if pairs else np.empty(0, np.int64)
    if len(ends) == 0:
        return
    slots = np.concatenate([p[1] for p in pairs])
    origins = np.repeat(np.arange(len(pairs)), [len(p[0]) for p in pairs])
    if ends.min() != ends.max():
        order = np.argsort(ends, kind="stable")
        ends, slots, origins = ends[order], slots[order], origins[order]
    for start, stop in _cuts(ends):
        piece = slice(start, stop)
        yield _merge(sources, ends[piece], slots[piece], origins[piece])


def _pairs(grid: PaneGrid, table: PaneTable, fired: int, due: int) -> tuple[Int64s, Int64s]:
    """(end, slot) of every due window that each slot of the table is in."""
    panes = table.panes()
    ends = grid.next_ends(panes, fired)
    found_ends, found_slots = [], []
    for _ in range(grid.windows_per_pane):
        inside = np.flatnonzero((ends <= due) & (ends <= panes + grid.width))
        if len(inside) == 0:
            break
        found_ends.append(ends[inside])
        found_slots.append(inside)
        ends = ends + grid.step
    none = np.empty(0, np.int64)
    return np.concatenate([none, *found_ends]), np.concatenate([none, *found_slots])


def _cuts(ends: Int64s) -> Iterator[tuple[int, int]]:
    """Runs of whole windows, of about `_MOST_PAIRS` pairs."""
    start = 0
    while start < len(ends):
        stop = min(start + _MOST_PAIRS, len(ends))
        if stop < len(ends):
            # Back to the start of the window that would be cut, or on to its end if it is alone.
            cut = int(np.searchsorted(ends, ends[stop]))
            stop = cut if cut > start else int(np.searchsorted(ends, ends[stop], side="right"))
        yield start, stop
        start = stop


def _merge(sources: list[PaneTable], ends: Int64s, slots: Int64s, origins: Int64s) -> Merged:
    concerned = [int(i) for i in np.unique(origins)]
    rows = [np.flatnonzero(origins == i) for i in concerned]
    back = np.empty(len(ends), np.int64)
    back[np.concatenate(rows)] = np.arange(len(ends))
    at = pa.array(back)
    columns = zip(*(sources[i].take_keys(slots[r]) for i, r in zip(concerned, rows)))
    keys = [pa.concat_arrays(parts).take(at) for parts in columns]
    several = bool(ends[0] != ends[-1])
    encoded = encode_keys([pa.array(ends), *keys] if several else keys, len(ends))
    index = GroupIndex().upsert(encoded)
    count = len(index.new_rows)
    contents = sources[0].contents.fresh()
    contents.grow(count)
    firsts = np.full(count, np.iinfo(np.int64).max)
    for i, r in zip(concerned, rows):
        if several:
            unique, picks = np.unique(slots[r], return_inverse=True)
            contents.merge(index.slots[r], sources[i].contents, unique, picks)
        else:  # a slot is in one window once
            contents.merge(index.slots[r], sources[i].contents, slots[r], None)
        np.minimum.at(firsts, index.slots[r], sources[i].arrivals[slots[r]])
    window_ends = ends[index.new_rows]
    order = np.lexsort((firsts, window_ends))
    picked = pa.array(index.new_rows[order])
    return [key.take(picked) for key in keys], window_ends[order], contents, order
