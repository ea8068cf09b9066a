"""Expressions give what Python gives, row by row; where they differ on purpose a test says so."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.expressions import Expr, ExpressionFailed, col, greatest, least, when

INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def evaluate(expression: Expr, type: pa.DataType, *columns: list[Any]) -> list[Any]:
    """The values of an expression over columns a, b, …; also checks that it keeps what `bind` promised."""
    names = "abcdef"[: len(columns)]
    batch = pa.RecordBatch.from_arrays([pa.array(c, type) for c in columns], list(names))
    bound = expression.bind(batch.schema)
    array = bound.evaluate(batch)
    array.validate(full=True)
    assert array.type == bound.type
    assert len(array) == batch.num_rows
    return list(array.to_pylist())


def of_python(function: Callable[..., Any], *values: Any) -> Any:
    """Python's result; null for nulls; the exception's class for a failure or an int64 overflow."""
    if None in values:
        return None
    try:
        result = function(*values)
    except ZeroDivisionError:
        return ZeroDivisionError
    if isinstance(result, int) and not -(2**63) <= result < 2**63:
        return OverflowError
    return result


OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.floordiv,
    operator.mod,
    operator.eq,
    operator.lt,
    operator.ge,
]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda o: o.__name__)
@settings(max_examples=60)
@given(pairs=st.lists(st.tuples(st.none() | INTS, st.none() | INTS), max_size=4))
def test_integers_are_exact_or_fail(op: Callable[[Any, Any], Any], pairs: list[Any]) -> None:
    expected = [of_python(op, a, b) for a, b in pairs]
    columns = [[a for a, _ in pairs], [b for _, b in pairs]]
    if any(e in (ZeroDivisionError, OverflowError) for e in expected):
        with pytest.raises(ExpressionFailed):
            evaluate(op(col("a"), col("b")), pa.int64(), *columns)
    else:
        assert evaluate(op(col("a"), col("b")), pa.int64(), *columns) == expected


@pytest.mark.parametrize("op", [operator.floordiv, operator.mod], ids=lambda o: o.__name__)
@settings(max_examples=40)
@given(values=st.lists(st.none() | INTS, max_size=4), divisor=st.integers(-20, 20))
def test_division_by_a_constant_rounds_down(op: Any, values: list[Any], divisor: int) -> None:
    if divisor and not (divisor == -1 and -(2**63) in values):
        expected = [of_python(op, v, divisor) for v in values]
        assert evaluate(op(col("a"), divisor), pa.int64(), values) == expected


@settings(max_examples=60)
@given(st.lists(st.tuples(st.none() | FLOATS, st.none() | FLOATS), max_size=4))
def test_floats_are_what_python_has_them(pairs: list[Any]) -> None:
    columns = [[a for a, _ in pairs], [b for _, b in pairs]]
    for op in (operator.add, operator.sub, operator.mul, operator.lt, operator.eq):
        assert evaluate(op(col("a"), col("b")), pa.float64(), *columns) == [
            of_python(op, a, b) for a, b in pairs
        ]
    for op in (operator.floordiv, operator.mod, operator.truediv):
        got = evaluate(op(col("a"), col("b")), pa.float64(), *columns)
        for (a, b), value in zip(pairs, got):
            expected = of_python(op, a, b)
            if expected is not ZeroDivisionError:
                assert value == expected or value == pytest.approx(expected, rel=1e-9)


def test_a_float_divided_by_zero_is_infinite_or_nan_as_in_ieee_754() -> None:
    got = evaluate(col("a") / col("b"), pa.float64(), [1.0, -1.0, 0.0], [0.0, 0.0, 0.0])
    assert got[:2] == [math.inf, -math.inf]
    assert math.isnan(got[2])


def test_an_int_divided_by_zero_fails_and_names_expression_and_row() -> None:
    for op in (operator.truediv, operator.floordiv, operator.mod):
        with pytest.raises(ExpressionFailed, match="divide by zero") as caught:
            evaluate(op(col("a"), col("b")) + 1, pa.int64(), [4, 5, 6], [1, 0, 0])
        assert caught.value.expression == str(op(col("a"), col("b")))
        assert caught.value.row == "a=5, b=0"


def test_ints_overflow_by_failing_and_never_wrap() -> None:
    for expression in (col("a") + 1, col("a") * 2, col("a") ** 2, -col("b"), abs(col("b"))):
        with pytest.raises(ExpressionFailed):
            evaluate(expression, pa.int64(), [2**63 - 1], [-(2**63)])


TRUTHS = st.sampled_from([True, False, None])


@given(TRUTHS, TRUTHS)
def test_and_or_not_follow_three_valued_logic(a: Any, b: Any) -> None:
    ways = [(x, y) for x in _readings(a) for y in _readings(b)]

    def decided(function: Any) -> Any:
        results = {function(x, y) for x, y in ways}
        return results.pop() if len(results) == 1 else None

    assert evaluate(col("a") & col("b"), pa.bool_(), [a], [b]) == [decided(operator.and_)]
    assert evaluate(col("a") | col("b"), pa.bool_(), [a], [b]) == [decided(operator.or_)]
    assert evaluate(~col("a"), pa.bool_(), [a]) == [None if a is None else not a]


def _readings(value: Any) -> list[bool]:
    """What null may stand for."""
    return [True, False] if value is None else [value]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.none() | INTS, st.none() | INTS), max_size=5),
    st.sets(st.none() | st.integers(-3, 3)),
)
def test_choices_among_values(pairs: list[Any], known: set[Any]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]

    def run(expression: Expr) -> list[Any]:
        return evaluate(expression, pa.int64(), a, b)

    assert run(col("a").fill_null(7)) == [7 if x is None else x for x in a]
    assert run(col("a").is_null()) == [x is None for x in a]
    assert run(least(col("a"), col("b"))) == [of_python(min, *p) for p in pairs]
    assert run(greatest(col("a"), 3)) == [of_python(max, x, 3) for x in a]
    assert run(col("a").between(-3, col("b"))) == [
        False if x is not None and x < -3 else of_python(lambda v, w: v <= w, x, y)
        for x, y in pairs
    ]
    assert run(col("a").is_in(known)) == [
        None if x is None and None not in known else x in known for x in a
    ]
    case = when(col("a") > 0).then(1).when(col("b") > 0).then(2).otherwise(3)
    assert run(case) == [1 if (x or 0) > 0 else 2 if (y or 0) > 0 else 3 for x, y in pairs]


TEXT = st.text("abcXYZ ßéñ日-_%", max_size=6)


@settings(max_examples=80)
@given(st.lists(st.none() | TEXT, max_size=4), TEXT.filter(bool), st.integers(-4, 4))
def test_strings_are_what_python_has_them(values: list[Any], part: str, n: int) -> None:
    cases: list[tuple[Expr, Callable[[str], Any]]] = [
        (col("a").str.lower(), lambda s: s.lower()),
        (col("a").str.strip(), lambda s: s.strip()),
        (col("a").str.lstrip("a"), lambda s: s.lstrip("a")),
        (col("a").str.length(), len),
        (col("a").str.contains(part), lambda s: part in s),
        (col("a").str.starts_with(part), lambda s: s.startswith(part)),
        (col("a").str.ends_with(part), lambda s: s.endswith(part)),
        (col("a").str.replace(part, "!"), lambda s: s.replace(part, "!")),
        (col("a").str.split(part), lambda s: s.split(part)),
        (col("a").str.count(part), lambda s: s.count(part)),
        (col("a").str.slice(n), lambda s: s[n:]),
        (col("a").str.slice(0, n), lambda s: s[0:n]),
        (col("a").str.pad_start(4, "."), lambda s: s.rjust(4, ".")),
        (col("a") + part, lambda s: s + part),
        (part + col("a"), lambda s: part + s),
        (col("a") < part, lambda s: s.encode() < part.encode()),
    ]
    for expression, function in cases:
        expected = [None if v is None else function(v) for v in values]
        assert evaluate(expression, pa.string(), values) == expected, str(expression)
