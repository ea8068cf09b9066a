"""Functions of strings, lists and maps.

Counts and positions are int64, whatever Arrow's own width is, so that they meet `int` of a Schema."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.expressions.compiled import (
    Build,
    Datum,
    Function,
    Kernel,
    Node,
    Unsuitable,
    always,
    arrow,
    call,
    is_text,
    then,
)

_is = pa.types


def _of_text(build: Build) -> Build:
    def checked(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
        if not is_text(nodes[0].type):
            raise Unsuitable(
                f"`{nodes[0].text}` is {nodes[0].type}, no string: `.cast(str)` makes it one"
            )
        return build(nodes, parameters)

    return checked


def _strip(side: str) -> Build:
    def build(_: list[Node], parameters: tuple[Any, ...]) -> Kernel:
        (characters,) = parameters
        if characters is None:
            return call(f"utf8_{side}_whitespace")
        return call(f"utf8_{side}", pc.TrimOptions(characters))

    return build


def _counted(build: Build) -> Build:
    return lambda nodes, parameters: then(build(nodes, parameters), pa.int64())


_GROUP_OR_NOT = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?!\?)|\(\?P?<\w+>", re.DOTALL)
"""What opens a group, and what only looks like it: escapes and character classes."""


def _extract(_: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    """Arrow extracts named groups only, so every group gets a name, and the whole pattern is one more."""
    pattern, group = parameters
    count = 0

    def name(match: re.Match[str]) -> str:
        nonlocal count
        if not match[0].startswith("("):
            return match[0]
        count += 1
        return f"(?P<g{count}>"

    named = _GROUP_OR_NOT.sub(name, pattern)
    if not 0 <= group <= count:
        raise Unsuitable(f"the pattern has {count} groups, no group {group}")
    extract = call("extract_regex", pc.ExtractRegexOptions(f"(?P<g0>{named})"))
    field = call("struct_field", pc.StructFieldOptions([group]))
    return lambda arguments: field([extract(arguments)])


def _to_datetime(_: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    parse = call("strptime", pc.StrptimeOptions(parameters[0], "us"))
    return then(parse, pa.timestamp("us", tz="UTC"))


def _list_length(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    if _is.is_map(nodes[0].type):
        plain = pa.list_(nodes[0].type.field(0))
        return then(lambda a: pc.list_value_length(a[0].view(plain)), pa.int64())
    _require_list(nodes[0])
    return then(call("list_value_length"), pa.int64())


def _require_list(node: Node) -> None:
    type = node.type
    if not (_is.is_list(type) or _is.is_large_list(type) or _is.is_fixed_size_list(type)):
        raise Unsuitable(f"`{node.text}` is {type}, no list")


def _list_get(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    _require_list(nodes[0])
    (index,) = parameters

    def kernel(arguments: list[Datum]) -> Datum:
        (lists,) = arguments
        if isinstance(lists, pa.Scalar):
            value = lists.as_py()
            within = value is not None and -len(value) <= index < len(value)
            return pa.scalar(value[index] if within else None, lists.type.value_type)
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        within = (lengths > index) if index >= 0 else (lengths >= -index)
        places = starts + (index if index >= 0 else lengths + index)
        return lists.flatten().take(pa.array(places, mask=~within))

    return kernel


def _map_get(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    type = nodes[0].type
    if not _is.is_map(type):
        raise Unsuitable(f"`{nodes[0].text}` is {type}, no dict")
    try:
        key = pa.scalar(parameters[0], type.key_type)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise Unsuitable(f"the key is no {type.key_type}: {error}") from None
    return call("map_lookup", pc.MapLookupOptions(key, "first"))


def _pattern(name: str) -> Build:
    return arrow(name, pc.MatchSubstringOptions)


def _replacing(name: str) -> Build:
    return arrow(name, pc.ReplaceSubstringOptions)


_TEXT: dict[str, Build] = {
    "lower": arrow("utf8_lower"),
    "upper": arrow("utf8_upper"),
    "title": arrow("utf8_title"),
    "reverse": arrow("utf8_reverse"),
    "strip": _strip("trim"),
    "lstrip": _strip("ltrim"),
    "rstrip": _strip("rtrim"),
    "length": _counted(arrow("utf8_length")),
    "contains": _pattern("match_substring"),
    "starts_with": _pattern("starts_with"),
    "ends_with": _pattern("ends_with"),
    "matches": _pattern("match_substring_regex"),
    "like": _pattern("match_like"),
    "find": _counted(_pattern("find_substring")),
    "count": _counted(_pattern("count_substring")),
    "replace": _replacing("replace_substring"),
    "replace_regex": _replacing("replace_substring_regex"),
    "slice": arrow("utf8_slice_codeunits", pc.SliceOptions),
    "split": arrow("split_pattern", pc.SplitPatternOptions),
    "pad_start": arrow("utf8_lpad", pc.PadOptions),
    "pad_end": arrow("utf8_rpad", pc.PadOptions),
    "to_datetime": _to_datetime,
}

TEXTUAL: dict[str, Function] = {
    **{f"str.{name}": Function(_of_text(build)) for name, build in _TEXT.items()},
    "str.extract": Function(_of_text(_extract), always),
    "list.length": Function(_list_length),
    "list.get": Function(_list_get, always),
    "map.get": Function(_map_get, always),
}
