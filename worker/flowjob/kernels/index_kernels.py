"""The loops of the group index: open addressing with linear probing over entries of (key word, slot).

An entry is two int64 side by side, so one cache line answers a probe; slot -1 is an empty entry. For FIXED keys
the key word is the key itself, for BYTES it is the hash, and equal hashes are verified byte by byte.
Home position = high 32 bits of the hash & mask: the low ones chose the subtask, so here they hardly differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels.compile import (
    BOOLS,
    I64S,
    I64S_OUT,
    U8S,
    U8S_OUT,
    U64S,
    U64S_OUT,
    helper,
    kernel,
)
from flowjob.kernels.primitives import copy_bytes, load64, prefetch

# Where each number lies in an index's `state` array.
LIVE, NEXT_SLOT, FREE, NULL_SLOT, ARENA_USED, ARENA_DEAD, NEW = range(7)
STATE_SIZE = 7

_32 = np.uint64(32)
_AHEAD = 12  # rows between a prefetch and its use: enough to cover a miss in the largest cache
_PREFETCH_FROM = 1 << 15  # entries; below, the table is in a near cache and prefetching only costs


@helper
def home(hash_: Any, mask: Any) -> Any:
    """The position a key is looked for first."""
    return np.int64(hash_ >> _32) & mask


@helper
def place(table: Any, mask: Any, hash_: Any, word: Any, slot: Any) -> None:
    """Put an entry known to be absent into the first empty position from its home."""
    at = home(hash_, mask)
    while table[2 * at + 1] >= 0:
        at = (at + 1) & mask
    table[2 * at] = word
    table[2 * at + 1] = slot


@helper
def seek(table: Any, mask: Any, hash_: Any, word: Any) -> Any:
    """The position of the entry with `word`, or of the empty one that ends its run."""
    at = home(hash_, mask)
    while table[2 * at + 1] >= 0 and table[2 * at] != word:
        at = (at + 1) & mask
    return at


@helper
def take_slot(state: Any, free: Any) -> Any:
    """A slot number for a new key: the last one released, else the next."""
    state[LIVE] += 1
    if state[FREE] > 0:
        state[FREE] -= 1
        return free[state[FREE]]
    state[NEXT_SLOT] += 1
    return state[NEXT_SLOT] - 1


@helper
def same_bytes(a: Any, a_start: Any, b: Any, b_start: Any, length: Any) -> Any:
    """Whether two spans hold the same bytes."""
    i = np.int64(0)
    while i + 8 <= length:
        if load64(a, a_start + i) != load64(b, b_start + i):
            return False
        i += 8
    while i < length:
        if a[a_start + i] != b[b_start + i]:
            return False
        i += 1
    return True


@kernel(
    types.int64(
        I64S_OUT, I64S_OUT, U64S_OUT, I64S_OUT, types.int64,
        I64S, BOOLS, U64S, types.int64, I64S_OUT, I64S_OUT,
    )
)  # fmt: skip
def add_fixed(
    table: Any, state: Any, slot_hashes: Any, free: Any, limit: Any,
    bits: Any, valid: Any, hashes: Any, first: Any, slots: Any, new_rows: Any,
) -> Any:  # fmt: skip
    """Add the keys of rows first… that find_fixed did not find; where it stopped at `limit` keys, or n.

    Apart from finding, because the loop that only finds is three times as fast as one that also adds."""
    mask = np.int64(table.shape[0] // 2 - 1)
    nulls = valid.shape[0] > 0
    n = hashes.shape[0]
    for i in range(first, n):
        if slots[i] >= 0:
            continue
        slot = np.int64(-1)
        null = nulls and not valid[i]
        word = bits[i]
        at = np.int64(0)
        if null:
            slot = state[NULL_SLOT]
        else:
            at = seek(table, mask, hashes[i], word)
            slot = table[2 * at + 1]
        if slot < 0:
            if state[LIVE] >= limit:
                return i
            slot = take_slot(state, free)
            slot_hashes[slot] = hashes[i]
            if null:
                state[NULL_SLOT] = slot
            else:
                table[2 * at] = word
                table[2 * at + 1] = slot
            new_rows[state[NEW]] = i
            state[NEW] += 1
        slots[i] = slot
    return n


@kernel(types.int64(I64S, I64S, I64S, BOOLS, U64S, I64S_OUT))
def find_fixed(table: Any, state: Any, bits: Any, valid: Any, hashes: Any, slots: Any) -> Any:
    """The slot of each row's key, -1 where absent; how many are."""
    mask = np.int64(table.shape[0] // 2 - 1)
    nulls = valid.shape[0] > 0
    n = hashes.shape[0]
    ahead = n - _AHEAD if mask >= _PREFETCH_FROM else 0
    absent = np.int64(0)
    for i in range(n):
        if i < ahead:
            prefetch(table, 2 * home(hashes[i + _AHEAD], mask))
        if nulls and not valid[i]:
            slot = state[NULL_SLOT]
        else:
            slot = table[2 * seek(table, mask, hashes[i], bits[i]) + 1]
        slots[i] = slot
        absent += np.int64(slot < 0)
    return absent


@helper
def probe_bytes(
    table: Any, spans: Any, arena: Any, hash_: Any, data: Any, start: Any, length: Any
) -> Any:
    """(slot or -1, position) of the key data[start:start + length]."""
    mask = np.int64(table.shape[0] // 2 - 1)
    word = np.int64(hash_)
    at = home(hash_, mask)
    slot = table[2 * at + 1]
    while slot >= 0:
        if (
            table[2 * at] == word
            and spans[2 * slot + 1] == length
            and same_bytes(arena, spans[2 * slot], data, start, length)
        ):
            break
        at = (at + 1) & mask
        slot = table[2 * at + 1]
    return slot, at


@kernel(
    types.int64(
        I64S_OUT, I64S_OUT, U64S_OUT, I64S_OUT, types.int64, I64S_OUT, U8S_OUT,
        I64S, U8S, BOOLS, U64S, types.int64, I64S_OUT, I64S_OUT,
    )
)  # fmt: skip
def add_bytes(
    table: Any, state: Any, slot_hashes: Any, free: Any, limit: Any, spans: Any, arena: Any,
    offsets: Any, data: Any, valid: Any, hashes: Any, first: Any, slots: Any, new_rows: Any,
) -> Any:  # fmt: skip
    """As add_fixed, for byte keys; also stops when a new key's bytes do not fit into the arena."""
    nulls = valid.shape[0] > 0
    n = hashes.shape[0]
    for i in range(first, n):
        if slots[i] >= 0:
            continue
        start = offsets[i]
        length = offsets[i + 1] - start
        null = nulls and not valid[i]
        at = np.int64(0)
        if null:
            slot = state[NULL_SLOT]
            length = np.int64(0)
        else:
            slot, at = probe_bytes(table, spans, arena, hashes[i], data, start, length)
        if slot < 0:
            used = state[ARENA_USED]
            if state[LIVE] >= limit or used + length > arena.shape[0]:
                return i
            slot = take_slot(state, free)
            slot_hashes[slot] = hashes[i]
            spans[2 * slot] = used
            spans[2 * slot + 1] = length
            copy_bytes(arena, used, data, start, length)
            state[ARENA_USED] = used + length
            if null:
                state[NULL_SLOT] = slot
            else:
                table[2 * at] = np.int64(hashes[i])
                table[2 * at + 1] = slot
            new_rows[state[NEW]] = i
            state[NEW] += 1
        slots[i] = slot
    return n


@kernel(types.int64(I64S, I64S, I64S, U8S, I64S, U8S, BOOLS, U64S, I64S_OUT))
def find_bytes(
    table: Any, state: Any, spans: Any, arena: Any,
    offsets: Any, data: Any, valid: Any, hashes: Any, slots: Any,
) -> Any:  # fmt: skip
    """The slot of each row's key, -1 where absent; how many are."""
    mask = np.int64(table.shape[0] // 2 - 1)
    nulls = valid.shape[0] > 0
    n = hashes.shape[0]
    ahead = n - _AHEAD if mask >= _PREFETCH_FROM else 0
    absent = np.int64(0)
    for i in range(n):
        if i < ahead:
            prefetch(table, 2 * home(hashes[i + _AHEAD], mask))
        slot = state[NULL_SLOT]
        if not nulls or valid[i]:
            length = offsets[i + 1] - offsets[i]
            slot, _ = probe_bytes(table, spans, arena, hashes[i], data, offsets[i], length)
        slots[i] = slot
        absent += np.int64(slot < 0)
    return absent


@kernel(types.void(I64S, U64S, I64S_OUT))
def rehash(old: Any, slot_hashes: Any, table: Any) -> None:
    """Put every entry of `old` into the empty, larger `table`."""
    mask = np.int64(table.shape[0] // 2 - 1)
    for at in range(old.shape[0] // 2):
        slot = old[2 * at + 1]
        if slot >= 0:
            place(table, mask, slot_hashes[slot], old[2 * at], slot)


@helper
def close_gap(table: Any, mask: Any, slot_hashes: Any, gap: Any) -> None:
    """Empty position `gap`, moving back each later entry of its run that may lie there (Knuth 6.4, algorithm R)."""
    at = gap
    while True:
        at = (at + 1) & mask
        slot = table[2 * at + 1]
        if slot < 0:
            break
        wanted = home(slot_hashes[slot], mask)
        if ((at - wanted) & mask) >= ((at - gap) & mask):
            table[2 * gap] = table[2 * at]
            table[2 * gap + 1] = slot
            gap = at
    table[2 * gap + 1] = -1


@kernel(types.int64(I64S_OUT, I64S_OUT, U64S, I64S_OUT, I64S_OUT, I64S))
def release(table: Any, state: Any, slot_hashes: Any, free: Any, spans: Any, slots: Any) -> Any:
    """Remove the keys of `slots`, freeing the numbers; how many were removed before one that holds no key, or n."""
    mask = np.int64(table.shape[0] // 2 - 1)
    for i in range(slots.shape[0]):
        slot = slots[i]
        if slot < 0 or slot >= state[NEXT_SLOT]:
            return i
        if slot == state[NULL_SLOT]:
            state[NULL_SLOT] = -1
        else:
            at = home(slot_hashes[slot], mask)
            while table[2 * at + 1] != slot:
                if table[2 * at + 1] < 0:
                    return i
                at = (at + 1) & mask
            close_gap(table, mask, slot_hashes, at)
        if spans.shape[0] > 0:
            state[ARENA_DEAD] += spans[2 * slot + 1]
            spans[2 * slot + 1] = 0
        free[state[FREE]] = slot
        state[FREE] += 1
        state[LIVE] -= 1
    return slots.shape[0]


@kernel(types.int64(I64S_OUT, types.int64, U8S, U8S_OUT))
def compact(spans: Any, slots: Any, arena: Any, target: Any) -> Any:
    """Copy the bytes of all keys, in slot order, to `target`; how many bytes."""
    used = np.int64(0)
    for slot in range(slots):
        length = spans[2 * slot + 1]
        copy_bytes(target, used, arena, spans[2 * slot], length)
        spans[2 * slot] = used
        used += length
    return used
