"""Functions of datetimes, dates and durations, and casts.

Parts of a datetime are those of its column's zone; a column without one is UTC."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flowjob.column_types import timezone
from flowjob.errors import SchemaError
from flowjob.expressions.compiled import (
    Build,
    Datum,
    Function,
    Kernel,
    Node,
    Unsuitable,
    call,
    is_text,
    then,
)

_is = pa.types
_MICROSECOND = timedelta(microseconds=1)
_UNITS = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
    ("millisecond", 1_000),
    ("microsecond", 1),
)
_NAMED_UNITS = ("year", "quarter", "month", "week", *(name for name, _ in _UNITS))


def _of_instants(build: Build) -> Build:
    def checked(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
        type = nodes[0].type
        if not (_is.is_timestamp(type) or _is.is_date(type)):
            raise Unsuitable(f"`{nodes[0].text}` is {type}, no datetime or date: `.cast(datetime)`")
        return build(nodes, parameters)

    return checked


def _local(kernel: Kernel, node: Node) -> Kernel:
    """The kernel over wall-clock times."""
    if not (_is.is_timestamp(node.type) and node.type.tz):
        return kernel
    local = call("local_timestamp")
    return lambda arguments: kernel([local(arguments)])


def _date(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    # Casting fails for times of day; flooring first does not.
    floor = call("floor_temporal", pc.RoundTemporalOptions(1, "day"))
    return _local(then(floor, pa.date32()), nodes[0])


def _time(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    if _is.is_date(nodes[0].type):
        raise Unsuitable(f"`{nodes[0].text}` is a date, which has no time of day")
    time_us = pa.time64("us")
    cast = call("cast", pc.CastOptions(time_us, allow_time_truncate=True))
    return _local(cast, nodes[0])


def _part(name: str) -> Build:
    return lambda nodes, _: _local(then(call(name), pa.int64()), nodes[0])


def _microsecond(_: list[Node], __: tuple[Any, ...]) -> Kernel:
    millis, micros = call("millisecond"), call("microsecond")
    add, multiply = call("add"), call("multiply")
    thousand = pa.scalar(1000)
    return lambda a: add([multiply([millis(a), thousand]), micros(a)])


def _truncate(_: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    (to,) = parameters
    if isinstance(to, str):
        if to not in _NAMED_UNITS:
            raise Unsuitable(f"no unit {to!r}: use a timedelta or one of {', '.join(_NAMED_UNITS)}")
        return call("floor_temporal", pc.RoundTemporalOptions(1, to))
    micros = to // _MICROSECOND
    if micros <= 0:
        raise Unsuitable(f"a duration to round to must be positive, got {to}")
    unit, size = next((u, s) for u, s in _UNITS if micros % s == 0)
    return call("floor_temporal", pc.RoundTemporalOptions(micros // size, unit))


def _strftime(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    text = call("strftime", pc.StrftimeOptions(parameters[0]))
    if _is.is_date(nodes[0].type):
        return text
    # %S would show the fraction of a finer unit.
    zoned = call("cast", pc.CastOptions.safe(pa.timestamp("s", tz=nodes[0].type.tz)))
    whole = _floored(nodes[0].type, "second")
    return lambda arguments: text([zoned([whole(arguments)])])


def _floored(type: pa.DataType, unit: str) -> Kernel:
    """To whole seconds or microseconds, which are the same in all zones: Arrow would refuse the hour that a zone has
    twice, when clocks go back."""
    floor = call("floor_temporal", pc.RoundTemporalOptions(1, unit))
    if type.tz is None:
        return floor
    instants = call("cast", pc.CastOptions.safe(pa.timestamp(type.unit, tz="UTC")))
    return lambda arguments: floor([instants(arguments)])


def _to_zone(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    if not _is.is_timestamp(nodes[0].type):
        raise Unsuitable(f"`{nodes[0].text}` is {nodes[0].type}, which has no time zone")
    try:
        timezone(parameters[0])
    except SchemaError as error:
        raise Unsuitable(str(error)) from None
    return call("cast", pc.CastOptions.safe(pa.timestamp(nodes[0].type.unit, tz=parameters[0])))


def _epoch(unit: str) -> Build:
    floored = "second" if unit == "s" else "microsecond"

    def build(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
        zone = getattr(nodes[0].type, "tz", None)
        stamp = call("cast", pc.CastOptions.safe(pa.timestamp("us", tz=zone)))
        floor = _floored(pa.timestamp("us", tz=zone), floored)
        whole = then(lambda a: floor([stamp(a)]), pa.timestamp(unit, tz=zone))
        return then(whole, pa.int64())

    return build


def _total_seconds(nodes: list[Node], _: tuple[Any, ...]) -> Kernel:
    if not _is.is_duration(nodes[0].type):
        raise Unsuitable(f"`{nodes[0].text}` is {nodes[0].type}, no timedelta")
    micros = then(
        then(call("cast", pc.CastOptions.safe(pa.duration("us"))), pa.int64()), pa.float64()
    )
    million = pa.scalar(1e6)
    divide = call("divide")
    return lambda arguments: divide([micros(arguments), million])


def _cast(nodes: list[Node], parameters: tuple[Any, ...]) -> Kernel:
    (target,) = parameters
    source = nodes[0].type
    if is_text(source) and _is.is_timestamp(target):
        return _parse(target)
    if _is.is_timestamp(source) and _is.is_date(target):
        return _date(nodes, ())
    if _is.is_timestamp(source) and _is.is_time(target):
        return _time(nodes, ())
    return call("cast", pc.CastOptions.safe(target))


def _parse(target: pa.DataType) -> Kernel:
    """ISO 8601, all values with an offset or all without (UTC)."""
    naive = call("cast", pc.CastOptions.safe(pa.timestamp(target.unit)))
    aware = call("cast", pc.CastOptions.safe(target))

    def kernel(arguments: list[Datum]) -> Datum:
        try:
            return aware([naive(arguments)])
        except pa.ArrowInvalid as error:
            if "expected no zone offset" not in str(error):
                raise
            return aware(arguments)

    return kernel


TEMPORAL: dict[str, Function] = {
    "cast": Function(_cast),
    "dt.date": Function(_of_instants(_date)),
    "dt.time": Function(_of_instants(_time)),
    **{
        f"dt.{name}": Function(_of_instants(_part(name)))
        for name in ("year", "quarter", "month", "day", "day_of_year", "day_of_week")
    },
    **{f"dt.{name}": Function(_of_instants(_part(name))) for name in ("hour", "minute", "second")},
    "dt.week": Function(_of_instants(_part("iso_week"))),
    "dt.microsecond": Function(_of_instants(_microsecond)),
    "dt.truncate": Function(_of_instants(_truncate)),
    "dt.strftime": Function(_of_instants(_strftime)),
    "dt.to_zone": Function(_of_instants(_to_zone)),
    "dt.epoch_seconds": Function(_of_instants(_epoch("s"))),
    "dt.epoch_micros": Function(_of_instants(_epoch("us"))),
    "dt.total_seconds": Function(_total_seconds),
}
