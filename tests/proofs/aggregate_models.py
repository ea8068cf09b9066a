"""Every aggregate in plain Python: over the rows of a window in their order of arrival.

As in SQL, nulls are skipped by all but `count()`, and an aggregate over nothing is null."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa

import flowjob as fj
from flowjob import aggregates as agg


@dataclass(frozen=True)
class Row:
    """One input row: its key's components, event time (µs), value, and place in the total order."""

    key: tuple[Any, ...]
    time: int
    value: Any
    number: int


class Fingerprint(fj.Aggregate[int, list[int], str]):
    """A user's aggregate: depends on every row, not on their order."""

    def create(self) -> list[int]:
        return []

    def add(self, acc: list[int], value: int) -> list[int]:
        acc.append(value)
        return acc

    def merge(self, a: list[int], b: list[int]) -> list[int]:
        return a + b

    def result(self, acc: list[int]) -> str:
        return " ".join(str(value) for value in sorted(acc))


Model = Callable[[Sequence[Row], pa.DataType], Any]


@dataclass(frozen=True)
class Modelled:
    """An aggregate and its meaning. `ordered`: the result depends on the order of rows."""

    declared: Callable[[], agg.Aggregation]
    model: Model
    ordered: bool = False
    numeric: bool = False


def over_values(function: Callable[[list[Any], pa.DataType], Any]) -> Model:
    """A model of an aggregate of `v` that skips nulls and is null over nothing."""

    def model(rows: Sequence[Row], type: pa.DataType) -> Any:
        values = [r.value for r in rows if r.value is not None]
        return function(values, type) if values else None

    return model


def by_value(choose: Callable[..., Row]) -> Model:
    """A model of `i` of the row with an extreme `v`; among equals the first row."""

    def model(rows: Sequence[Row], type: pa.DataType) -> Any:
        held = [r for r in rows if r.value is not None]
        return choose(held, key=lambda r: in_order(r.value)).number if held else None

    return model


def in_order(value: Any) -> Any:
    """NaN is greater than every number; strings compare by their UTF-8 bytes."""
    if isinstance(value, float) and math.isnan(value):
        return (1, 0.0)
    return (0, value.encode() if isinstance(value, str) else value)


def mean(values: list[Any], type: pa.DataType) -> Any:
    if pa.types.is_decimal(type):
        scale = fj.mean("v").result_type([type]).scale
        return (sum(values) / Decimal(len(values))).quantize(
            Decimal(1).scaleb(-scale), ROUND_HALF_UP
        )
    return sum(float(v) for v in values) / len(values)


MODELS: dict[str, Modelled] = {
    "n": Modelled(fj.count, lambda rows, _: len(rows)),
    "held": Modelled(lambda: fj.count("v"), lambda rows, _: sum(r.value is not None for r in rows)),
    "total": Modelled(
        lambda: fj.sum("v"), over_values(lambda vs, _: sum(vs[1:], vs[0])), numeric=True
    ),
    "mean": Modelled(lambda: fj.mean("v"), over_values(mean), numeric=True),
    "least": Modelled(lambda: fj.min("v"), over_values(lambda vs, _: min(vs, key=in_order))),
    "greatest": Modelled(lambda: fj.max("v"), over_values(lambda vs, _: max(vs, key=in_order))),
    "distinct": Modelled(
        lambda: fj.count_distinct("v"),
        lambda rows, _: len({in_order(r.value) for r in rows if r.value is not None}),
    ),
    "rows": Modelled(
        lambda: Fingerprint("i"),
        lambda rows, _: " ".join(str(n) for n in sorted(r.number for r in rows)),
    ),
    "first": Modelled(lambda: fj.first("v"), over_values(lambda vs, _: vs[0]), ordered=True),
    "last": Modelled(lambda: fj.last("v"), over_values(lambda vs, _: vs[-1]), ordered=True),
    "least_at": Modelled(lambda: fj.min_by("i", "v"), by_value(min), ordered=True),
    "greatest_at": Modelled(lambda: fj.max_by("i", "v"), by_value(max), ordered=True),
    "order": Modelled(
        lambda: fj.collect("i"), lambda rows, _: [r.number for r in rows], ordered=True
    ),
}


def same(a: Any, b: Any) -> bool:
    """Exact for integers, decimals, strings and times; floats to 1e-9 relative."""
    if isinstance(a, float) and isinstance(b, float):
        return (a != a and b != b) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return type(a) is type(b) and bool(a == b)
