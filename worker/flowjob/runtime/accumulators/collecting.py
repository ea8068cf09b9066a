"""collect and count_distinct: accumulators that keep every value, or every different one.

Their state grows with the rows; what else they share is the log of values by slot
(owned_log.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flowjob.errors import JobFailed
from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import (
    Accumulator,
    fields,
    grown,
    picked,
    valid_rows,
    validity,
)
from flowjob.runtime.accumulators.numeric import valid_mask
from flowjob.runtime.accumulators.owned_log import OwnedLog
from flowjob.runtime.batch import Int64s

_MOST_ELEMENTS = 2**31 - 1


class Collect(Accumulator):
    """All values that are not null, in order of arrival. Partial: the values and their arrival
    numbers."""

    needs_arrival = True

    def __init__(self, type: pa.DataType) -> None:
        self.value_type = type
        self.partial_types = (pa.list_(type), pa.list_(pa.int64()))
        self.log = OwnedLog((type,))
        self.counts: Int64s = np.empty(0, np.int64)

    def grow(self, n_slots: int) -> None:
        self.counts = grown(self.counts, n_slots, 0)

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        slots, (values, arrivals) = valid_rows(slots, columns)
        scatter.count(self.counts, slots)
        self.log.append(slots, [values], arrivals.to_numpy())

    def partials(self, slots: Int64s) -> list[pa.Array]:
        rows, counts = self.log.find(slots)
        values = as_lists(self.log.logs[0].take(rows), counts)
        return [values, as_lists(pa.array(self.log.arrivals(rows)), counts)]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        values, arrivals = partials
        counts = values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        slots = np.repeat(slots, counts)
        scatter.count(self.counts, slots)
        self.log.append(slots, [values.flatten()], arrivals.flatten().to_numpy())

    def state_fields(self, name: str) -> list[pa.Field]:
        values, arrivals = self.partial_types
        return fields(name, ("", values), (".arrival", arrivals))

    def merge_within(self, targets: Int64s, sources: Int64s) -> None:
        self.log.reassign(targets, sources)
        scatter.add_ints(self.counts, targets, self.counts[sources])
        self.counts[sources] = 0

    def result(self, slots: Int64s) -> pa.Array:
        rows, counts = self.log.find(slots)
        return _lists_or_null(self.log.logs[0].take(rows), counts)

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        after = picked(self.running_sizes(slots, columns), at)
        self.update(slots, columns)
        numbers, touched = scatter.renumbered(slots)
        rows, counts = self.log.find(touched)
        numbers = picked(numbers, at)
        # As of a row, a slot has the first so many of the values it has after the batch.
        starts = (np.cumsum(counts) - counts)[numbers]
        ends = _checked_ends(after)
        within = np.arange(int(ends[-1]) if len(ends) else 0)
        positions = within + np.repeat(starts - (ends - after), after)
        return _lists_or_null(self.log.logs[0].take(rows[positions]), after)

    def running_sizes(self, slots: Int64s, columns: Sequence[pa.Array]) -> Int64s:
        numbers, touched = scatter.renumbered(slots)
        counts = self.counts[touched]
        return scatter.running_count(counts, numbers, valid_mask(columns[:1]))

    def reset(self, slots: Int64s) -> None:
        self.log.drop(slots)
        self.counts[slots] = 0

    @property
    def nbytes(self) -> int:
        return self.log.nbytes + self.counts.nbytes


class CountDistinct(Accumulator):
    """How many different values, exactly: an index of (slot, value) pairs. Partial: the list of
    values.

    `names` gives each slot a number that is not used again after a reset, so that stale pairs do
    not count."""

    def __init__(self, type: pa.DataType) -> None:
        self.partial_types = (pa.list_(type),)
        self.log = OwnedLog((type,))
        self.index = GroupIndex()
        self.counts: Int64s = np.empty(0, np.int64)
        self.names: Int64s = np.empty(0, np.int64)
        self._named = 0
        self._rows = 0

    def grow(self, n_slots: int) -> None:
        before = len(self.names)
        self.counts = grown(self.counts, n_slots, 0)
        self.names = grown(self.names, n_slots, 0)
        self._rename(np.arange(before, len(self.names)))

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        slots, (values,) = valid_rows(slots, columns)
        if len(slots):
            scatter.count(self.counts, slots[self._add(slots, values)])

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        (values,) = columns
        rows = np.arange(len(slots))
        if values.null_count:
            rows = rows[validity(columns)]
            values = values.drop_null()
        fresh = np.zeros(len(slots), np.bool_)
        if len(rows):
            fresh[rows[self._add(slots[rows], values)]] = True
        return pa.array(picked(scatter.running_count(self.counts, slots, fresh), at))

    def partials(self, slots: Int64s) -> list[pa.Array]:
        rows, counts = self.log.find(slots)
        return [as_lists(self.log.logs[0].take(rows), counts)]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        (values,) = partials
        counts = values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        self.update(np.repeat(slots, counts), [values.flatten()])

    def state_fields(self, name: str) -> list[pa.Field]:
        return fields(name, ("", self.partial_types[0]))

    def result(self, slots: Int64s) -> pa.Array:
        return pa.array(self.counts[slots])

    def reset(self, slots: Int64s) -> None:
        self.log.drop(slots)
        self.counts[slots] = 0
        self._rename(slots)
        if len(self.index) > 2 * int(self.counts.sum()) + 1024:
            self._rebuild()

    @property
    def nbytes(self) -> int:
        return self.log.nbytes + self.index.nbytes + self.counts.nbytes + self.names.nbytes

    def _add(self, slots: Int64s, values: pa.Array) -> Int64s:
        """Remembers the values; the rows of those that are new, which are still to be counted."""
        found = self.index.upsert(encode_keys([pa.array(self.names[slots]), values]))
        new: Int64s = found.new_rows
        self.log.append(slots[new], [values.take(pa.array(new))], self._rows + new)
        self._rows += len(slots)
        return new

    def _rename(self, slots: Int64s) -> None:
        self.names[slots] = np.arange(self._named, self._named + len(slots))
        self._named += len(slots)

    def _rebuild(self) -> None:
        """Forgets the pairs of slots that were reset."""
        self.index.clear()
        held = np.flatnonzero(self.counts)
        rows, counts = self.log.find(held)
        if len(rows):
            names = pa.array(np.repeat(self.names[held], counts))
            self.index.upsert(encode_keys([names, self.log.logs[0].take(rows)]))


def _lists_or_null(values: pa.Array, counts: Int64s) -> pa.Array:
    """As `as_lists`, null in place of empty ones."""
    lists = as_lists(values, counts)
    if (counts == 0).any():
        return pa.compute.if_else(pa.array(counts > 0), lists, pa.scalar(None, lists.type))
    return lists


def _checked_ends(counts: Int64s) -> Int64s:
    """The ends of lists of these lengths, which must fit one column."""
    ends: Int64s = np.cumsum(counts)
    if len(ends) and int(ends[-1]) > _MOST_ELEMENTS:
        raise JobFailed(
            f"lists of {int(ends[-1])} values in all do not fit one batch of results: `collect` "
            "keeps and gives every value; collect fewer, in smaller windows, or aggregate otherwise"
        )
    return ends


def as_lists(values: pa.Array, counts: Int64s) -> pa.Array:
    """A list array of consecutive runs of `values`, one per count. JobFailed when one array cannot
    hold so many."""
    offsets = np.zeros(len(counts) + 1, np.int32)
    offsets[1:] = _checked_ends(counts)
    return pa.ListArray.from_arrays(pa.array(offsets), values)
