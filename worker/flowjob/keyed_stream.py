"""KeyedStream: a stream whose rows with equal keys meet, and what can be done per key.

Keys are evaluated once, at the sender, into columns (hidden ones for expressions and functions), and results name
them as the user did."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn

import pyarrow as pa

from flowjob.errors import PlanError, TypeMismatch
from flowjob.expressions import Expr, col
from flowjob.plan import arguments, building
from flowjob.plan.aggregation import aggregate_inputs, aggregate_type, refuse_unnamed
from flowjob.plan.job_graph import Exchange, Partitioning
from flowjob.plan.logical import Input
from flowjob.plan.specs import (
    KeyByFunctionSpec,
    KeyedProcessSpec,
    ReduceSpec,
    RunningAggregateSpec,
)
from flowjob.plan.types import KeyField, StreamType
from flowjob.plan.where import caller
from flowjob.stream import Stream

if TYPE_CHECKING:
    # Only type checkers need the default, as for Stream.
    from typing_extensions import TypeVar

    from flowjob.connected_streams import ConnectedStreams
    from flowjob.functions import KeyedProcess
    from flowjob.triggers import Trigger
    from flowjob.windowed_stream import WindowedStream
    from flowjob.windows import WindowAssigner

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

R = TypeVar("R")


class KeyedStream(Generic[T]):
    """Made by `stream.key_by`. `fields` say where each component of the key travels and what it is called."""

    def __init__(self, stream: Stream[T], fields: tuple[KeyField, ...]) -> None:
        self._stream = stream
        self.fields = fields

    @property
    def type(self) -> StreamType:
        """The visible type of the rows."""
        return self._stream.type

    def __repr__(self) -> str:
        keys = ", ".join(f"{f.name}: {f.type}" for f in self.fields)
        return f"<KeyedStream by {keys} of {self._stream!r}>"

    def window(
        self,
        assigner: WindowAssigner,
        *,
        trigger: Trigger | None = None,
        allowed_lateness: timedelta = timedelta(0),
    ) -> WindowedStream[T]:
        """Windows per key."""
        from flowjob.windowed_stream import open_window

        return open_window(self._stream, self.fields, assigner, trigger, allowed_lateness)

    def agg(self, *unnamed: NoReturn, **aggregates: Any) -> Stream[Any]:
        """Running aggregates per key: `agg(n=fj.count())`. One row out for each row in, with the values as of that row;
        `.changelog()` after it gives updates instead."""
        refuse_unnamed(unnamed)
        self._stream._append_only("a running aggregate")
        source, calls = aggregate_inputs(self._stream._builder, self._stream._input, aggregates)
        stream = Stream[Any](self._stream._builder, source)
        output = aggregate_type(stream._node.type_of(stream._input.tag), self.fields, calls, ())
        spec = RunningAggregateSpec(
            input=stream._node.type_of(stream._input.tag),
            output=output,
            keys=self.fields,
            calls=calls,
        )
        return self._keyed(stream, spec, "aggregate")

    def reduce(self, function: Callable[[T, T], T]) -> Stream[T]:
        """Combines the rows of each key: `function(row so far, row)` returns the new row so far.

        One row out for each row in, the first one as it is; `.changelog()` after it gives updates instead."""
        arguments.check_function(function, "reduce")
        self._stream._append_only("reduce")
        spec = ReduceSpec(
            input=self._full_type, output=self.type, keys=self.fields, function=function
        )
        return self._keyed(self._stream, spec, building.operator_name("reduce", function))

    def process(
        self, function: KeyedProcess[T, R], *, returns: builtins.type[R] | Any = None
    ) -> Stream[R]:
        """Runs a `KeyedProcess` function: state and timers per key, any number of rows out for each row in."""
        from flowjob import functions

        self._stream._append_only("process")
        functions.check_kind(function, functions.KeyedProcess, where=caller())
        sides = functions.side_types(function)
        spec = KeyedProcessSpec(
            input=self._full_type,
            output=building.row_type(functions.output_type(function, returns)),
            keys=self.fields,
            function=function,
            side_types=sides,
        )
        name = building.operator_name("process", function)
        return self._keyed(self._stream, spec, name, sides=dict(sides))

    def connect(self, other: Stream[Any] | KeyedStream[Any]) -> ConnectedStreams:
        """Brings two streams into one function, given to `.process(…)`: one keyed by the same types, to share state
        per key with it, or `rules.broadcast()`."""
        from flowjob.connected_streams import ConnectedStreams

        return ConnectedStreams(self._stream, self.fields, other)

    if not TYPE_CHECKING:  # type checkers must still see that it is not there

        def __getattr__(self, name: str) -> NoReturn:
            advice = None
            if not name.startswith("_") and hasattr(Stream, name):
                advice = f"Say it before the key: `stream.{name}(…).key_by(…)`. After key_by come agg, reduce, window, "
                advice += "process and connect"
            raise arguments.no_such_method(self, name, advice)

    @property
    def _full_type(self) -> StreamType:
        return self._stream._node.type_of(self._stream._input.tag)

    def _keyed(
        self,
        stream: Stream[Any],
        spec: Any,
        name: str,
        *,
        sides: Mapping[str, StreamType] | None = None,
    ) -> Stream[Any]:
        builder = stream._builder
        source = hashed(stream, self.fields)
        node = builder.add(spec, (source,), name, sides=sides or {})
        return Stream(builder, Input(node.id))


def hashed(stream: Stream[Any], fields: tuple[KeyField, ...]) -> Input:
    """The stream's output, partitioned by its key."""
    return Input(stream._input.node, stream._input.tag, Partitioning(Exchange.HASH, keys=fields))


def key_stream(
    stream: Stream[T], keys: tuple[Any, ...], named: Mapping[str, Any], returns: Any
) -> KeyedStream[T]:
    """`stream.key_by`: by one function of the row, or by columns and expressions."""
    if not keys and not named:
        raise PlanError("key_by needs at least one column, expression or function", where=caller())
    # The key decides how rows are spread, whatever was said before.
    stream = Stream(stream._builder, replace(stream._input, partitioning=None))
    functions = [k for k in keys if callable(k) and not isinstance(k, Expr)]
    if functions:
        if len(keys) > 1 or named:
            raise PlanError(
                "key_by takes one function, or columns and expressions, not both", where=caller()
            )
        return _key_by_function(stream, functions[0], returns)
    return _key_by_columns(stream, keys, named)


def _key_by_columns(
    stream: Stream[T], keys: tuple[Any, ...], named: Mapping[str, Any]
) -> KeyedStream[T]:
    type = stream.type
    schema = building.require_columns(type, "key_by a column")
    given = {n: col(e) if isinstance(e, str) else e for n, e in named.items()}
    outputs = building.named_outputs(keys, given, "key_by")
    fields: list[KeyField] = []
    hidden: list[tuple[str, Expr]] = []
    for name, expression in outputs:
        key = expression.bind(schema, where=caller())
        plain = expression.column_name
        if plain is not None and plain == name:
            fields.append(KeyField(plain, name, key.type))
        else:
            fields.append(KeyField(f"__key{len(hidden)}", name, key.type))
            hidden.append((fields[-1].column, expression))
        _check_key_type(name, key.type)
    if hidden:
        stream = Stream(
            stream._builder, building.add_hidden(stream._builder, stream._input, hidden, "key")
        )
    return KeyedStream(stream, tuple(fields))


def _key_by_function(
    stream: Stream[T], function: Callable[[T], Any], returns: Any
) -> KeyedStream[T]:
    from flowjob.schema import arrow_type

    declared = returns if returns is not None else building.return_annotation(function)
    if declared is None:
        raise TypeMismatch(
            "a key function needs a declared type: annotate its return (`-> str`), or write "
            "`key_by(function, returns=str)`",
            where=caller(),
        )
    fields = (KeyField("__key0", "key", arrow_type(declared)),)
    _check_key_type("key", fields[0].type)
    type = stream.type
    base = type.schema if type.schema is not None else pa.schema([])
    if type.schema is None:
        from flowjob.plan.types import OBJECT_WIRE_SCHEMA

        base = OBJECT_WIRE_SCHEMA
    output = StreamType(base.append(pa.field("__key0", fields[0].type)), type.row_class)
    spec = KeyByFunctionSpec(input=type, output=output, function=function, keys=fields)
    name = building.operator_name("key", function)
    node = stream._builder.add(spec, (stream._input,), name, follows=True)
    return KeyedStream(Stream(stream._builder, Input(node.id)), fields)


def _check_key_type(name: str, type: pa.DataType) -> None:
    if pa.types.is_map(type) or pa.types.is_null(type):
        raise TypeMismatch(
            f"`{name}` is {type}, which has no canonical encoding and cannot be a key; use a column or an "
            "expression of another type",
            where=caller(),
        )
