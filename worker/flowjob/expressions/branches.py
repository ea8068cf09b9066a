"""when/then/otherwise, & and |: where a part of an expression may guard another one.

All parts are first computed for all rows, which is fast. Only when that fails are guarded parts computed again, for the
rows that reach them: `when(b != 0).then(a // b)` must not fail for b == 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.expressions.compiled import Datum, Kernel, Node, Unsuitable, any_null, call
from flowjob.expressions.failures import ExpressionFailed

Indices = npt.NDArray[np.int64]


def compile_when(text: str, nodes: list[Node]) -> Node:
    """`nodes` are condition, value, condition, value, … and the value otherwise, if there is one."""
    conditions, values = nodes[0 : len(nodes) - 1 : 2], nodes[1::2]
    if len(nodes) % 2:
        otherwise = nodes[-1]
    else:
        nothing = pa.scalar(None)
        otherwise = Node("null", nothing, True, lambda _: nothing)
    for condition in conditions:
        if not pa.types.is_boolean(condition.type):
            raise Unsuitable(
                f"the condition `{condition.text}` is {condition.type}, not true or false"
            )
    outcomes = [*values, otherwise]
    choose, fill, no = call("if_else"), call("coalesce"), pa.scalar(False)

    def combine(tests: list[Datum], results: list[Datum]) -> Datum:
        chosen = results[-1]
        for test, result in zip(reversed(tests), reversed(results[:-1])):
            known = fill([test, no]) if _may_be_null(test) else test
            chosen = choose([known, result, chosen])
        return chosen

    sample = combine([c.sample for c in conditions], [v.sample for v in outcomes])
    type = sample.type

    def run(batch: pa.RecordBatch) -> Datum:
        try:
            return combine([c.run(batch) for c in conditions], [v.run(batch) for v in outcomes])
        except ExpressionFailed:
            return _row_by_branch(batch, conditions, outcomes, type)

    return Node(text, sample, any_null(outcomes), run)


def _may_be_null(test: Datum) -> bool:
    return bool(test.null_count) if isinstance(test, pa.Array) else not test.is_valid


def _row_by_branch(
    batch: pa.RecordBatch, conditions: list[Node], outcomes: list[Node], type: pa.DataType
) -> pa.Array:
    """Each branch over the rows that take it, put back in order."""
    remaining: Indices = np.arange(batch.num_rows)
    places: list[Indices] = []
    parts: list[pa.Array] = []

    def take(outcome: Node, rows: Indices) -> None:
        if len(rows):
            places.append(rows)
            parts.append(_array(outcome, batch.take(pa.array(rows))).cast(type))

    for condition, outcome in zip(conditions, outcomes):
        test = _array(condition, batch.take(pa.array(remaining)))
        true = pc.fill_null(test, False).to_numpy(zero_copy_only=False)
        take(outcome, remaining[true])
        remaining = remaining[~true]
    take(outcomes[-1], remaining)
    order = np.argsort(np.concatenate(places))
    return pa.concat_arrays(parts).take(pa.array(order))


def _array(node: Node, batch: pa.RecordBatch) -> pa.Array:
    value = node.run(batch)
    return pa.repeat(value, batch.num_rows) if isinstance(value, pa.Scalar) else value


def compile_boolean(
    text: str, kernel: Kernel, nodes: list[Node], sample: Any, *, decided: bool
) -> Node:
    """`&` and `|`: the right side may fail in rows where the left one alone decides (is `decided`)."""
    left, right = nodes

    def run(batch: pa.RecordBatch) -> Datum:
        first = left.run(batch)
        try:
            return kernel([first, right.run(batch)])
        except ExpressionFailed:
            if isinstance(first, pa.Scalar):
                raise
        open_rows = pc.fill_null(pc.not_equal(first, decided), True)
        mask = open_rows.to_numpy(zero_copy_only=False)
        second = _array(right, batch.filter(open_rows))
        spread = second.take(pa.array(np.cumsum(mask) - 1, mask=~mask))
        return kernel([first, spread])

    return Node(text, sample, any_null(nodes), run)
