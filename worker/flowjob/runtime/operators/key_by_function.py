"""key_by with a function of the row: its results travel as hidden columns behind the row's own.

The function runs once, at the sender; the receiver reads the columns. Its declared type is what makes equal keys equal
bytes everywhere, so a result of another type is an error, not a conversion."""

from __future__ import annotations

from typing import Any, cast

import pyarrow as pa

from flowjob.column_types import value_type_of_field
from flowjob.plan.specs import KeyByFunctionSpec
from flowjob.plan.types import KeyField
from flowjob.runtime.batch import Batch, Data, Rows
from flowjob.runtime.column_writing import REFUSED, REFUSED_BY_ARROW, Writer, writer
from flowjob.runtime.operators.base import Emitted, Form
from flowjob.runtime.operators.failures import WrongResult
from flowjob.runtime.operators.row_functions import RowFunctionOperator
from flowjob.runtime.operators.row_input import codec_of
from flowjob.runtime.printing import shown
from flowjob.schema import class_text, row_class

_Refused = (*REFUSED, REFUSED_BY_ARROW)


class KeyByFunction(RowFunctionOperator):
    """Rows in, columns out: the row's own and one for each field of `keys`."""

    takes = Form.ROWS
    gives = Form.COLUMNS

    def __init__(self, spec: KeyByFunctionSpec) -> None:
        super().__init__(spec)
        self._keys = spec.keys
        self._codec = codec_of(spec.input)
        self._fields = [pa.field(key.column, key.type) for key in spec.keys]

    def process(self, data: Data, port: int) -> Emitted:
        rows = cast(Rows, data)
        if not len(rows):
            return
        results: list[Any] = []
        yield from self._call_all(rows.values, results)
        columns = self._codec.columns(rows.values)
        arrays = [
            self._column(key, field, values, rows.values)
            for key, field, values in zip(
                self._keys, self._fields, self._parts(results, rows.values)
            )
        ]
        schema = pa.schema([*columns.schema, *self._fields])
        full = pa.RecordBatch.from_arrays([*columns.columns, *arrays], schema=schema)
        yield Batch(full, rows.timestamps, rows.kinds)

    def _parts(self, results: list[Any], rows: list[Any]) -> list[list[Any]]:
        """One list per key field."""
        count = len(self._keys)
        if count == 1:
            return [results]
        for row, result in zip(rows, results):
            if not isinstance(result, tuple) or len(result) != count:
                raise self._failed(
                    row,
                    WrongResult(
                        f"{self._name} must return a tuple of {count} key values, it returned {shown(result)}"
                    ),
                )
        return [list(part) for part in zip(*results)]

    def _column(
        self, key: KeyField, field: pa.Field, values: list[Any], rows: list[Any]
    ) -> pa.Array:
        write = writer(value_type_of_field(field, row_class))
        try:
            return write(values)
        except _Refused as error:
            # A batch was refused: only now is it worth finding out for which row.
            bad = next((i for i, v in enumerate(values) if _refuses(write, v)), None)
            if bad is None:
                raise
            value = values[bad]
            complaint = WrongResult(
                f"the key function {self._name} declares {key.type} but returned {class_text(type(value))}: "
                f"{shown(value)} ({error}). Annotate it with what it returns, or write `returns=…` in key_by"
            )
            raise self._failed(rows[bad], complaint) from complaint


def _refuses(write: Writer, value: Any) -> bool:
    try:
        write([value])
    except _Refused:
        return True
    return False
