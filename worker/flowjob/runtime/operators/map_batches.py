"""map_batches: the user's function over whole batches, one pyarrow.RecordBatch in, one out.

What comes back is held against the declared type before anything else sees it, so that an error names the function and
not some operator behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa

from flowjob.plan.specs import MapBatchesSpec
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.operators.base import Emitted, Operator, OperatorContext
from flowjob.runtime.operators.failures import WrongResult, name_of
from flowjob.runtime.printing import shown


class MapBatches(Operator):
    """The function gets the visible columns. It gives a RecordBatch, a Table or a dict of columns.

    With as many rows as it got, they keep their timestamps and kinds; else all have the batch's latest timestamp."""

    def __init__(self, spec: MapBatchesSpec) -> None:
        self._function = spec.function
        self._name = name_of(spec.function)
        self._visible = list(spec.input.columns)
        self._schema: pa.Schema = spec.output.schema
        self._required = [i for i, f in enumerate(spec.output.schema or ()) if not f.nullable]
        self._fitting: pa.Schema = self._schema
        self._batch_rows = 0

    def open(self, context: OperatorContext) -> None:
        self._batch_rows = context.batch_rows

    def process(self, data: Data, port: int) -> Emitted:
        batch = cast(Batch, data)
        result = self._checked(self._function(batch.columns.select(self._visible)))
        made = self._timed(result, batch)
        if 0 < len(made) <= self._batch_rows:
            yield made
            return
        for start in range(0, len(made), self._batch_rows):
            yield made.slice(start, min(self._batch_rows, len(made) - start))

    def _timed(self, result: pa.RecordBatch, batch: Batch) -> Batch:
        if result.num_rows == len(batch):
            return batch.with_columns(result)
        if batch.kinds is not None and batch.kinds.any():
            raise self._wrong(
                f"{result.num_rows} rows for {len(batch)}: with updates and deletes among them each row must stay"
            )
        if batch.timestamps is None:
            return Batch(result)
        return Batch(result, np.full(result.num_rows, batch.timestamps.max(), np.int64))

    def _checked(self, result: Any) -> pa.RecordBatch:
        """The declared columns of a result, in declared order; others are refused, so that none is lost by a typo."""
        if self._is_known_to_fit(result):
            return pa.RecordBatch.from_arrays(result.columns, schema=self._schema)
        columns = self._columns(result)
        wanted = self._schema.names
        if set(columns) != set(wanted):
            raise self._wrong(f"columns {', '.join(columns) or '(none)'}")
        arrays = [self._fitted(columns[field.name], field) for field in self._schema]
        lengths = {name: len(array) for name, array in zip(wanted, arrays)}
        if len(set(lengths.values())) > 1:
            raise self._wrong(f"columns of different lengths: {lengths}")
        if isinstance(result, pa.RecordBatch) and _same_columns(result.schema, self._schema):
            self._fitting = result.schema  # the next ones will be like it
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _is_known_to_fit(self, result: Any) -> bool:
        """Whether it looks as an earlier one did that was held against the declaration."""
        return (
            isinstance(result, pa.RecordBatch)
            and bool(result.schema.equals(self._fitting))
            and not any(result.column(i).null_count for i in self._required)
        )

    def _columns(self, result: Any) -> dict[str, Any]:
        if isinstance(result, pa.RecordBatch | pa.Table):
            return dict(zip(result.schema.names, result.columns))
        if isinstance(result, Mapping):
            return dict(result)
        raise self._wrong(f"{type(result).__name__}: {shown(result)}")

    def _fitted(self, column: Any, field: pa.Field) -> pa.Array:
        """The column as declared: cast if nothing is lost by it."""
        try:
            array = column
            if isinstance(array, pa.ChunkedArray):
                array = array.combine_chunks()
            if not isinstance(array, pa.Array):
                array = pa.array(array)
            if array.type != field.type:
                array = array.cast(field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            given = getattr(column, "type", type(column).__name__)
            raise self._wrong(f"column `{field.name}` as {given}: {error}") from None
        if array.null_count and not field.nullable:
            raise self._wrong(f"column `{field.name}` with {array.null_count} nulls")
        return array

    def _wrong(self, got: str) -> WrongResult:
        declared = ", ".join(f"{f.name}: {_declared(f)}" for f in self._schema)
        return WrongResult(f"{self._name} declares {declared}, but returned {got}")


def _same_columns(given: pa.Schema, declared: pa.Schema) -> bool:
    """Whether they differ at most in what may be null."""
    return bool(given.names == declared.names and given.types == declared.types)


def _declared(field: pa.Field) -> str:
    return f"{field.type} | None" if field.nullable else str(field.type)
