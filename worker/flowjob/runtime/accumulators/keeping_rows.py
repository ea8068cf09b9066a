"""All rows of a window, as columns: what window functions get.

An accumulator like the others, so that every window operator can serve window functions
unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from flowjob.aggregates import plain
from flowjob.plan.types import OBJECT_COLUMN
from flowjob.runtime.accumulators.base import PICKLED, Accumulator, fields
from flowjob.runtime.accumulators.collecting import as_lists
from flowjob.runtime.accumulators.owned_log import OwnedLog
from flowjob.runtime.batch import Int64s


class KeptRows(Accumulator):
    """Rows of `schema` by slot, in order of arrival. Partial: a list per column, and of arrival
    numbers."""

    needs_arrival = True

    def __init__(self, schema: pa.Schema) -> None:
        types = [plain(field.type) for field in schema]
        self.schema = pa.schema([pa.field(field.name, type) for field, type in zip(schema, types)])
        self.partial_types = (*(pa.list_(type) for type in types), pa.list_(pa.int64()))
        self.log = OwnedLog(types)

    def grow(self, n_slots: int) -> None:
        """Nothing is kept by slot."""

    def update(self, slots: Int64s, columns: Sequence[pa.Array]) -> None:
        *values, arrivals = columns
        self.log.append(slots, values, arrivals.to_numpy())

    def rows(self, slots: Int64s) -> tuple[pa.RecordBatch, Int64s]:
        """(rows, counts): the rows of slots[0], then of slots[1] …; no slot twice."""
        found, counts = self.log.find(slots)
        arrays = [log.take(found) for log in self.log.logs]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema), counts

    def partials(self, slots: Int64s) -> list[pa.Array]:
        found, counts = self.log.find(slots)
        arrivals = pa.array(self.log.arrivals(found))
        return [as_lists(a, counts) for a in (*(v.take(found) for v in self.log.logs), arrivals)]

    def merge(self, slots: Int64s, partials: Sequence[pa.Array]) -> None:
        counts = partials[-1].value_lengths().to_numpy(zero_copy_only=False)
        *values, arrivals = (partial.flatten() for partial in partials)
        self.log.append(slots.repeat(counts), values, arrivals.to_numpy())

    def state_fields(self, name: str) -> list[pa.Field]:
        return fields(name, ("", pa.list_(self._row)), (".arrival", pa.list_(pa.int64())))

    def state(self, slots: Int64s) -> list[pa.Array]:
        found, counts = self.log.find(slots)
        values = [log.take(found) for log in self.log.logs]
        rows = pa.StructArray.from_arrays(values, fields=list(self._row))
        return [as_lists(rows, counts), as_lists(pa.array(self.log.arrivals(found)), counts)]

    def load(self, slots: Int64s, state: Sequence[pa.Array]) -> None:
        rows, arrivals = state
        counts = arrivals.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        values = rows.flatten().flatten()
        self.log.append(slots.repeat(counts), values, arrivals.flatten().to_numpy())

    @property
    def _row(self) -> pa.StructType:
        """One row, as readers of snapshots see it."""
        pickled = {OBJECT_COLUMN: PICKLED}
        return pa.struct([f.with_metadata(pickled.get(f.name)) for f in self.schema])

    def merge_within(self, targets: Int64s, sources: Int64s) -> None:
        self.log.reassign(targets, sources)

    def result(self, slots: Int64s) -> pa.Array:
        raise NotImplementedError("rows are read by `rows`")

    def running(
        self, slots: Int64s, columns: Sequence[pa.Array], at: Int64s | None = None
    ) -> pa.Array:
        raise NotImplementedError("rows are read by `rows`")

    def reset(self, slots: Int64s) -> None:
        self.log.drop(slots)

    @property
    def nbytes(self) -> int:
        return self.log.nbytes
