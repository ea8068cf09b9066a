"""Columns to lines of JSON objects, whole columns at a time.

Valid JSON always: NaN and infinities are the strings "NaN", "Infinity", "-Infinity"; decimals are strings, so that no
reader rounds them; times ISO 8601, bytes base64, maps objects. JsonLinesDecoder reads it all back."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.connectors.formats.to_text import is_bytes, to_text

_SPECIAL = r'[\x00-\x1f"\\]'
_CONTROL = r"[\x00-\x1f]"
_REPLACED = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
_WORDS = {"nan": '"NaN"', "-nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


def json_lines(batch: pa.RecordBatch) -> pa.Buffer:
    """One object a line, UTF-8, with a line end after each."""
    if not batch.num_rows:
        return pa.py_buffer(b"")
    if not batch.num_columns:
        return pa.py_buffer(b"{}\n" * batch.num_rows)
    return text_buffer(pc.binary_join_element_wise(_objects(batch.columns, batch.schema), "\n", ""))


def text_buffer(lines: pa.Array) -> pa.Buffer:
    """The bytes of all texts of an array, one after the other; no copy."""
    offsets = lines.buffers()[1], lines.buffers()[2]
    start, stop = _bounds(lines)
    assert offsets[1] is not None
    return offsets[1].slice(start, stop - start)


def _bounds(lines: pa.Array) -> tuple[int, int]:
    """First and last byte of a string array's text in its data buffer."""
    width = 8 if pa.types.is_large_string(lines.type) else 4
    view = memoryview(lines.buffers()[1]).cast("b").cast("q" if width == 8 else "i")
    return view[lines.offset], view[lines.offset + len(lines)]


def _objects(columns: list[pa.Array], fields: pa.Schema) -> pa.Array:
    parts: list[object] = []
    for i, (array, field) in enumerate(zip(columns, fields)):
        key = msgspec.json.encode(field.name).decode()
        parts += [f"{',' if i else '{'}{key}:", values_as_json(array)]
    return pc.binary_join_element_wise(*parts, "}", "")


def values_as_json(array: pa.Array) -> pa.Array:
    """A string array: each value as JSON text; nulls are the word null."""
    return pc.fill_null(as_json(array), "null")


def as_json(array: pa.Array) -> pa.Array:
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        return as_json(array.dictionary_decode())
    if types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if types.is_struct(kind):
        return _struct(array)
    if types.is_map(kind):
        return _map(array)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list(array)
    if types.is_floating(kind):
        return _floats(array)
    if types.is_integer(kind) or types.is_boolean(kind):
        return array.cast(pa.string())
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return quoted(array.cast(pa.string()))
    if types.is_decimal(kind) or types.is_temporal(kind) or is_bytes(kind):
        return pc.binary_join_element_wise('"', to_text(array), '"', "")
    raise TypeError(f"no JSON for {kind}")


def quoted(text: pa.Array) -> pa.Array:
    """JSON strings. Text with nothing to escape, the usual case, is only put between quotes."""
    if pc.any(pc.match_substring_regex(text, _SPECIAL), min_count=0).as_py():
        for plain, escaped in _REPLACED:
            text = pc.replace_substring(text, plain, escaped)
        rare = pc.match_substring_regex(text, _CONTROL)
        if pc.any(rare, min_count=0).as_py():
            text = pa.array([_escape_control(v) for v in text.to_pylist()], pa.string())
    return pc.binary_join_element_wise('"', text, '"', "")


def _escape_control(text: str | None) -> str | None:
    if text is None:
        return None
    return "".join(f"\\u{ord(c):04x}" if c < " " else c for c in text)


def _floats(array: pa.Array) -> pa.Array:
    text = to_text(array)
    finite = pc.is_finite(array.cast(pa.float64()))
    if not pc.all(finite, min_count=0).as_py():
        for word, spelled in _WORDS.items():
            text = pc.if_else(pc.equal(text, word), spelled, text)
    # "-0" would be read as an integer, and integers have one zero.
    return pc.if_else(pc.equal(text, "-0"), "-0.0", text)


def _struct(array: pa.StructArray) -> pa.Array:
    if not array.type.num_fields:
        return pc.if_else(array.is_valid(), "{}", None)
    children = [array.field(i) for i in range(array.type.num_fields)]
    whole = _objects(children, pa.schema(list(array.type)))
    return pc.if_else(array.is_valid(), whole, None) if array.null_count else whole


def _list(array: pa.Array) -> pa.Array:
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_field))
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    joined = pc.binary_join(_lists_of(array, values_as_json(array.flatten()), lengths), ",")
    return pc.binary_join_element_wise("[", joined, "]", "")


def _map(array: pa.MapArray) -> pa.Array:
    entries = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    flat = entries.flatten()
    keys, items = flat.field(0), flat.field(1)
    names = as_json(keys)
    if not (pa.types.is_string(keys.type) or is_quoted(keys.type)):
        names = pc.binary_join_element_wise('"', to_text(keys), '"', "")
    pairs = pc.binary_join_element_wise(names, values_as_json(items), ":")
    lengths = pc.fill_null(pc.list_value_length(entries), 0)
    joined = pc.binary_join(_lists_of(entries, pairs, lengths), ",")
    return pc.binary_join_element_wise("{", joined, "}", "")


def is_quoted(kind: pa.DataType) -> bool:
    """Whether the JSON of such a value is a string already."""
    types = pa.types
    return bool(
        types.is_decimal(kind)
        or types.is_temporal(kind)
        or is_bytes(kind)
        or types.is_large_string(kind)
    )


def _lists_of(array: pa.Array, texts: pa.Array, lengths: pa.Array) -> pa.Array:
    """Lists with the shape and nulls of `array` over its flattened values."""
    offsets = pc.cumulative_sum(
        pa.concat_arrays([pa.array([0], pa.int64()), lengths.cast(pa.int64())])
    )
    return pa.ListArray.from_arrays(offsets.cast(pa.int32()), texts, mask=array.is_null())
