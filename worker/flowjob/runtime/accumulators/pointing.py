"""first, last, min_by, max_by, and min/max of strings, binaries and decimals.

Slots point to one kept row: each update finds the best row of each slot within the batch, compares
it with the kept one, and copies only the winners into a log. Arrival numbers settle ties and order,
so that merging panes or sessions gives what row-by-row execution would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.aggregates import fixed_order
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import (
    Accumulator,
    Bools,
    fields,
    grown,
    masked,
    picked,
    validity,
)
from flowjob.runtime.accumulators.numeric import filled, valid_mask
from flowjob.runtime.accumulators.order import order_keys, ranks
from flowjob.runtime.accumulators.value_log import ValueLog
from flowjob.runtime.batch import Int64s

_NONE = np.empty(0, np.int64)
_ABSENT = -1


class Pointing(Accumulator):
    """`rows[slot]` is the kept row in all `logs`, or -1; `arrivals[slot]` its arrival number.

    Partial: the kept row's columns, and its arrival number or -1."""

    needs_arrival = True

    def __init__(self, types: Sequence[pa.DataType]) -> None:
        self.partial_types = (*types, pa.int64())
        self.logs = [ValueLog(type) for type in types]
        self.rows = _NONE
        self.arrivals = _NONE
        self._live = 0

    def grow(self, n_slots: int) -> None:
        self.rows = grown(self.rows, n_slots, _ABSENT)
        self.arrivals = grown(self.arrivals, n_slots, _ABSENT)

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        *values, arrival = columns
        if values[-1].null_count:
            mask = validity([values[-1]])
            kept = pa.array(mask)
            slots, arrival = slots[mask], arrival.filter(kept)
            values = [column.filter(kept) for column in values]
        if len(slots):
            self._offer(slots, values, arrival.to_numpy())

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        # Candidates are the rows of the batch, n of them, then the rows kept by the slots concerned.
        *values, arrival = columns
        n = len(slots)
        numbers, touched = scatter.renumbered(slots)
        kept = [log.take(self.rows[touched]) for log in self.logs]
        keys = self._keys(values[-1], kept[-1])
        held = self.rows[touched] >= 0
        rows = np.where(held, n + np.arange(len(touched)), _ABSENT)
        best = keys[n:].copy()
        after = scatter.running_best(numbers, keys[:n], best, rows, valid_mask([values[-1]]))
        shown = pa.concat_arrays([values[0], kept[0]])
        newly = np.sort(rows[(rows >= 0) & (rows < n)])
        self._keep(slots, values, arrival.to_numpy(), newly)
        wanted = picked(after, at)
        return shown.take(pa.array(wanted, mask=wanted < 0))

    def _keys(self, offered: pa.Array, kept: pa.Array) -> Int64s:
        """By which a row is better than one before it (less is better): of rows of a batch, then of
        kept ones. Anything where null."""
        raise NotImplementedError

    def partials(self, slots: Int64s) -> list[pa.Array]:
        rows = self.rows[slots]
        return [*(log.take(rows) for log in self.logs), pa.array(self.arrivals[slots])]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        arrivals = partials[-1].to_numpy()
        columns = list(partials[:-1])
        # In order of arrival, so that the first of equals is the first that came.
        order = np.argsort(arrivals, kind="stable")
        order = order[np.count_nonzero(arrivals < 0) :]
        if len(order):
            at = pa.array(order)
            self._offer(slots[order], [column.take(at) for column in columns], arrivals[order])

    def state_fields(self, name: str) -> list[pa.Field]:
        suffixes = ("", ".by")
        kept = [(suffix, log.type) for suffix, log in zip(suffixes, self.logs)]
        return fields(name, *kept, (".arrival", pa.int64()))

    def state(self, slots: Int64s) -> list[pa.Array]:
        *kept, arrivals = self.partials(slots)
        return [*kept, masked(arrivals.to_numpy(), self.rows[slots] < 0, pa.int64())]

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        *kept, arrivals = state
        held = np.flatnonzero(validity([arrivals]))
        if len(held):
            came = np.zeros(len(slots), np.int64)
            came[held] = arrivals.drop_null().to_numpy()
            self._keep(slots, kept, came, held)

    def result(self, slots: Int64s) -> pa.Array:
        return self.logs[0].take(self.rows[slots])

    def reset(self, slots: Int64s) -> None:
        self._live -= int(np.count_nonzero(self.rows[slots] >= 0))
        self.rows[slots] = _ABSENT
        self.arrivals[slots] = _ABSENT

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.arrivals.nbytes + sum(log.nbytes for log in self.logs)

    def _offer(self, slots: Int64s, columns: list[pa.Array], arrivals: Int64s) -> None:
        """Rows, in order of arrival, that may become the kept ones."""
        raise NotImplementedError

    def _keep(
        self, slots: Int64s, columns: list[pa.Array], arrivals: Int64s, positions: Int64s
    ) -> None:
        """The rows at `positions` become the kept ones of their slots (no slot twice)."""
        if len(positions) == 0:
            return
        targets = slots[positions]
        at = pa.array(positions)
        self._live += int(np.count_nonzero(self.rows[targets] < 0))
        first = 0
        for log, column in zip(self.logs, columns):
            first = log.append(column.take(at), owned=True)
        self.rows[targets] = np.arange(first, first + len(positions))
        self.arrivals[targets] = arrivals[positions]
        if self.logs[0].worth_compacting(self._live):
            renumbered = self.rows
            for log in self.logs:
                renumbered = log.compact(self.rows)
            self.rows = renumbered


class First(Pointing):
    """The first value that is not null."""

    def __init__(self, type: pa.DataType) -> None:
        super().__init__((type,))

    def _keys(self, offered: pa.Array, kept: pa.Array) -> Int64s:
        return np.zeros(len(offered) + len(kept), np.int64)  # none is better than the first

    def _offer(self, slots: Int64s, columns: list[pa.Array], arrivals: Int64s) -> None:
        held = self.arrivals[slots]
        better = np.flatnonzero((held < 0) | (arrivals < held))
        first = better[scatter.first_rows(slots[better])]
        self._keep(slots, columns, arrivals, first)


class Last(First):
    """The last value that is not null."""

    def _keys(self, offered: pa.Array, kept: pa.Array) -> Int64s:
        n = len(offered)
        return np.concatenate((-np.arange(n, dtype=np.int64), np.ones(len(kept), np.int64)))

    def _offer(self, slots: Int64s, columns: list[pa.Array], arrivals: Int64s) -> None:
        last = scatter.last_rows(slots)
        self._keep(slots, columns, arrivals, last[arrivals[last] > self.arrivals[slots[last]]])


class ExtremeBy(Pointing):
    """The row with the smallest (or greatest) `by`; the first of equals. Logs: value, by."""

    def __init__(self, types: Sequence[pa.DataType], *, greatest: bool) -> None:
        super().__init__(types)
        self.greatest = greatest
        self.comparable = fixed_order(types[-1])

    def _keys(self, offered: pa.Array, kept: pa.Array) -> Int64s:
        both = filled(pa.concat_arrays([offered, kept]))
        keys = order_keys(both) if self.comparable else ranks(both)
        return ~keys if self.greatest else keys

    def _offer(self, slots: Int64s, columns: list[pa.Array], arrivals: Int64s) -> None:
        by = columns[-1]
        keys = order_keys(by) if self.comparable else ranks(by)
        best = scatter.best_rows(slots, ~keys if self.greatest else keys)
        contested = np.flatnonzero(self.rows[slots[best]] >= 0)
        if len(contested):
            rivals = best[contested]
            held = slots[rivals]
            wins = np.ones(len(best), np.bool_)
            wins[contested] = self._beats(
                by.take(pa.array(rivals)),
                self.logs[-1].take(self.rows[held]),
                arrivals[rivals] < self.arrivals[held],
            )
            best = best[wins]
        self._keep(slots, columns, arrivals, best)

    def _beats(self, offered: pa.Array, held: pa.Array, earlier: Bools) -> Bools:
        better: Bools
        if self.comparable:
            new, old = order_keys(offered), order_keys(held)
            better = (new > old) if self.greatest else (new < old)
            return np.asarray(better | ((new == old) & earlier))
        compare = pc.greater if self.greatest else pc.less
        better = compare(offered, held).to_numpy(zero_copy_only=False)
        equal: Bools = pc.equal(offered, held).to_numpy(zero_copy_only=False)
        return np.asarray(better | (equal & earlier))


class ValueExtreme(ExtremeBy):
    """min or max of a type without int64 keys: strings, binaries, decimals."""

    needs_arrival = False

    def __init__(self, type: pa.DataType, *, greatest: bool) -> None:
        super().__init__((type,), greatest=greatest)

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        super().update(slots, [*columns, pa.array(np.zeros(len(slots), np.int64))])

    def state_fields(self, name: str) -> list[pa.Field]:
        return fields(name, ("", self.logs[0].type))

    def state(self, slots: Int64s) -> list[pa.Array]:
        return [self.result(slots)]

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        (values,) = state
        arrivals = masked(np.zeros(len(slots), np.int64), ~validity(state), pa.int64())
        super().load(slots, [values, arrivals])

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        return super().running(slots, [*columns, pa.array(np.zeros(len(slots), np.int64))], at)
