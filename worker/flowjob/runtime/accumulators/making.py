"""Which accumulator computes which aggregate over which types. The only place that knows both
sides."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from flowjob import aggregates as declared
from flowjob.plan.specs import AggregateCall
from flowjob.runtime.accumulators import collecting, decimals, numeric, pointing
from flowjob.runtime.accumulators.base import Accumulator
from flowjob.runtime.accumulators.user_defined import UserDefined


def make_accumulator(
    aggregate: declared.Aggregation, input_types: Sequence[pa.DataType]
) -> Accumulator:
    """An empty accumulator; raises TypeMismatch for inputs the aggregate cannot take."""
    result = aggregate.result_type(input_types)
    inputs = [declared.plain(type) for type in input_types]
    match aggregate:
        case declared.Count():
            return numeric.Counting()
        case declared.Sum() | declared.Mean():
            return _summing(aggregate, inputs[0], result)
        case declared.Min() | declared.Max():
            return _extreme(isinstance(aggregate, declared.Max), inputs[0])
        case declared.Last():
            return pointing.Last(inputs[0])
        case declared.First():
            return pointing.First(inputs[0])
        case declared.MinBy() | declared.MaxBy():
            return pointing.ExtremeBy(inputs, greatest=isinstance(aggregate, declared.MaxBy))
        case declared.CountDistinct():
            return collecting.CountDistinct(inputs[0])
        case declared.Collect():
            return collecting.Collect(inputs[0])
        case declared.Aggregate():
            return UserDefined(aggregate, result)
    raise TypeError(f"{aggregate!r} is no aggregate: derive it from fj.Aggregate")


def make_accumulators(calls: Sequence[AggregateCall], schema: pa.Schema) -> list[Accumulator]:
    """One accumulator per call; `schema` has the columns that the calls read."""
    return [
        make_accumulator(call.aggregate, [schema.field(name).type for name in call.inputs])
        for call in calls
    ]


def _summing(
    aggregate: declared.Aggregation, given: pa.DataType, result: pa.DataType
) -> Accumulator:
    is_mean = isinstance(aggregate, declared.Mean)
    if pa.types.is_decimal(given):
        return (decimals.DecimalMean if is_mean else decimals.DecimalSum)(result, given.scale)
    if pa.types.is_duration(given):
        return (numeric.DurationMean if is_mean else numeric.IntegerSum)(result)
    if is_mean:
        return numeric.FloatMean(result)
    return (numeric.IntegerSum if pa.types.is_integer(given) else numeric.FloatSum)(result)


def _extreme(greatest: bool, given: pa.DataType) -> Accumulator:
    if declared.fixed_order(given):
        return (numeric.FixedMax if greatest else numeric.FixedMin)(given)
    return pointing.ValueExtreme(given, greatest=greatest)
