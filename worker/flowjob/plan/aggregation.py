"""Resolves the aggregates of an agg(): their inputs to columns, their results to types.

An expression inside an aggregate is evaluated at the sender into a hidden column, before the exchange, so that the
receiver sees columns only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flowjob.errors import PlanError, TypeMismatch
from flowjob.plan import building
from flowjob.plan.specs import AggregateCall
from flowjob.plan.types import HIDDEN_PREFIX, KeyField, StreamType
from flowjob.plan.where import caller

if TYPE_CHECKING:
    from flowjob.expressions import Expr
    from flowjob.plan.building import GraphBuilder
    from flowjob.plan.logical import Input


def aggregate_inputs(
    builder: GraphBuilder, source: Input, aggregates: Mapping[str, Any]
) -> tuple[Input, tuple[AggregateCall, ...]]:
    """The output `source` with every aggregate's inputs as columns, and the calls that read them."""
    from flowjob.aggregates import Aggregation

    type = building.visible(builder.graph[source.node].type_of(source.tag))
    if not aggregates:
        raise PlanError('agg() needs at least one aggregate: `total=fj.sum("x")`', where=caller())
    schema = building.require_columns(type, "agg()")
    hidden: list[tuple[str, Expr]] = []
    calls = []
    for name, aggregate in aggregates.items():
        if name.startswith(HIDDEN_PREFIX):
            raise PlanError(f"column names must not begin with `__`: `{name}`", where=caller())
        if not isinstance(aggregate, Aggregation):
            if callable(aggregate):
                called = getattr(aggregate, "__name__", repr(aggregate))
                advice = f"the function `{called}`: call it, as in `{name}=fj.{called}(…)`"
            else:
                advice = f'{aggregate!r}, which is no aggregate: use fj.count(), fj.sum("x"), … or an instance '
                advice += "of your own fj.Aggregate class"
            raise TypeMismatch(f"`{name}` is {advice}", where=caller())
        columns = []
        for given in aggregate.inputs:
            if isinstance(given, str):
                building.check_column(type, given, f"`{name}`")
                columns.append(given)
            else:
                given.bind(schema, where=caller())
                plain = given.column_name
                if plain is None:
                    plain = f"__in{len(hidden)}"
                    hidden.append((plain, given))
                columns.append(plain)
        calls.append(AggregateCall(name, aggregate, tuple(columns)))
    if hidden:
        source = building.add_hidden(builder, source, hidden, "aggregate inputs")
    return source, tuple(calls)


def refuse_unnamed(aggregates: tuple[Any, ...]) -> None:
    """PlanError for aggregates given without a name."""
    if aggregates:
        raise PlanError(
            f"agg() needs a column name for each aggregate: `agg(name={aggregates[0]!r})`",
            where=caller(),
        )


def aggregate_type(
    type: StreamType,
    keys: tuple[KeyField, ...],
    calls: tuple[AggregateCall, ...],
    window: tuple[pa.Field, ...],
) -> StreamType:
    """Key names, the window's bounds, then one column per aggregate; refuses a name that stands twice."""
    assert type.schema is not None
    fields = [key_field(type, key) for key in keys]
    fields += window
    for call in calls:
        inputs = [type.schema.field(c).type for c in call.inputs]
        try:
            result = call.aggregate.result_type(inputs)
        except TypeMismatch as error:
            raise TypeMismatch(f"`{call.name}`: {error.message}", where=caller()) from None
        fields.append(pa.field(call.name, result))
    check_unique([f.name for f in fields])
    return StreamType(pa.schema(fields))


def key_field(type: StreamType, key: KeyField) -> pa.Field:
    """How a key component appears in a result."""
    nullable = True
    if type.schema is not None and key.column in type.schema.names:
        nullable = type.schema.field(key.column).nullable
    return pa.field(key.name, key.type, nullable=nullable)


def check_unique(names: list[str]) -> None:
    """PlanError naming the first name that stands twice."""
    for name in names:
        if names.count(name) > 1:
            raise PlanError(
                f"the result would have two columns `{name}`; give the aggregate or the key another name",
                where=caller(),
            )
