"""GroupIndex: keys to dense slot numbers, the addresses of accumulator columns and keyed state.

Sized to its keys, because an oversized table costs several times the speed. It must not know what lies in the slots."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any, NamedTuple

import numpy as np

from flowjob.kernels import index_kernels
from flowjob.kernels.columns import Int64s, UInt8s, UInt64s
from flowjob.kernels.index_kernels import (
    ARENA_DEAD,
    ARENA_USED,
    FREE,
    LIVE,
    NEW,
    NEXT_SLOT,
    NULL_SLOT,
)
from flowjob.kernels.keys import EncodedKeys, Layout

_FIRST_ENTRIES = 64
_FIRST_ARENA = 1024
_SMALL = 1 << 14

LARGE_TABLE = 4 << 20
"""Bytes of a table from which on it has memory of its own."""

_NONE: Int64s = np.empty(0, np.int64)


class Upsert(NamedTuple):
    """slots     int64[n], the slot of each row's key
    new_rows  int64[k], rows whose keys were not there before, ascending: the first of each
    new_slots int64[k], the slot each of them got; fill these anew, a released number comes again"""

    slots: Int64s
    new_rows: Int64s
    new_slots: Int64s


class GroupIndex:
    """Distinct keys, each with a slot number: 0, 1, 2 … in order of first appearance, released ones first.

    All keys of one index have one layout, taken from the first; another one is a TypeError. Hashes place a key,
    its value decides: unequal keys with one hash have two slots. Not thread-safe."""

    def __init__(self, expected: int = 0) -> None:
        """`expected` keys fit without growing; a guess too high costs memory and speed."""
        self._layout: Layout | None = None
        entries = _FIRST_ENTRIES
        while _limit(entries) < expected:
            entries = _more(entries)
        self._begin(entries)

    def __len__(self) -> int:
        """Keys in the index."""
        return int(self._state[LIVE])

    @property
    def slot_limit(self) -> int:
        """One more than the largest slot number handed out since the last clear: the length of columns by slot."""
        return int(self._state[NEXT_SLOT])

    @property
    def nbytes(self) -> int:
        """Bytes held: table, hashes, free list, keys."""
        arrays = (self._table, self._state, self._hashes, self._free, self._spans, self._arena)
        return sum(array.nbytes for array in arrays)

    def reserve(self, more: int) -> None:
        """So many keys more will fit without growing."""
        entries = len(self._table) // 2
        wanted = entries
        while _limit(wanted) < len(self) + more:
            wanted = _more(wanted)
        if wanted > entries:
            self._grow(wanted)

    def clear(self) -> None:
        """Forget all keys and slot numbers; the next slot is 0. Memory shrinks to that of an empty index."""
        self._begin(_FIRST_ENTRIES)

    def _begin(self, entries: int) -> None:
        self._table: Int64s = _empty_table(entries)
        self._hashes: UInt64s = np.empty(_limit(entries), np.uint64)
        self._free: Int64s = np.empty(0, np.int64)
        self._spans: Int64s = np.zeros(0, np.int64)
        self._arena: UInt8s = np.empty(0, np.uint8)
        self._state: Int64s = np.zeros(index_kernels.STATE_SIZE, np.int64)
        self._state[NULL_SLOT] = -1

    def upsert(self, keys: EncodedKeys) -> Upsert:
        """The slot of every key, adding those not there."""
        slots, absent = self._find(keys)
        if absent == 0:
            return Upsert(slots, _NONE, _NONE)
        new_rows: Int64s = np.empty(absent, np.int64)
        self._state[NEW] = 0
        done = 0
        while True:
            done = self._add_from(done, keys, slots, new_rows)
            if done == len(slots):
                break
            self._make_room(keys, done)
        rows = new_rows[: self._state[NEW]].copy()
        return Upsert(slots, rows, slots[rows])

    def find(self, keys: EncodedKeys) -> Int64s:
        """int64[n]: the slot of every key, -1 for those not there."""
        return self._find(keys)[0]

    def release(self, slots: Int64s) -> None:
        """Remove the keys of these slots; upsert hands the numbers out again, the last released first.

        ValueError for a slot that holds no key, those before it being removed."""
        if len(self._free) < int(self._state[FREE]) + len(slots):
            self._free = _grown(self._free, int(self._state[FREE]) + len(slots))
        done = index_kernels.release(
            self._table, self._state, self._hashes, self._free, self._spans, slots
        )
        if done < len(slots):
            raise ValueError(
                f"slot {slots[done]} holds no key: it was released before or never given"
            )
        if self._state[ARENA_DEAD] > self._state[ARENA_USED] // 2:
            self._compact(0)

    def hashes(self, slots: Int64s) -> UInt64s:
        """uint64[k]: hash64 of the keys of these slots."""
        return self._hashes[slots]

    def all_hashes(self) -> UInt64s:
        """uint64[slot_limit]: hash64 of the key of each slot, anything where there is none; not a copy."""
        return self._hashes[: self.slot_limit]

    def _check_layout(self, keys: EncodedKeys) -> None:
        if self._layout is None:
            self._layout = keys.layout
        elif keys.layout is not self._layout:
            raise TypeError(f"keys of layout {keys.layout} in an index of {self._layout} keys")
        if keys.layout is Layout.BYTES and len(self._arena) == 0:
            self._arena = np.empty(_FIRST_ARENA, np.uint8)
            self._spans = np.zeros(2 * len(self._hashes), np.int64)

    def _find(self, keys: EncodedKeys) -> tuple[Int64s, int]:
        self._check_layout(keys)
        slots: Int64s = np.empty(len(keys), np.int64)
        if keys.layout is Layout.FIXED:
            absent = index_kernels.find_fixed(
                self._table, self._state, keys.bits, keys.valid, keys.hashes, slots
            )
        else:
            absent = index_kernels.find_bytes(
                self._table, self._state, self._spans, self._arena,
                keys.offsets, keys.data, keys.valid, keys.hashes, slots,
            )  # fmt: skip
        return slots, int(absent)

    def _add_from(self, first: int, keys: EncodedKeys, slots: Int64s, new_rows: Int64s) -> int:
        limit = _limit(len(self._table) // 2)
        if keys.layout is Layout.FIXED:
            done = index_kernels.add_fixed(
                self._table, self._state, self._hashes, self._free, limit,
                keys.bits, keys.valid, keys.hashes, first, slots, new_rows,
            )  # fmt: skip
        else:
            done = index_kernels.add_bytes(
                self._table, self._state, self._hashes, self._free, limit, self._spans, self._arena,
                keys.offsets, keys.data, keys.valid, keys.hashes, first, slots, new_rows,
            )  # fmt: skip
        return int(done)

    def _make_room(self, keys: EncodedKeys, row: int) -> None:
        """Let the key of `row` in: grow the table when it is full, else the arena."""
        entries = len(self._table) // 2
        if len(self) < _limit(entries):
            self._compact(int(keys.offsets[row + 1] - keys.offsets[row]))
        else:
            self._grow(_more(entries))

    def _grow(self, entries: int) -> None:
        table = _empty_table(entries)
        index_kernels.rehash(self._table, self._hashes, table)
        self._table = table
        self._hashes = _grown(self._hashes, _limit(entries))
        if len(self._spans):
            spans: Int64s = np.zeros(2 * len(self._hashes), np.int64)
            spans[: len(self._spans)] = self._spans
            self._spans = spans

    def _compact(self, wanted: int) -> None:
        """Drop the bytes of released keys and leave room for at least `wanted` more, and for as much again."""
        alive = int(self._state[ARENA_USED] - self._state[ARENA_DEAD])
        arena: UInt8s = np.empty(max(_FIRST_ARENA, 2 * (alive + wanted)), np.uint8)
        used = index_kernels.compact(self._spans, self.slot_limit, self._arena, arena)
        self._arena = arena
        self._state[ARENA_USED] = used
        self._state[ARENA_DEAD] = 0


def _limit(entries: int) -> int:
    """How many keys a table of so many entries takes.

    A key away from its home costs a mispredicted branch, four times a look-up; a table beyond the
    caches costs more still. So small tables stay emptier than large ones."""
    return entries // 4 if entries <= _SMALL else entries * 3 // 8


def _more(entries: int) -> int:
    """The next size: small tables quadruple, as their rehashing is cheap and their keys are few compared to a batch."""
    return entries * (4 if entries < _SMALL else 2)


def _empty_table(entries: int) -> Int64s:
    """Large ones are not there in a fork of the process, which describes state by slots and never looks keys up: the
    fork is quicker by a third, and the first write to each page behind it is as cheap as the next."""
    size = 2 * entries * np.dtype(np.int64).itemsize
    if size < LARGE_TABLE or not hasattr(mmap, "MADV_DONTFORK"):
        return np.full(2 * entries, -1, np.int64)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_DONTFORK)
    with contextlib.suppress(OSError):  # a kernel without huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    table: Int64s = np.frombuffer(memory, np.int64)
    table.fill(-1)
    return table


def _grown(array: Any, length: int) -> Any:
    longer = np.empty(length, array.dtype)
    longer[: len(array)] = array
    return longer
