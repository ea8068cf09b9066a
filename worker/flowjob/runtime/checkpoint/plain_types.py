"""Tables without dictionaries: what is stored must be readable alone and mean the same in every part.

A dictionary-encoded column has values elsewhere, and two parts may encode differently. It must not know files."""

from __future__ import annotations

import pyarrow as pa


def plain_table(table: pa.Table) -> pa.Table:
    """The same values with every dictionary type replaced by the type of its values, nested ones too. Schema metadata
    (pandas' index, say) is left out; that of fields stays."""
    schema = pa.schema([field.with_type(plain_type(field.type)) for field in table.schema])
    if schema.types == table.schema.types:
        return table.replace_schema_metadata(None)
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(table.columns, schema)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def are_words(schema: pa.Schema) -> bool:
    """Whether all columns are of a fixed width: integers, floats, booleans, times."""
    return all(pa.types.is_primitive(type) for type in schema.types)


def plain_type(type: pa.DataType) -> pa.DataType:
    """`type` without dictionaries."""
    is_ = pa.types
    if is_.is_dictionary(type):
        return plain_type(type.value_type)
    if is_.is_list(type):
        return pa.list_(_plain_field(type.value_field))
    if is_.is_large_list(type):
        return pa.large_list(_plain_field(type.value_field))
    if is_.is_fixed_size_list(type):
        return pa.list_(_plain_field(type.value_field), type.list_size)
    if is_.is_struct(type):
        return pa.struct([_plain_field(field) for field in type])
    if is_.is_map(type):
        return pa.map_(
            _plain_field(type.key_field), _plain_field(type.item_field), type.keys_sorted
        )
    return type


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(plain_type(field.type))
