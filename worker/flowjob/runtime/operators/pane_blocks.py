"""Runs of panes already merged, for sliding windows of many panes: each window is a few blocks.

A block covers 2^level aligned panes and is merged once, from its halves; sliding on by a pane
merges about one block per level instead of all panes (the idea of a segment tree; as in Tangwongsan
et al., "General Incremental Sliding-Window Aggregation", VLDB 2015). Nothing need be
subtractable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.pane_tables import PaneTables
from flowjob.runtime.operators.window_contents import Contents


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Keys of a run of panes, each once: values, first arrival number, and slot in `contents`."""

    keys: list[pa.Array]
    arrivals: Int64s
    contents: Contents
    slots: Int64s


class PaneBlocks:
    """Blocks of panes that windows have fired from; forgotten where a pane changes after all."""

    def __init__(self, tables: PaneTables, width: int) -> None:
        self._tables = tables
        self._width = width
        self._top = max(width.bit_length() - 1, 0)
        self._blocks: dict[tuple[int, int], Block] = {}
        self._reach = -(2**62)
        """No block covers panes from here on."""

    def cover(self, first: int, stop: int) -> Block:
        """Panes first … stop - 1 as one block; they hold something."""
        parts = []
        while first < stop:
            level = (stop - first).bit_length() - 1
            while first % (1 << level):
                level -= 1
            if (block := self._block(level, first >> level)) is not None:
                parts.append(block)
            first += 1 << level
        return parts[0] if len(parts) == 1 else _combine(parts)

    def changed(self, panes: Int64s) -> None:
        """Rows have joined these panes: blocks with them are out of date."""
        if not self._blocks or int(panes.min()) >= self._reach:
            return
        for pane in np.unique(panes[panes < self._reach]).tolist():
            for level in range(1, self._top + 1):
                self._blocks.pop((level, pane >> level), None)

    def drop_before(self, pane: int) -> None:
        """Panes before this one are in no window any more."""
        if len(self._blocks) > 4 * self._width:
            kept = {k: b for k, b in self._blocks.items() if (k[1] + 1) << k[0] > pane}
            self._blocks = kept

    def _block(self, level: int, index: int) -> Block | None:
        if level == 0:
            return self._pane(index)
        known = self._blocks.get((level, index))
        if known is None:
            first = index << level
            if not self._tables.between(first, first + (1 << level)):
                return None
            halves = (self._block(level - 1, 2 * index), self._block(level - 1, 2 * index + 1))
            parts = [half for half in halves if half is not None]
            if not parts:
                return None
            known = parts[0] if len(parts) == 1 else _combine(parts)
            self._blocks[level, index] = known
            self._reach = max(self._reach, first + (1 << level))
        return known

    def _pane(self, pane: int) -> Block | None:
        for table in self._tables.between(pane, pane + 1):
            slots = np.flatnonzero(table.panes() == pane)
            if len(slots):
                return Block(table.take_keys(slots), table.arrivals[slots], table.contents, slots)
        return None


def _combine(parts: Sequence[Block]) -> Block:
    """The blocks as one: contents merged in their order."""
    keys = [pa.concat_arrays(columns) for columns in zip(*(part.keys for part in parts))]
    lengths = [len(part.slots) for part in parts]
    found = GroupIndex().upsert(encode_keys(keys, sum(lengths)))
    count = len(found.new_rows)
    contents = parts[0].contents.fresh()
    contents.grow(count)
    arrivals = np.full(count, np.iinfo(np.int64).max)
    start = 0
    for part, length in zip(parts, lengths):
        groups = found.slots[start : start + length]
        start += length
        contents.merge(groups, part.contents, part.slots, None)
        np.minimum.at(arrivals, groups, part.arrivals)
    at = pa.array(found.new_rows)
    return Block([key.take(at) for key in keys], arrivals, contents, np.arange(count))
