"""What windows hold: the accumulators of all aggregates of one operator, driven together.

One `Contents` per table of slots; `fresh` makes another of the same kind for a pane, a merge or a
firing. It must not know keys or windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from flowjob.aggregates import plain
from flowjob.plan.partials import partial_columns
from flowjob.plan.specs import AggregateCall
from flowjob.runtime.accumulators.base import Accumulator
from flowjob.runtime.accumulators.making import make_accumulators
from flowjob.runtime.batch import Int64s

Inputs = list[list[pa.Array]]
"""Per accumulator, the columns it reads."""


class Contents:
    """Accumulators side by side, and which columns of a batch feed each.

    With `from_partials` the columns named are partial ones, and updates merge them. `names` of the
    accumulators are what snapshots call their state."""

    def __init__(
        self,
        make: Callable[[], list[Accumulator]],
        columns: Sequence[Sequence[str]],
        names: Sequence[str],
        *,
        from_partials: bool = False,
    ) -> None:
        self._make = make
        self._columns = columns
        self._names = names
        self._from_partials = from_partials
        self.accumulators = make()

    @classmethod
    def of_calls(
        cls, calls: Sequence[AggregateCall], schema: pa.Schema, *, from_partials: bool = False
    ) -> Contents:
        """For rows of `schema`, or for the partial rows that were made of them."""
        columns: Sequence[Sequence[str]] = [call.inputs for call in calls]
        if from_partials:
            columns = partial_columns(calls, schema)
        make = lambda: make_accumulators(calls, schema)  # noqa: E731 - a factory, passed on
        return cls(make, columns, [call.name for call in calls], from_partials=from_partials)

    def fresh(self) -> Contents:
        """Empty contents of the same kind."""
        return Contents(self._make, self._columns, self._names, from_partials=self._from_partials)

    @property
    def needed(self) -> list[str]:
        """The columns that are read, each once."""
        return list(dict.fromkeys(name for names in self._columns for name in names))

    @property
    def nbytes(self) -> int:
        return sum(accumulator.nbytes for accumulator in self.accumulators)

    def read(self, batch: pa.RecordBatch, arrivals: Int64s) -> Inputs:
        """The inputs of each accumulator; row i arrived as number `arrivals[i]`."""
        read = {name: decoded(batch.column(name)) for name in self.needed}
        inputs: Inputs = []
        for accumulator, names in zip(self.accumulators, self._columns):
            columns = [read[name] for name in names]
            if accumulator.needs_arrival and not self._from_partials:
                columns.append(pa.array(arrivals))
            inputs.append(columns)
        return inputs

    def grow(self, n_slots: int) -> None:
        for accumulator in self.accumulators:
            accumulator.grow(n_slots)

    def update(self, slots: Int64s, inputs: Inputs) -> None:
        """Rows join their slots."""
        for accumulator, columns in zip(self.accumulators, inputs):
            if self._from_partials:
                accumulator.merge(slots, columns)
            else:
                accumulator.update(slots, columns)

    def merge(self, slots: Int64s, other: Contents, sources: Int64s, picks: Int64s | None) -> None:
        """Slot `sources[picks[i]]` of `other` joins `slots[i]`; without picks, `sources[i]`
        does."""
        at = None if picks is None else pa.array(picks)
        for mine, its in zip(self.accumulators, other.accumulators):
            partials = its.partials(sources)
            mine.merge(slots, partials if at is None else [p.take(at) for p in partials])

    def merge_within(self, targets: Int64s, sources: Int64s) -> None:
        """Slots `sources` join `targets` and are empty after."""
        for accumulator in self.accumulators:
            accumulator.merge_within(targets, sources)
            accumulator.reset(sources)

    def running(self, slots: Int64s, inputs: Inputs, at: Int64s | None = None) -> list[pa.Array]:
        """Rows join their slots; the results of each row's slot as of that row, for the rows `at`
        (None: all)."""
        return [a.running(slots, columns, at) for a, columns in zip(self.accumulators, inputs)]

    def running_sizes(self, slots: Int64s, inputs: Inputs) -> list[Int64s]:
        """Per aggregate that gives lists, the length of the running result of each row."""
        sizes = [a.running_sizes(slots, c) for a, c in zip(self.accumulators, inputs)]
        return [each for each in sizes if each is not None]

    def partials(self, slots: Int64s) -> list[pa.Array]:
        """The partial columns of all accumulators, in order."""
        return [column for each in self.accumulators for column in each.partials(slots)]

    def state_fields(self) -> list[pa.Field]:
        """The columns of `state`. No name twice, whatever aggregates are called."""
        found: dict[str, pa.Field] = {}
        for accumulator, called in zip(self.accumulators, self._names):
            for field in accumulator.state_fields(called):
                name = field.name
                while name in found:
                    name += "_"
                found[name] = field.with_name(name)
        return list(found.values())

    def state(self, slots: Int64s) -> list[pa.Array]:
        """All there is to know of `slots` (no slot twice), for a snapshot."""
        return [column for each in self.accumulators for column in each.state(slots)]

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        """`slots`, empty so far, hold what `state` gave."""
        rest = list(state)
        for accumulator in self.accumulators:
            count = len(accumulator.state_fields(""))
            accumulator.load(slots, rest[:count])
            del rest[:count]

    def results(self, slots: Int64s) -> list[pa.Array]:
        return [accumulator.result(slots) for accumulator in self.accumulators]

    def reset(self, slots: Int64s) -> None:
        for accumulator in self.accumulators:
            accumulator.reset(slots)


class Computed:
    """Results instead of what they come from: row number = slot."""

    def __init__(self, columns: Sequence[pa.Array]) -> None:
        self._columns = columns

    def results(self, slots: Int64s) -> list[pa.Array]:
        return take_columns(self._columns, slots)


def take_inputs(inputs: Inputs, rows: Int64s) -> Inputs:
    """The given rows of all inputs; a shared column is copied once, a run of rows not at all."""
    distinct = {id(column): column for columns in inputs for column in columns}
    taken = dict(zip(distinct, take_columns(list(distinct.values()), rows)))
    return [[taken[id(column)] for column in columns] for columns in inputs]


def take_columns(columns: Sequence[pa.Array], rows: Int64s) -> list[pa.Array]:
    """The given rows, ascending or not; a run of consecutive ones without a copy."""
    n = len(rows)
    if n and int(rows[-1]) - int(rows[0]) == n - 1 and bool((rows[1:] > rows[:-1]).all()):
        return [column.slice(int(rows[0]), n) for column in columns]
    at = pa.array(rows)
    return [column.take(at) for column in columns]


def decoded(column: pa.Array) -> pa.Array:
    """The column without dictionary encoding or views, which cannot be gathered."""
    type = plain(column.type)
    return column if type == column.type else column.cast(type)
