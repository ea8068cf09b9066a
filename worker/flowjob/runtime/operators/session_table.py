"""The live sessions of an operator: their keys, when each began to be, and the contents of their
windows.

Which session a row is in is the kernels' work (SessionStore); this adds key values and contents by
session id. It must not know when sessions fire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flowjob.kernels.sessions import SessionStore
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.batch import Int64s
from flowjob.runtime.operators.key_store import KeyStore
from flowjob.runtime.operators.window_contents import Contents, Inputs, take_columns, take_inputs

_LAST = 2**63 - 1
_WORTH_A_LOOK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Arriving:
    """Rows on their way into sessions: key slots, times (µs), arrival numbers, inputs of the
    contents."""

    keys: Int64s
    times: Int64s
    arrivals: Int64s
    inputs: Inputs

    def take(self, rows: Int64s) -> Arriving:
        inputs = take_inputs(self.inputs, rows)
        return Arriving(self.keys[rows], self.times[rows], self.arrivals[rows], inputs)


class SessionTable:
    """`arrival[session]` is the number of the first row of any of its parts; `contents` is by
    session too."""

    def __init__(self, key_types: Sequence[pa.DataType], gap: int, contents: Contents) -> None:
        self.contents = contents
        self.store = SessionStore(gap)
        self.keys = KeyStore(key_types)
        self.arrival: Int64s = np.empty(0, np.int64)
        self.changed = np.empty(0, np.bool_)
        self._suspects: list[Int64s] = []
        self._suspected = 0

    @property
    def nbytes(self) -> int:
        held = self.store.nbytes + self.keys.nbytes + self.arrival.nbytes
        return int(held) + self.contents.nbytes

    def join(self, rows: Arriving, horizon: int) -> Int64s:
        """Rows join sessions: each one's session, or -1 where it would open one that ends at
        `horizon` + 1 µs or before; such rows change nothing."""
        joined = self.store.assign(rows.keys, rows.times, self.keys.limit, horizon)
        limit = self.store.id_limit
        self.contents.grow(limit)
        self.arrival = grown(self.arrival, limit, _LAST)
        self.changed = grown(self.changed, limit, False)
        self.arrival[joined.new_sessions] = _LAST
        if len(joined.sources):
            self.contents.merge_within(joined.targets, joined.sources)
            scatter.earliest(self.arrival, joined.targets, self.arrival[joined.sources])
            self.changed[joined.targets[self.changed[joined.sources]]] = True
            self.changed[joined.sources] = False
        sessions: Int64s = joined.sessions
        joining = sessions
        if len(sessions) and int(sessions.min()) < 0:
            kept = np.flatnonzero(sessions >= 0)
            joining, rows = sessions[kept], rows.take(kept)
        self.contents.update(joining, rows.inputs)
        scatter.earliest(self.arrival, joining, rows.arrivals)
        self.changed[joining] = True
        return sessions

    def adopt(
        self, keys: Sequence[pa.Array], starts: Int64s, ends: Int64s, arrivals: Int64s
    ) -> Int64s:
        """Sessions of a snapshot, the first ones here; their ids, with empty contents."""
        order = np.argsort(arrivals, kind="stable")  # equal ends fire by arrival, and then by slot
        slots = self.keys.slots(take_columns(keys, order), len(order))
        sessions = np.empty(len(order), np.int64)
        sessions[order] = self.store.insert(slots, starts[order], ends[order], self.keys.limit)
        limit = self.store.id_limit
        self.contents.grow(limit)
        self.arrival = grown(self.arrival, limit, _LAST)
        self.changed = grown(self.changed, limit, False)
        self.arrival[sessions] = arrivals
        return sessions

    def note_idle(self, keys: Int64s) -> None:
        """Keys of late rows, which may have no session: forgotten once there are enough to be worth
        a look."""
        self._suspects.append(keys)
        self._suspected += len(keys)
        if self._suspected > len(self.store) + _WORTH_A_LOOK:
            idle = np.unique(np.concatenate(self._suspects))
            busy = np.zeros(self.keys.limit, np.bool_)
            busy[self.store.slots(self.store.open())] = True
            self.keys.release(idle[~busy[idle] & self.keys.holds(idle)])
            self._suspects, self._suspected = [], 0

    def take_keys(self, sessions: Int64s) -> list[pa.Array]:
        return self.keys.take(self.store.slots(sessions))

    def drop(self, sessions: Int64s) -> None:
        """Forgets sessions, and keys that have none left."""
        if len(sessions):
            self.contents.reset(sessions)
            self.changed[sessions] = False
            self.keys.release(self.store.remove(sessions))

    def next_end(self) -> int:
        """The earliest end of any session."""
        return int(self.store.ends(self.store.open()).min(initial=_LAST))
