"""Keys as dense slots whose values can be read back, in their original types: for operators whose
keys come and go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.runtime.accumulators.base import Bools, grown
from flowjob.runtime.accumulators.value_log import ValueLog
from flowjob.runtime.batch import Int64s

_NONE = np.empty(0, np.int64)


class KeyStore:
    """A slot per distinct key; released slots are given out again."""

    def __init__(self, types: Sequence[pa.DataType]) -> None:
        self._index = GroupIndex()
        self._values = [ValueLog(type) for type in types]
        self._rows = _NONE
        self._live: Bools = np.empty(0, np.bool_)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def limit(self) -> int:
        """One more than the largest slot in use."""
        return self._index.slot_limit

    @property
    def nbytes(self) -> int:
        held = sum(log.nbytes for log in self._values)
        return held + int(self._index.nbytes) + self._rows.nbytes

    def reserve(self, more: int) -> None:
        """So many keys more will fit without growing."""
        self._index.reserve(more)
        self._rows = grown(self._rows, self.limit + more, -1)
        self._live = grown(self._live, self.limit + more, False)

    def slots(self, keys: Sequence[pa.Array], rows: int) -> Int64s:
        """The slot of each row's key, made where it is new."""
        return self.upsert(keys, rows)[0]

    def upsert(self, keys: Sequence[pa.Array], rows: int) -> tuple[Int64s, Int64s]:
        """(slots, new): the slot of each row's key, and the slots made for this call."""
        found = self._index.upsert(encode_keys(keys, rows))
        new: Int64s = found.new_slots
        if len(new):
            self._rows = grown(self._rows, self.limit, -1)
            self._live = grown(self._live, self.limit, False)
            self._live[new] = True
            at = pa.array(found.new_rows)
            for log, column in zip(self._values, keys):
                first = log.append(column.take(at), owned=True)
                self._rows[new] = np.arange(first, first + len(new))
            self._compact()
        return found.slots, new

    def take(self, slots: Int64s) -> list[pa.Array]:
        """The key columns of `slots`."""
        return [log.take(self._rows[slots]) for log in self._values]

    def holds(self, slots: Int64s) -> Bools:
        """Whether each slot stands for a key now."""
        return self._live[slots]

    def hashes(self, slots: Int64s) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        """hash64 of the keys of `slots`: what says which key group they are of."""
        found: np.ndarray[tuple[int], np.dtype[np.uint64]] = self._index.hashes(slots)
        return found

    def all_hashes(self) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        """The same for all slots, where none was ever released; not a copy."""
        found: np.ndarray[tuple[int], np.dtype[np.uint64]] = self._index.all_hashes()
        return found

    def release(self, slots: Int64s) -> None:
        """Forgets these keys."""
        if len(slots):
            self._index.release(slots)
            self._rows[slots] = -1
            self._live[slots] = False

    def _compact(self) -> None:
        if self._values and self._values[0].worth_compacting(len(self)):
            renumbered = self._rows
            for log in self._values:
                renumbered = log.compact(self._rows)
            self._rows = renumbered
