"""The live sessions of an operator, in columns: spans per key that grow and merge, with slots for
their contents.

One slot per session; a key has as many as it has stretches of activity not yet over. It must not
know when sessions fire or what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.key_store import KeyStore

_NONE = np.empty(0, np.int64)
_NO_SLOT = -1


@dataclass(frozen=True, slots=True)
class Joined:
    """What `join` did: `slots[i]` is row i's session; sessions `sources` went into `targets` and
    are free.

    Merge their contents (in this order), then update with the rows."""

    slots: Int64s
    targets: Int64s
    sources: Int64s


class SessionTable:
    """Columns by session slot: `key` (slot of the key), `start`, `end` (µs), `arrival` (number of
    its first row).

    Sessions of one key are chained from `heads[key]` through `following[slot]`."""

    def __init__(self, key_types: Sequence[pa.DataType], gap: int) -> None:
        self.gap = gap
        self.key, self.start, self.end, self.arrival = _NONE, _NONE, _NONE, _NONE
        self.live = np.empty(0, np.bool_)
        self.limit = 0
        """Slots 0 … limit - 1 have been used."""
        self._following = _NONE
        self._free: list[Int64s] = []
        self._keys = KeyStore(key_types)
        self._heads = _NONE

    @property
    def nbytes(self) -> int:
        arrays = (self.key, self.start, self.end, self.arrival, self.live, self._following)
        return sum(a.nbytes for a in arrays) + self._heads.nbytes + self._keys.nbytes

    def key_slots(self, keys: Sequence[pa.Array], rows: int) -> Int64s:
        """The key slot of each row."""
        slots = self._keys.slots(keys, rows)
        self._heads = grown(self._heads, self._keys.limit, _NO_SLOT)
        return slots

    @property
    def key_limit(self) -> int:
        """One more than the largest key slot in use."""
        return self._keys.limit

    def release_idle(self, keys: Int64s) -> None:
        """Forgets those of the key slots that have no session."""
        self._keys.release(keys[self._heads[keys] < 0])

    def take_keys(self, sessions: Int64s) -> list[pa.Array]:
        return self._keys.take(self.key[sessions])

    def sessions_of(self, keys: Int64s) -> Int64s:
        """All sessions of the key slots given (each once)."""
        found = []
        at = self._heads[keys]
        while len(at := at[at >= 0]):
            found.append(at)
            at = self._following[at]
        return np.concatenate([_NONE, *found])

    def join(self, keys: Int64s, times: Int64s, arrivals: Int64s) -> Joined:
        """Rows (by key slot and time) start, extend and merge sessions."""
        touched = np.unique(keys)
        old = self.sessions_of(touched)
        spans = _Spans(
            np.concatenate((self.key[old], keys)),
            np.concatenate((self.start[old], times)),
            np.concatenate((self.end[old], times + self.gap)),
        )
        group, count = spans.groups()
        # A group's session is the first old one in it, by start; others merge into that.
        of_old, of_rows = group[: len(old)], group[len(old) :]
        order = np.lexsort((self.start[old], of_old))
        old, of_old = old[order], of_old[order]
        first = np.ones(len(old), np.bool_)
        first[1:] = of_old[1:] != of_old[:-1]
        session = np.full(count, _NO_SLOT, np.int64)
        session[of_old[first]] = old[first]
        fresh = np.flatnonzero(session < 0)
        session[fresh] = self._take_slots(len(fresh))
        starts, ends = spans.bounds(group, count)
        firsts = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(firsts, of_rows, arrivals)
        np.minimum.at(firsts, of_old, self.arrival[old])
        group_keys = np.empty(count, np.int64)
        group_keys[group] = spans.keys
        self.key[session], self.start[session], self.end[session] = group_keys, starts, ends
        self.arrival[session] = firsts
        self.live[session] = True
        sources = old[~first]
        targets = session[of_old[~first]]
        self._relink(touched, sources, session[fresh])
        self._release_slots(sources)
        return Joined(session[of_rows], targets, sources)

    def drop(self, sessions: Int64s) -> None:
        """Forgets sessions, and keys that have none left."""
        if len(sessions) == 0:
            return
        keys = np.unique(self.key[sessions])
        self._relink(keys, sessions, _NONE)
        self._release_slots(sessions)
        self.release_idle(keys)

    def _relink(self, keys: Int64s, gone: Int64s, new: Int64s) -> None:
        """Rebuilds the chains of `keys`, which hold all of `gone` and will hold all of `new`."""
        if len(gone) == 0 and len(new) == 0:
            return
        if len(gone):
            self.live[gone] = False
            held = self.sessions_of(keys)
            new = np.concatenate((held[self.live[held]], new))
            self._heads[keys] = _NO_SLOT
        # One link per key and turn; a key rarely has more than one or two.
        while len(new):
            _, rows = np.unique(self.key[new], return_index=True)
            turn = new[rows]
            self._following[turn] = self._heads[self.key[turn]]
            self._heads[self.key[turn]] = turn
            rest = np.ones(len(new), np.bool_)
            rest[rows] = False
            new = new[rest]

    def _take_slots(self, count: int) -> Int64s:
        taken = []
        while count and self._free:
            some = self._free.pop()
            taken.append(some[:count])
            if len(some) > count:
                self._free.append(some[count:])
            count -= len(taken[-1])
        first = self.limit
        self.limit += count
        for name in ("key", "start", "end", "arrival", "_following"):
            setattr(self, name, grown(getattr(self, name), self.limit, _NO_SLOT))
        self.live = grown(self.live, self.limit, False)
        return np.concatenate([*taken, np.arange(first, self.limit, dtype=np.int64)])

    def _release_slots(self, sessions: Int64s) -> None:
        self.live[sessions] = False
        if len(sessions):
            self._free.append(sessions)


@dataclass(frozen=True, slots=True)
class _Spans:
    """Spans [start, end] per key; those that touch belong together."""

    keys: Int64s
    starts: Int64s
    ends: Int64s

    def groups(self) -> tuple[Int64s, int]:
        """The group of each span, and how many there are."""
        order = np.lexsort((self.starts, self.keys))
        keys, starts, ends = self.keys[order], self.starts[order], self.ends[order]
        n = len(order)
        new_key = np.ones(n, np.bool_)
        new_key[1:] = keys[1:] != keys[:-1]
        # A running maximum of ends within each key: times become small ranks, lifted by the key's
        # turn.
        values, places = np.unique(np.concatenate((starts, ends)), return_inverse=True)
        lift = (np.cumsum(new_key) - 1) * len(values)
        reach = np.maximum.accumulate(places[n:] + lift)
        begins = new_key.copy()
        begins[1:] |= places[1:n] + lift[1:] > reach[:-1]
        group = np.empty(n, np.int64)
        group[order] = np.cumsum(begins) - 1
        return group, int(np.count_nonzero(begins))

    def bounds(self, group: Int64s, count: int) -> tuple[Int64s, Int64s]:
        """Start and end of each group."""
        starts = np.full(count, np.iinfo(np.int64).max)
        ends = np.full(count, np.iinfo(np.int64).min)
        np.minimum.at(starts, group, self.starts)
        np.maximum.at(ends, group, self.ends)
        return starts, ends
