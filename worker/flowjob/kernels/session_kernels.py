"""The loops over open sessions: per key a list linked from the latest session to the earliest.

A session is [start, end) with end = last row + gap. Rows are taken one by one in their order, because lateness depends
on it: a late row that touches an open session is in it, one that touches none is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from flowjob.kernels.compile import I64S, I64S_OUT, helper, kernel

# Where each number lies in a store's `state` array.
OPEN, NEXT_ID, FREE, ABSORBED, CREATED, EARLIEST_END = range(6)
STATE_SIZE = 6

# Columns of the store, each of one int64 per session id: rows of its `sessions` block, which is flat: column c of
# session s is sessions[c * capacity + s]. One array instead of five keeps the calls cheap.
START, END, OLDER, KEY, PARENT, BORN = range(6)
COLUMNS = 6

NOTHING = -1
_FAR = np.int64(np.iinfo(np.int64).max)


@helper
def root_of(sessions: Any, capacity: Any, session: Any) -> Any:
    """The session that `session` has been merged into, itself if none."""
    while sessions[PARENT * capacity + session] >= 0:
        session = sessions[PARENT * capacity + session]
    return session


@helper
def new_session(state: Any, free: Any) -> Any:
    """An id for a new session: the last one freed, else the next."""
    state[OPEN] += 1
    if state[FREE] > 0:
        state[FREE] -= 1
        return free[state[FREE]]
    state[NEXT_ID] += 1
    return state[NEXT_ID] - 1


@helper
def discard(sessions: Any, capacity: Any, state: Any, free: Any, session: Any) -> None:
    """Give back an id that no list holds any more."""
    sessions[KEY * capacity + session] = NOTHING
    sessions[PARENT * capacity + session] = NOTHING
    free[state[FREE]] = session
    state[FREE] += 1
    state[OPEN] -= 1


@helper
def link(sessions: Any, capacity: Any, heads: Any, key: Any, newer: Any, session: Any) -> None:
    """Make `session` the one after `newer` in the key's list, or its head."""
    if newer < 0:
        heads[key] = session
    else:
        sessions[OLDER * capacity + newer] = session


@helper
def open_session(
    sessions: Any,
    capacity: Any,
    state: Any,
    free: Any,
    heads: Any,
    key: Any,
    newer: Any,
    older: Any,
) -> Any:
    """A new, empty session of `key` between two of its list."""
    session = new_session(state, free)
    sessions[OLDER * capacity + session] = older
    sessions[KEY * capacity + session] = key
    sessions[PARENT * capacity + session] = NOTHING
    sessions[BORN * capacity + session] = 1
    link(sessions, capacity, heads, key, newer, session)
    return session


@kernel(
    types.void(
        I64S_OUT, types.int64, I64S_OUT, I64S_OUT, I64S_OUT,
        I64S, I64S, types.int64, types.int64, I64S_OUT, I64S_OUT, I64S_OUT,
    )
)  # fmt: skip
def assign_rows(
    sessions: Any, capacity: Any, state: Any, free: Any, heads: Any,
    slots: Any, timestamps: Any, gap: Any, horizon: Any, of_row: Any, created: Any, absorbed: Any,
) -> None:  # fmt: skip
    """Each row into its session, opening and merging; -1 for a row too late. See SessionStore.assign."""
    start, end, older = (
        sessions[:capacity],
        sessions[capacity : 2 * capacity],
        sessions[2 * capacity : 3 * capacity],
    )
    parent = sessions[PARENT * capacity : (PARENT + 1) * capacity]
    for i in range(slots.shape[0]):
        key, low = slots[i], timestamps[i]
        high = low + gap
        newer, at = np.int64(NOTHING), heads[key]
        while at >= 0 and start[at] > high:
            newer, at = at, older[at]
        if at < 0 or end[at] < low:
            if high - 1 <= horizon:
                of_row[i] = NOTHING
                continue
            session = open_session(sessions, capacity, state, free, heads, key, newer, at)
            start[session], end[session] = low, high
            state[EARLIEST_END] = min(state[EARLIEST_END], high)
            created[state[CREATED]] = session
            state[CREATED] += 1
            of_row[i] = session
            continue
        high = max(high, end[at])
        # The earliest session touched survives, so that what merging puts behind one another is in time order.
        survivor = at
        while older[survivor] >= 0 and end[older[survivor]] >= low:
            gone, survivor = survivor, older[survivor]
            parent[gone] = survivor
            absorbed[state[ABSORBED]] = gone
            state[ABSORBED] += 1
        if survivor != at:
            link(sessions, capacity, heads, key, newer, survivor)
        start[survivor] = min(start[survivor], low)
        end[survivor] = high
        of_row[i] = survivor


@kernel(
    types.int64(
        I64S_OUT, types.int64, I64S_OUT, I64S_OUT, I64S_OUT, I64S_OUT, I64S_OUT, I64S_OUT, I64S_OUT
    )
)
def settle(
    sessions: Any, capacity: Any, state: Any, free: Any,
    of_row: Any, created: Any, absorbed: Any, targets: Any, sources: Any,
) -> Any:  # fmt: skip
    """After assign_rows: rows to surviving sessions, merges of older sessions, and ids of absorbed ones to the free
    list. How many merges; state[CREATED] becomes the count of new sessions that survived."""
    gone = state[ABSORBED]
    merges = np.int64(0)
    if gone > 0:
        for i in range(of_row.shape[0]):
            if of_row[i] >= 0:
                of_row[i] = root_of(sessions, capacity, of_row[i])
        for i in range(gone):
            if sessions[BORN * capacity + absorbed[i]] == 0:
                sources[merges] = absorbed[i]
                targets[merges] = root_of(sessions, capacity, absorbed[i])
                merges += 1
    kept = np.int64(0)
    for i in range(state[CREATED]):
        sessions[BORN * capacity + created[i]] = 0
        if sessions[PARENT * capacity + created[i]] < 0:
            created[kept] = created[i]
            kept += 1
    for i in range(gone):
        discard(sessions, capacity, state, free, absorbed[i])
    state[CREATED] = kept
    state[ABSORBED] = 0
    return merges


@kernel(types.int64(I64S, types.int64, I64S_OUT, types.int64, I64S_OUT))
def due_sessions(sessions: Any, capacity: Any, state: Any, horizon: Any, out: Any) -> Any:
    """Ids of open sessions with end - 1 <= horizon; how many. Finds the earliest end anew."""
    count = np.int64(0)
    earliest = _FAR
    for session in range(state[NEXT_ID]):
        if sessions[KEY * capacity + session] < 0:
            continue
        end = sessions[END * capacity + session]
        earliest = min(earliest, end)
        if end - 1 <= horizon:
            out[count] = session
            count += 1
    state[EARLIEST_END] = earliest
    return count


@kernel(types.int64(I64S_OUT, types.int64, I64S_OUT, I64S_OUT, I64S_OUT, I64S, I64S_OUT))
def remove_sessions(
    sessions: Any, capacity: Any, state: Any, free: Any, heads: Any, gone: Any, idle: Any
) -> Any:
    """Close sessions; keys left without any go to `idle`; how many."""
    count = np.int64(0)
    for i in range(gone.shape[0]):
        session = gone[i]
        key = sessions[KEY * capacity + session]
        newer, at = np.int64(NOTHING), heads[key]
        while at != session:
            newer, at = at, sessions[OLDER * capacity + at]
        link(sessions, capacity, heads, key, newer, sessions[OLDER * capacity + session])
        discard(sessions, capacity, state, free, session)
        if heads[key] < 0:
            idle[count] = key
            count += 1
    return count


@kernel(types.void(I64S_OUT, types.int64, I64S_OUT, I64S_OUT, I64S_OUT, I64S, I64S, I64S, I64S_OUT))
def insert_sessions(
    sessions: Any, capacity: Any, state: Any, free: Any, heads: Any,
    slots: Any, starts: Any, ends: Any, ids: Any,
) -> None:  # fmt: skip
    """Open sessions as they are: a restore. They must not touch those of the same key."""
    for i in range(slots.shape[0]):
        key = slots[i]
        newer, at = np.int64(NOTHING), heads[key]
        while at >= 0 and sessions[START * capacity + at] > starts[i]:
            newer, at = at, sessions[OLDER * capacity + at]
        session = open_session(sessions, capacity, state, free, heads, key, newer, at)
        sessions[BORN * capacity + session] = 0
        sessions[START * capacity + session] = starts[i]
        sessions[END * capacity + session] = ends[i]
        state[EARLIEST_END] = min(state[EARLIEST_END], ends[i])
        ids[i] = session
