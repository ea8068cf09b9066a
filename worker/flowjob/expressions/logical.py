"""Comparisons, booleans, nulls and choices among values.

Nulls follow SQL: a comparison with one is null, `and` and `or` are Kleene's."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flowjob.expressions.compiled import (
    Build,
    Function,
    Kernel,
    Node,
    Unsuitable,
    all_null,
    always,
    arrow,
    call,
    never,
)
from flowjob.expressions.numeric import prepared

_is = pa.types


def _comparison(name: str) -> Build:
    def build(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
        return _compare(name, nodes)

    return build


def _compare(name: str, nodes: list[Node]) -> Kernel:
    if any(n.is_constant and not n.sample.is_valid for n in nodes):
        raise Unsuitable(
            "a comparison with None is null in every row: use `.is_null()` or `.is_not_null()`"
        )
    narrow = [_narrowed(node, other) for node, other in zip(nodes, reversed(nodes))]
    return prepared(call(name), nodes, narrow if any(narrow) else None)


def _narrowed(node: Node, other: Node) -> pa.DataType | None:
    """The other side's type for a constant int that fits it, so that no column need be widened to compare."""
    integers = _is.is_integer(node.type) and _is.is_integer(other.type)
    if not node.is_constant or not integers or node.type == other.type:
        return None
    return None if _fitted(node.sample, other.type) is None else other.type


def _between(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    value, low, high = nodes
    at_least = _compare("greater_equal", [value, low])
    at_most = _compare("less_equal", [value, high])
    both = call("and_kleene")
    return lambda a: both([at_least([a[0], a[1]]), at_most([a[0], a[2]])])


def _boolean(name: str, bitwise: str) -> Build:
    """Kleene logic for booleans, bits for ints."""

    def build(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
        if all(_is.is_integer(n.type) for n in nodes):
            return call(bitwise)
        for node in nodes:
            if not _is.is_boolean(node.type) and not _is.is_null(node.type):
                raise Unsuitable(
                    f"`{node.text}` is {node.type}, not true or false. Put parentheses around comparisons: "
                    "(a > 1) & (b < 2)"
                )
        boolean = call("cast", pc.CastOptions.safe(pa.bool_()))
        kernel = call(name)
        if any(_is.is_null(n.type) for n in nodes):
            return lambda arguments: kernel([boolean([a]) for a in arguments])
        return kernel

    return build


def _is_in(nodes: list[Node], values: tuple[Any, ...]) -> Kernel:
    type = nodes[0].type
    present = [v for v in values if v is not None]
    try:
        known = pa.array(present, type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise Unsuitable(f"the values are not all {type}: {error}") from None
    found = call("is_in", pc.SetLookupOptions(known))
    valid, choose = call("is_valid"), call("if_else")
    for_null = pa.scalar(True if len(present) < len(values) else None, pa.bool_())

    def kernel(arguments: list[Any]) -> Any:
        result = found(arguments)
        if isinstance(result, pa.Array) and not arguments[0].null_count:
            return result
        return choose([valid(arguments), result, for_null])

    return kernel


def _coalesce(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    """Constants take the type of the first column where they fit it, so that fill_null keeps a column's type."""
    column = next((n.type for n in nodes if not n.is_constant), None)
    kernel = prepared(call("coalesce"), nodes)
    fitted = {i: _fitted(n.sample, column) for i, n in enumerate(nodes) if n.is_constant and column}
    if not any(fitted.values()):
        return kernel
    return lambda arguments: kernel([fitted.get(i) or a for i, a in enumerate(arguments)])


def _fitted(constant: pa.Scalar, type: pa.DataType) -> pa.Scalar | None:
    try:
        return constant.cast(type)
    except pa.ArrowException:
        return None


def _invert(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    if _is.is_integer(nodes[0].type):
        return call("bit_wise_not")
    if not _is.is_boolean(nodes[0].type):
        raise Unsuitable(f"`{nodes[0].text}` is {nodes[0].type}, not true or false")
    return call("invert")


def _extreme(name: str) -> Build:
    def build(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
        return prepared(call(name, pc.ElementWiseAggregateOptions(skip_nulls=False)), nodes)

    return build


def _struct(nodes: list[Node], names: tuple[Any, ...]) -> Kernel:
    nullability = [n.nullable for n in nodes]
    options = pc.MakeStructOptions(list(names), field_nullability=nullability)
    return call("make_struct", options)


def _field(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    (name,) = parameters
    type = nodes[0].type
    if not _is.is_struct(type):
        raise Unsuitable(f"`{nodes[0].text}` is {type}, not a nested row")
    names = [f.name for f in type]
    if name not in names:
        raise Unsuitable(f"no field `{name}`; it has {', '.join(names)}")
    return call("struct_field", pc.StructFieldOptions([names.index(name)]))


LOGICAL: dict[str, Function] = {
    "eq": Function(_comparison("equal")),
    "ne": Function(_comparison("not_equal")),
    "lt": Function(_comparison("less")),
    "le": Function(_comparison("less_equal")),
    "gt": Function(_comparison("greater")),
    "ge": Function(_comparison("greater_equal")),
    "between": Function(_between),
    "and": Function(_boolean("and_kleene", "bit_wise_and")),
    "or": Function(_boolean("or_kleene", "bit_wise_or")),
    "xor": Function(_boolean("xor", "bit_wise_xor")),
    "invert": Function(_invert),
    "is_null": Function(arrow("is_null"), never),
    "is_not_null": Function(arrow("is_valid"), never),
    "is_in": Function(_is_in),
    "fill_null": Function(_coalesce, all_null),
    "coalesce": Function(_coalesce, all_null),
    "least": Function(_extreme("min_element_wise")),
    "greatest": Function(_extreme("max_element_wise")),
    "struct": Function(_struct, never),
    "field": Function(_field, always),
}
