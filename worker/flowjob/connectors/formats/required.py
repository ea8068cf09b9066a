"""Values that a schema requires and data does not have, at any depth.

Arrow keeps nullability only as a promise of the schema; here it is checked. It must not know formats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def missing(array: pa.Array, field: pa.Field) -> str | None:
    """The path of the first required value that some row lacks (`address.city`), or None."""
    if not field.nullable and array.null_count:
        return str(field.name)
    kind = field.type
    if pa.types.is_struct(kind):
        present = array.filter(array.is_valid()) if array.null_count else array
        for i, child in enumerate(kind):
            if (path := missing(present.flatten()[i], child)) is not None:
                return f"{field.name}.{path}"
    elif pa.types.is_map(kind):
        entries = present_values(array)
        if (path := missing(entries.field(1), kind.item_field)) is not None:
            return f"{field.name}.{path}"
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        path = missing(array.flatten(), kind.value_field)
        return None if path is None else f"{field.name}.{path}"
    return None


def present_values(array: pa.MapArray) -> pa.StructArray:
    """The entries of the rows of a map array's slice, as a struct of keys and items."""
    start = array.offsets[0].as_py() if len(array) else 0
    stop = array.offsets[len(array)].as_py() if len(array) else 0
    keys, items = array.keys, array.items
    if len(keys) != stop - start:  # keys of an unsliced array come whole
        keys, items = keys.slice(start, stop - start), items.slice(start, stop - start)
    return pa.StructArray.from_arrays([keys, items], ["key", "value"])


def rows_missing(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """bool[n]: the rows that lack a required value; nested values make one call per row."""
    lacking = np.zeros(batch.num_rows, np.bool_)
    for array, field in zip(batch.columns, batch.schema):
        if missing(array, field) is None:
            continue
        if not field.nullable:
            lacking |= pc.is_null(array).to_numpy(zero_copy_only=False)
        if pa.types.is_nested(field.type):
            for i in np.flatnonzero(~lacking):
                lacking[i] = missing(array.slice(i, 1), field) is not None
    return lacking


def what_is_missing(batch: pa.RecordBatch) -> str | None:
    """The path of the first required value that some row of the batch lacks, or None."""
    for array, field in zip(batch.columns, batch.schema):
        if (path := missing(array, field)) is not None:
            return path
    return None
