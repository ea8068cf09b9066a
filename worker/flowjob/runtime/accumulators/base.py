"""What an accumulator is: the state of one aggregate for many slots, in columns.

Its partial form (`partials`, `merge`) is what senders ship after local aggregation, and what panes and
sessions merge; its state form (`state`, `load`) is what snapshots store: the same, in columns a person
can read. Slots are dense ints that the caller owns; an accumulator must not know what they stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flowjob.runtime.batch import Int64s

Bools = npt.NDArray[np.bool_]
PICKLED = {b"flowjob.pickled": b"1"}
"""Metadata of a field that holds pickled Python values."""

_SMALLEST = 16


class Accumulator(ABC):
    """The state of one aggregate. Call `grow` before using a slot for the first time."""

    partial_types: tuple[pa.DataType, ...]
    needs_arrival: bool = False
    """`update` gets one more column at the end: each row's arrival number (int64, ascending over
    the operator's life), by which order survives the merging of panes and sessions."""

    @abstractmethod
    def grow(self, n_slots: int) -> None:
        """Slots 0 … n_slots - 1 may be used from now on; new ones are empty."""

    @abstractmethod
    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        """Row i, with the input values `columns[…][i]`, joins `slots[i]`; rows are in order."""

    @abstractmethod
    def partials(self, slots: Int64s) -> list[pa.Array]:
        """The state of `slots` (no repeats), one array per partial type; owns its bytes."""

    @abstractmethod
    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        """Partial i joins `slots[i]` after what is there; slots may repeat, partials are in
        order."""

    def merge_within(self, targets: Int64s, sources: Int64s) -> None:
        """Slot `sources[i]` (no repeats) joins `targets[i]`, in order; the caller resets the
        sources."""
        self.merge(targets, self.partials(sources))

    @abstractmethod
    def state_fields(self, name: str) -> list[pa.Field]:
        """The columns of `state` for an aggregate called `name`: part of the snapshot format. The
        first has that name, others add to it."""

    def state(self, slots: Int64s) -> list[pa.Array]:
        """All there is to know of `slots` (no repeats), typed as `state_fields`; owns its bytes."""
        return self.partials(slots)

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        """`slots`, which are empty and do not repeat, are as `state` gave them."""
        self.merge(slots, state)

    @abstractmethod
    def result(self, slots: Int64s) -> pa.Array:
        """The aggregate's value for each of `slots`."""

    @abstractmethod
    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        """As `update`, and the value of its slot as of that row for each of the rows `at`
        (ascending; None: all)."""

    def running_sizes(self, slots: Int64s, columns: Sequence[pa.Array]) -> Int64s | None:
        """How many values the running result of each row has, where it is a list: for cutting
        batches before they become too large."""
        return None

    @abstractmethod
    def reset(self, slots: Int64s) -> None:
        """`slots` are empty again."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Memory held, for the state budget."""


def occurrences(groups: Int64s) -> Int64s:
    """For each row, how many earlier rows are of the same group."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    n = len(groups)
    starts = np.concatenate(([True], ordered[1:] != ordered[:-1])) if n else np.empty(0, np.bool_)
    first = np.maximum.accumulate(np.where(starts, np.arange(n), 0))
    ranks = np.empty(n, np.int64)
    ranks[order] = np.arange(n) - first
    return ranks


def picked(values: npt.NDArray[Any], at: Int64s | None) -> npt.NDArray[Any]:
    """The values of the rows `at`; all when there is no `at`."""
    return values if at is None else values[at]


def is_run(rows: npt.NDArray[np.integer]) -> bool:
    """Whether each is one more than the one before it; there is at least one."""
    return int(rows[-1]) - int(rows[0]) == len(rows) - 1 and bool((np.diff(rows) == 1).all())


def grown(array: npt.NDArray[Any], n_slots: int, fill: Any) -> npt.NDArray[Any]:
    """`array` with room for `n_slots`, new places holding `fill`; doubles, so growing is cheap."""
    if n_slots <= len(array):
        return array
    larger = np.full(max(n_slots, 2 * len(array), _SMALLEST), fill, array.dtype)
    larger[: len(array)] = array
    return larger


def valid_rows(slots: Int64s, columns: Sequence[pa.Array]) -> tuple[Int64s, list[pa.Array]]:
    """Only the rows in which no column is null; the arguments themselves when none is."""
    if all(column.null_count == 0 for column in columns):
        return slots, list(columns)
    mask = validity(columns)
    kept = pa.array(mask)
    return slots[mask], [column.filter(kept) for column in columns]


def validity(columns: Sequence[pa.Array]) -> Bools:
    """True where no column is null."""
    mask = columns[0].is_valid()
    for column in columns[1:]:
        mask = pa.compute.and_(mask, column.is_valid())
    found: Bools = mask.to_numpy(zero_copy_only=False)
    return found


def fields(name: str, *parts: tuple[str, pa.DataType]) -> list[pa.Field]:
    """State columns: `name` with each suffix."""
    return [pa.field(name + suffix, type) for suffix, type in parts]


def masked(values: npt.NDArray[Any], empty: Bools, type: pa.DataType) -> pa.Array:
    """`values` as Arrow, null where `empty`; the bytes are its own."""
    mask = empty if empty.any() else None
    array = pa.array(values, mask=mask)
    return array if array.type == type else array.cast(type)
