"""Arithmetic and functions of numbers.

Integers are checked: a result that does not fit fails, it never wraps. Floats follow IEEE 754. Numbers of two types
meet in the wider one, as Arrow has it."""

from __future__ import annotations

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
    arrow,
    call,
    is_number,
    is_text,
    then,
)

_US = pa.duration("us")
_is = pa.types


def refuse_booleans(nodes: list[Node]) -> None:
    """Arithmetic over booleans is a mistake more often than not."""
    for node in nodes:
        if _is.is_boolean(node.type):
            raise Unsuitable(f"`{node.text}` is true or false: `.cast(int)` makes it 1 or 0")


def aligned(nodes: list[Node]) -> list[Any]:
    """What to cast each operand to beforehand, None for nothing.

    A positive constant meets uint64 as uint64: Arrow would take both to int64 and fail for large values. A constant int
    meets floats as float, once and not per batch. A naive timestamp meets an aware one as UTC, our reading of naive
    datetimes everywhere."""
    targets: list[Any] = [None for _ in nodes]
    for i, node in enumerate(nodes):
        others = [n.type for n in nodes if n is not node]
        if node.is_constant and node.sample.is_valid and _is.is_integer(node.type):
            value = node.sample.as_py()
            if pa.uint64() in others and value >= 0:
                targets[i] = pa.uint64()
            elif pa.float64() in others and abs(value) <= _EXACT_IN_FLOAT:
                targets[i] = pa.float64()
        if _is.is_timestamp(node.type) and node.type.tz is None:
            zone = next((t.tz for t in others if _is.is_timestamp(t) and t.tz), None)
            targets[i] = pa.timestamp(node.type.unit, tz=zone) if zone else None
    return targets


_EXACT_IN_FLOAT = 2**53


def prepared(kernel: Kernel, nodes: list[Node], targets: list[Any] | None = None) -> Kernel:
    """The kernel behind the casts that `aligned` (or the caller) asks for; constants are cast here and now."""
    targets = aligned(nodes) if targets is None else targets
    if not any(targets):
        return kernel
    constants = {
        i: n.sample.cast(t) for i, (n, t) in enumerate(zip(nodes, targets)) if t and n.is_constant
    }
    casts = {
        i: call("cast", pc.CastOptions.safe(t))
        for i, t in enumerate(targets)
        if t and i not in constants
    }

    def cast_first(arguments: list[Datum]) -> Datum:
        ready = list(arguments)
        for i, constant in constants.items():
            ready[i] = constant
        for i, cast in casts.items():
            ready[i] = cast([ready[i]])
        return kernel(ready)

    return cast_first


def _arithmetic(name: str) -> Build:
    def build(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
        refuse_booleans(nodes)
        types = [n.type for n in nodes]
        if name == "add" and all(map(is_text, types)):
            joined = call("binary_join_element_wise", pc.JoinOptions("emit_null"))
            return lambda arguments: joined([*arguments, pa.scalar("", arguments[0].type)])
        checked = not any(map(_is.is_floating, types))
        kernel = prepared(call(f"{name}_checked" if checked else name), nodes)
        if name != "multiply" and any(map(_is.is_date, types)):
            return _date_arithmetic(kernel, types)
        return kernel

    return build


def _date_arithmetic(kernel: Kernel, types: list[pa.DataType]) -> Kernel:
    """date - date is a duration; date ± duration a date, as in Python."""
    if all(map(_is.is_date, types)):
        return then(kernel, _US)
    if not any(map(_is.is_duration, types)):
        return kernel
    floor = call("floor_temporal", pc.RoundTemporalOptions(1, "day"))
    return then(lambda arguments: floor([kernel(arguments)]), pa.date32())


def _true_division(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    refuse_booleans(nodes)
    types = [n.type for n in nodes]
    if all(map(_is.is_integer, types)):
        # Checked, so that a zero divisor fails for ints.
        to_float = call("cast", pc.CastOptions(pa.float64(), allow_float_truncate=True))
        divide = call("divide_checked")
        return lambda arguments: divide([to_float([a]) for a in arguments])
    exact = any(map(_is.is_decimal, types)) and not any(map(_is.is_floating, types))
    of_time = _is.is_duration(types[0]) and _is.is_integer(types[1])
    return prepared(call("divide_checked" if exact or of_time else "divide"), nodes)


def _floor_division(name: str) -> Build:
    """Rounded down as Python does, which Arrow's own division is not; nulls stay null."""
    operation = {"floordiv": np.floor_divide, "mod": np.remainder}[name]

    def build(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
        refuse_booleans(nodes)
        types = [n.type for n in nodes]
        if not all(_is.is_integer(t) or _is.is_floating(t) for t in types):
            raise Unsuitable(
                "it takes ints and floats: `.cast(float)` or `.cast(int)` the operands first"
            )
        if any(map(_is.is_floating, types)):
            common = pa.float64()
        else:
            common = _common_integer(nodes)
        cast = call("cast", pc.CastOptions.safe(common))
        return lambda arguments: _divide([cast([a]) for a in arguments], operation, common)

    return build


def _common_integer(nodes: list[Node]) -> pa.DataType:
    unsigned = [
        _is.is_unsigned_integer(n.type) or t == pa.uint64() for n, t in zip(nodes, aligned(nodes))
    ]
    return pa.uint64() if all(unsigned) else pa.int64()


def _divide(arguments: list[Datum], operation: Any, type: pa.DataType) -> Datum:
    scalars = all(isinstance(a, pa.Scalar) for a in arguments)
    if any(isinstance(a, pa.Scalar) and not a.is_valid for a in arguments):
        size = next((len(a) for a in arguments if not isinstance(a, pa.Scalar)), 1)
        nulls = pa.nulls(size, type)
        return nulls[0] if scalars else nulls
    missing = _missing(arguments)
    left, right = (_numpy(a, fill) for a, fill in zip(arguments, (0, 1)))
    if missing is not None:  # what stands in null places must not fail: divide it by 1
        right = np.where(missing, right.dtype.type(1), right)
    mode = "raise" if _is.is_integer(type) else "ignore"
    try:
        with np.errstate(all=mode):  # type: ignore[arg-type]
            result = operation(left, right)
    except FloatingPointError as error:
        zero = "divide by zero" in str(error)
        raise pa.ArrowInvalid("divide by zero" if zero else "overflow") from None
    if scalars:
        return pa.scalar(result.item(), type)
    return pa.array(result, type, mask=missing)


def _missing(arguments: list[Datum]) -> Any:
    """bool[n]: where an argument is null; None when none is."""
    nulls = [a.is_null() for a in arguments if isinstance(a, pa.Array) and a.null_count]
    if not nulls:
        return None
    either = nulls[0] if len(nulls) == 1 else pc.or_(*nulls)
    return either.to_numpy(zero_copy_only=False)


def _numpy(argument: Datum, fill: int) -> Any:
    if isinstance(argument, pa.Scalar):
        return argument.type.to_pandas_dtype()(argument.as_py())
    filled = argument.fill_null(fill) if argument.null_count else argument
    return filled.to_numpy()


def _power(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    refuse_booleans(nodes)
    floats = any(_is.is_floating(n.type) for n in nodes)
    return prepared(call("power" if floats else "power_checked"), nodes)


def _numbers_only(build: Build) -> Build:
    def checked(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
        for node in nodes:
            if not is_number(node.type) and not _is.is_duration(node.type):
                raise Unsuitable(
                    f"`{node.text}` is {node.type}, no number: `.cast(float)` or `.cast(int)`"
                )
        return build(nodes, parameters)

    return checked


def _of_floats(name: str) -> Function:
    return Function(_numbers_only(arrow(name)))


def _sign(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    kernel = call("sign")
    return kernel if _is.is_floating(nodes[0].type) else then(kernel, pa.int64())


def _negate(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    if _is.is_unsigned_integer(nodes[0].type):
        raise Unsuitable(f"`{nodes[0].text}` is unsigned: `.cast(int)` it first")
    return call("negate" if _is.is_floating(nodes[0].type) else "negate_checked")


NUMERIC: dict[str, Function] = {
    "add": Function(_arithmetic("add")),
    "sub": Function(_arithmetic("subtract")),
    "mul": Function(_arithmetic("multiply")),
    "truediv": Function(_true_division),
    "floordiv": Function(_floor_division("floordiv")),
    "mod": Function(_floor_division("mod")),
    "pow": Function(_power),
    "neg": Function(_numbers_only(_negate)),
    "math.abs": Function(_numbers_only(arrow("abs_checked"))),
    "math.sign": Function(_numbers_only(_sign)),
    "math.round": Function(
        _numbers_only(arrow("round", lambda digits: pc.RoundOptions(digits, "half_to_even")))
    ),
    **{f"math.{n}": _of_floats(n) for n in ("floor", "ceil", "trunc", "sqrt", "exp", "log2")},
    **{f"math.{n}": _of_floats(n) for n in ("log10", "sin", "cos", "tan", "is_nan")},
    "math.log": _of_floats("ln"),
}
