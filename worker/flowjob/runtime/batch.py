"""What flows between operators: columnar batches, and rows between row functions.

A `Batch` is immutable: operators make new ones and share column buffers. It must not know operators, channels
or the wire (see runtime/exchange/serialization.py for that form)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]
Int8s = npt.NDArray[np.int8]


class Kind(IntEnum):
    """How a row changes its stream's table. An absent kinds column means all INSERT."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows as columns.

    columns     n rows; names beginning with `__` are hidden: evaluated keys that travel with the rows
    timestamps  int64[n], µs since the epoch UTC; None on a stream without event time
    kinds       int8[n] of Kind; None means all inserts
    """

    columns: pa.RecordBatch
    timestamps: Int64s | None = None
    kinds: Int8s | None = None

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the visible slice, not of the buffers it points into."""
        extra = 8 * len(self) if self.timestamps is not None else 0
        return int(self.columns.nbytes) + extra

    def slice(self, start: int, length: int) -> Batch:
        """Rows start … start+length; no copy."""
        stop = start + length
        return Batch(
            self.columns.slice(start, length),
            None if self.timestamps is None else self.timestamps[start:stop],
            None if self.kinds is None else self.kinds[start:stop],
        )

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> Batch:
        """The rows at `indices`, in that order; copies."""
        return Batch(
            self.columns.take(pa.array(indices)),
            None if self.timestamps is None else self.timestamps[indices],
            None if self.kinds is None else self.kinds[indices],
        )

    def filter(self, mask: npt.NDArray[np.bool_]) -> Batch:
        """The rows where `mask` is true; copies."""
        return Batch(
            self.columns.filter(pa.array(mask)),
            None if self.timestamps is None else self.timestamps[mask],
            None if self.kinds is None else self.kinds[mask],
        )

    def with_columns(self, columns: pa.RecordBatch) -> Batch:
        """Other columns for the same rows."""
        return Batch(columns, self.timestamps, self.kinds)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The same rows as Python values: what row functions of one chain hand to each other.

    values are Schema instances, or any objects on an untyped stream; keys holds one evaluated key value per
    row when a key function ran upstream in this chain."""

    values: list[Any]
    timestamps: Int64s | None = None
    kinds: Int8s | None = None

    def __len__(self) -> int:
        return len(self.values)


Data = Batch | Rows


def concat(batches: Sequence[Batch]) -> Batch:
    """One batch of all rows, in order. All have one schema, and all or none have timestamps.

    Batches with and without kinds mix: the missing ones are inserts."""
    if len(batches) == 1:
        return batches[0]
    columns = pa.concat_batches([b.columns for b in batches])
    timestamps = None
    if batches[0].timestamps is not None:
        timestamps = np.concatenate([b.timestamps for b in batches if b.timestamps is not None])
    kinds = None
    if any(b.kinds is not None for b in batches):
        kinds = np.concatenate(
            [b.kinds if b.kinds is not None else np.zeros(len(b), np.int8) for b in batches]
        )
    return Batch(columns, timestamps, kinds)
