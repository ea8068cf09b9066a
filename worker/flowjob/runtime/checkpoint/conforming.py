"""A table that a person made, as the rows of a section: columns by name, types cast where nothing is lost.

So that a table from a Parquet file can become state. It must not know stores or snapshots."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from flowjob.errors import SchemaError
from flowjob.plan.stored_layout import StateLayout
from flowjob.plan.stored_state import (
    EXPIRES,
    KEY_PREFIX,
    PROCESSING_TIMERS,
    TIMER_ORDER,
    TIMERS,
    VALUE,
    Kind,
    timer_fields,
)
from flowjob.plan.types import HIDDEN_PREFIX

_MAY_MISS = (EXPIRES, TIMER_ORDER)


def expected_schema(layout: StateLayout | None, section: str) -> pa.Schema | None:
    """The columns of a section according to what the plan says of its operator; None where it says nothing."""
    if layout is None:
        return None
    if section in (TIMERS, PROCESSING_TIMERS) and layout.sections:
        return pa.schema([*layout.key_fields, *timer_fields()])
    found = layout.sections.get(section)
    if found is None:
        return None
    keys = [] if found.kind == Kind.BROADCAST.value else layout.key_fields
    return pa.schema([*keys, *found.arrow])


def conformed(table: pa.Table | pa.RecordBatch, schema: pa.Schema, label: str) -> pa.Table:
    """`table` with the columns of `schema`, in its order.

    A key column may be called as it is in the program (`account` for `key.account`). A value that is a row may come as
    one column `value`, or as the columns of the row. Columns that the engine can do without may be missing: times of
    expiry, and those that begin with `__`. SchemaError, with both lists of columns, for anything else."""
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if not isinstance(table, pa.Table):
        raise SchemaError(
            f"{label} must be a pyarrow.Table, not a {type(table).__name__}: pa.Table.from_pylist(rows), for example"
        )
    used: set[str] = set()
    columns = []
    fields = []
    for field in schema:
        found = _find(table, field, used)
        if found is None and (field.name in _MAY_MISS or field.name.startswith(HIDDEN_PREFIX)):
            continue
        if found is None:
            raise SchemaError(
                f"{label} has no column for `{field.name}`. {_listed(schema, table.column_names)}"
            )
        try:
            columns.append(found.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaError(
                f"{label}: column `{field.name}` has type {found.type}, not {field.type}: {error}"
            ) from error
        if field.name.startswith(KEY_PREFIX) and not field.nullable and columns[-1].null_count:
            raise SchemaError(f"{label}: column `{field.name}` has nulls")
        fields.append(field)
    unused = [name for name in table.column_names if name not in used]
    if unused:
        raise SchemaError(
            f"{label} has no use for column {', '.join(f'`{n}`' for n in unused)}. "
            f"{_listed(schema, table.column_names)}"
        )
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _find(table: pa.Table, field: pa.Field, used: set[str]) -> pa.ChunkedArray | None:
    for name in (field.name, field.name.removeprefix(KEY_PREFIX)):
        if name in table.column_names:
            used.add(name)
            return table.column(name)
    if field.name == VALUE and pa.types.is_struct(field.type):
        names = [part.name for part in field.type]
        if all(name in table.column_names for name in names):
            used.update(names)
            return _struct(table.select(names), field.type)
    return None


def _struct(table: pa.Table, type: pa.DataType) -> pa.ChunkedArray:
    parts = [table.column(part.name).cast(part.type).combine_chunks() for part in type]
    arrays = [p if isinstance(p, pa.Array) else pa.concat_arrays(p.chunks) for p in parts]
    return pa.chunked_array([pa.StructArray.from_arrays(arrays, fields=list(type))])


def _listed(schema: pa.Schema, given: Sequence[str]) -> str:
    expected = ", ".join(f"{f.name}: {f.type}" for f in schema)
    return f"Expected are {expected}; the table has {', '.join(given)}"
