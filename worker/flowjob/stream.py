"""Stream: typed rows that flow, and everything that can be said about one stream at a time.

Building is pure: each method adds a node to the job's graph and returns a new stream; nothing runs. Keys, windows and
connected streams have their own modules. It must not import the runtime at import time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, cast, overload

import pyarrow as pa

from flowjob.errors import PlanError, TypeMismatch
from flowjob.expressions import Expr, col
from flowjob.plan import arguments, building
from flowjob.plan.job_graph import Exchange, Partitioning
from flowjob.plan.logical import Input, LogicalNode
from flowjob.plan.specs import (
    AssignEventTimeSpec,
    FilterRowsSpec,
    FilterSpec,
    FlatMapSpec,
    MapBatchesSpec,
    MapSpec,
    ProcessSpec,
    ProjectSpec,
    UnionSpec,
)
from flowjob.plan.types import Mode
from flowjob.plan.where import caller
from flowjob.stream_base import StreamBase
from flowjob.watermarks import EventTime

if TYPE_CHECKING:
    # Only type checkers need the default: `fj.Stream` alone is a stream of rows of any type.
    from typing_extensions import TypeVar

    from flowjob.connected_streams import ConnectedStreams
    from flowjob.functions import Process, SideOutput
    from flowjob.keyed_stream import KeyedStream
    from flowjob.triggers import Trigger
    from flowjob.windowed_stream import WindowedStream
    from flowjob.windows import WindowAssigner

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

R = TypeVar("R")

BatchFunction = Callable[[pa.RecordBatch], Any]
"""Gives a RecordBatch, a Table, or a dict of columns."""


class Stream(StreamBase[T]):
    """Rows of type T that flow. Immutable; made by `job.read` and by methods of streams, which give new ones."""

    def _then(self, node: LogicalNode) -> Stream[Any]:
        """The stream of another operator's main output."""
        return Stream(self._builder, Input(node.id))

    # -- columns

    def select(self, *columns: str | Expr, **named: Any) -> Stream[Any]:
        """Only these columns and expressions, in this order: `select("a", total=col("a") * 2)`."""
        outputs = building.named_outputs(columns, named, "select")
        if not outputs:
            raise PlanError("select needs at least one column", where=caller())
        arguments.refuse_columns_as_text(named, self.type.columns)
        return self._project(outputs, "select")

    def with_columns(self, *columns: Expr, **named: Any) -> Stream[Any]:
        """All columns, with these added or replaced: `with_columns(total=col("a") * 2)`."""
        arguments.refuse_columns_as_text(named, self.type.columns)
        added = dict(building.named_outputs(columns, named, "with_columns"))
        kept = [(n, added.pop(n, col(n))) for n in self.schema.names]
        return self._project([*kept, *added.items()], "with_columns")

    def drop(self, *columns: str) -> Stream[Any]:
        """All columns but these."""
        for name in columns:
            building.check_column(self.type, name, "drop")
        kept: list[tuple[str, Expr]] = [(n, col(n)) for n in self.schema.names if n not in columns]
        if not kept:
            raise PlanError("drop would leave no column", where=caller())
        return self._project(kept, "drop")

    def rename(self, **names: str) -> Stream[Any]:
        """Columns under new names: `rename(old="new")`."""
        for old in names:
            building.check_column(self.type, old, "rename")
        renamed = [names.get(n, n) for n in self.schema.names]
        arguments.refuse_twice(renamed, "rename")
        outputs = [(new, col(n)) for new, n in zip(renamed, self.schema.names)]
        return self._project(outputs, "rename")

    def _project(self, outputs: list[tuple[str, Expr]], name: str) -> Stream[Any]:
        output = building.checked_type(self.type, outputs, name)
        spec = ProjectSpec(input=self.type, output=output, outputs=tuple(outputs))
        return self._then(self._builder.add(spec, (self._input,), name))

    @overload
    def map_batches(self, function: BatchFunction, *, returns: type[R]) -> Stream[R]: ...
    @overload
    def map_batches(self, function: BatchFunction, *, returns: Any) -> Stream[Any]: ...
    def map_batches(self, function: Any, *, returns: Any) -> Stream[Any]:
        """One pyarrow.RecordBatch in, one out, whose columns are those of `returns` (a Schema or pyarrow.Schema)."""
        building.require_columns(self.type, "map_batches")
        arguments.check_function(function, "map_batches")
        self._append_only("map_batches")
        output = building.row_type(returns)
        if output.schema is None:
            raise TypeMismatch(arguments.no_columns("map_batches", returns), where=caller())
        spec = MapBatchesSpec(input=self.type, output=output, function=function)
        name = building.operator_name("map_batches", function)
        return self._then(self._builder.add(spec, (self._input,), name))

    # -- rows

    @overload
    def filter(self, condition: Expr) -> Stream[T]: ...
    @overload
    def filter(self, condition: Callable[[T], bool]) -> Stream[T]: ...
    def filter(self, condition: Any) -> Stream[T]:
        """Rows for which an expression is true (null is not), or a function of the row returns a true value."""
        if isinstance(condition, Expr):
            schema = building.require_columns(self.type, "filter by an expression")
            bound = condition.bind(schema, where=caller())
            if not pa.types.is_boolean(bound.type):
                raise TypeMismatch(
                    f"filter needs a boolean, but `{condition}` is {bound.type}: compare it, as in "
                    f"`({condition}) > 0`, or write `.is_not_null()`",
                    where=caller(),
                )
            node = self._builder.add(
                FilterSpec(input=self.type, output=self.type, predicate=condition),
                (self._input,),
                "filter",
            )
        elif callable(condition):
            spec = FilterRowsSpec(input=self.type, output=self.type, function=condition)
            node = self._builder.add(
                spec, (self._input,), building.operator_name("filter", condition)
            )
        else:
            raise TypeMismatch(arguments.no_condition(condition), where=caller())
        return cast("Stream[T]", self._then(node))

    @overload
    def map(self, function: Callable[[T], Any], *, returns: type[R]) -> Stream[R]: ...
    @overload
    def map(self, function: Callable[[T], R], *, returns: None = None) -> Stream[R]: ...
    @overload
    def map(self, function: Callable[[T], Any], *, returns: Any) -> Stream[Any]: ...
    def map(self, function: Any, *, returns: Any = None) -> Stream[Any]:
        """One row out for each row in.

        The result has the columns of the Schema class that `returns` or the function's annotation names; without one
        it holds plain Python objects, which have no columns."""
        arguments.check_function(function, "map")
        declared = returns if returns is not None else building.return_annotation(function)
        spec = MapSpec(input=self.type, output=building.row_type(declared), function=function)
        name = building.operator_name("map", function)
        return self._then(self._builder.add(spec, (self._input,), name))

    @overload
    def flat_map(
        self, function: Callable[[T], Iterable[Any]], *, returns: type[R]
    ) -> Stream[R]: ...
    @overload
    def flat_map(
        self, function: Callable[[T], Iterable[R]], *, returns: None = None
    ) -> Stream[R]: ...
    @overload
    def flat_map(self, function: Callable[[T], Iterable[Any]], *, returns: Any) -> Stream[Any]: ...
    def flat_map(self, function: Any, *, returns: Any = None) -> Stream[Any]:
        """Any number of rows out for each row in: the function returns an iterable of rows, or is a generator.

        `returns`, or the annotation `-> Iterable[Row]`, is the type of one of them."""
        arguments.check_function(function, "flat_map")
        self._append_only("flat_map")
        declared = returns
        if declared is None:
            annotation = building.return_annotation(function)
            if building.row_type(annotation).schema is not None:
                raise TypeMismatch(arguments.one_row(annotation.__name__), where=caller())
            declared = building.element_type(annotation)
        spec = FlatMapSpec(input=self.type, output=building.row_type(declared), function=function)
        name = building.operator_name("flat_map", function)
        return self._then(self._builder.add(spec, (self._input,), name))

    def process(self, function: Process[T, R], *, returns: type[R] | Any = None) -> Stream[R]:
        """Runs a `Process` function: any number of rows out for each row in, and side outputs. No key, so no state."""
        from flowjob import functions

        self._append_only("process")
        functions.check_kind(function, functions.Process, where=caller())
        spec = ProcessSpec(
            input=self.type,
            output=building.row_type(functions.output_type(function, returns)),
            function=function,
            side_types=functions.side_types(function),
        )
        name = building.operator_name("process", function)
        node = self._builder.add(spec, (self._input,), name, sides=dict(spec.side_types))
        return self._then(node)

    @overload
    def side(self, output: SideOutput[R]) -> Stream[R]: ...
    @overload
    def side(self, output: str) -> Stream[Any]: ...
    def side(self, output: Any) -> Stream[Any]:
        """A side output of the operator this stream comes from, by its declaration or name."""
        tag = output if isinstance(output, str) else output.name
        if tag not in self._node.sides:
            known = ", ".join(f"`{t}`" for t in self._node.sides) or "(none)"
            raise PlanError(
                f"`{self._node.name}` has no side output `{tag}`. Its side outputs: {known}"
                f"{arguments.SIDE_ADVICE.get(tag, '')}",
                where=caller(),
            )
        return Stream(self._builder, Input(self._input.node, tag))

    @property
    def late(self) -> Stream[Any]:
        """Rows that came when all their windows were gone, with their columns unchanged."""
        return self.side("late")

    @property
    def bad_rows(self) -> Stream[Any]:
        """What a source read with on_bad_row="divert" could not read: location, reason, text."""
        return self.side("bad_rows")

    # -- keys, windows, other streams

    def key_by(
        self, *keys: str | Expr | Callable[[T], Any], returns: Any = None, **named: str | Expr
    ) -> KeyedStream[T]:
        """Rows with equal keys meet in one place: by columns, expressions, or one function of the row, whose type is
        its annotation or `returns`."""
        from flowjob.keyed_stream import key_stream

        return key_stream(self, keys, named, returns)

    def window(
        self,
        assigner: WindowAssigner,
        *,
        trigger: Trigger | None = None,
        allowed_lateness: timedelta = timedelta(0),
    ) -> WindowedStream[T]:
        """Windows over the whole stream; they run at parallelism 1 (key_by first for parallel windows)."""
        from flowjob.windowed_stream import open_window

        return open_window(self, (), assigner, trigger, allowed_lateness)

    def union(self, *others: Stream[T]) -> Stream[T]:
        """The rows of all these streams, in any order; they must have the same columns."""
        for other in others:
            if not isinstance(other, Stream):
                raise TypeMismatch(arguments.no_stream(other, "union"), where=caller())
            if other.type.schema != self.type.schema:
                raise TypeMismatch(
                    f"union needs streams of one type, but {self!r} and {other!r} differ",
                    where=caller(),
                )
        streams = (self, *others)
        if any(s._builder is not self._builder for s in streams):
            raise PlanError("union of streams of different jobs", where=caller())
        node = self._builder.add(
            UnionSpec(input=self.type, output=self.type),
            tuple(s._input for s in streams),
            "union",
            mode=building.mode_of_all([s._node.mode for s in streams]),
            event_time=all(s._timed for s in streams),
        )
        return cast("Stream[T]", self._then(node))

    def connect(self, other: Stream[Any] | KeyedStream[Any]) -> ConnectedStreams:
        """Brings two streams into one function, given to `.process(…)`. Without keys, usually `other.broadcast()`."""
        from flowjob.connected_streams import ConnectedStreams

        return ConnectedStreams(self, (), other)

    # -- partitioning

    def _partitioned(self, partitioning: Partitioning) -> Stream[T]:
        return Stream(self._builder, replace(self._input, partitioning=partitioning))

    def rebalance(self) -> Stream[T]:
        """Deals rows evenly to all subtasks of what follows."""
        return self._partitioned(Partitioning(Exchange.REBALANCE))

    def rescale(self) -> Stream[T]:
        """Deals rows evenly within a local group of subtasks: fewer connections than rebalance."""
        return self._partitioned(Partitioning(Exchange.RESCALE))

    def broadcast(self) -> Stream[T]:
        """Every row to every subtask of what follows."""
        return self._partitioned(Partitioning(Exchange.BROADCAST))

    def global_(self) -> Stream[T]:
        """Every row to the first subtask of what follows."""
        return self._partitioned(Partitioning(Exchange.GLOBAL))

    def partition_by(
        self, function: Callable[[Any, int], int], column: str | None = None
    ) -> Stream[T]:
        """Each row to subtask `function(value, number of subtasks)`; the value is `column`'s, or the whole row."""
        arguments.check_function(function, "partition_by")
        if column is not None:
            building.check_column(self.type, column, "partition_by")
        return self._partitioned(Partitioning(Exchange.CUSTOM, function=function, column=column))

    # -- properties of the operator

    def named(self, name: str) -> Stream[T]:
        """Names the operator that gives this stream: in plans, metrics and errors, and as the identity of its state."""
        building.check_operator_name(name)
        self._builder.update(self._input.node, name=name, pinned=True)
        return self

    def parallelism(self, n: int) -> Stream[T]:
        """Gives the operator that this stream comes from `n` subtasks, instead of the job's parallelism."""
        arguments.check_parallelism(n)
        self._builder.update(self._input.node, parallelism=n)
        return self

    def changelog(self) -> Stream[T]:
        """Makes the running `agg` or `reduce` before it give updates (-U: the old row, +U: the new one)."""
        spec = self._node.spec
        if not hasattr(spec, "changelog"):
            raise PlanError(
                f"changelog() goes right after a running agg() or reduce(), not after `{self._node.name}`",
                where=caller(),
            )
        building.check_unread(self._builder, self._node, "changelog()")
        self._builder.update(
            self._input.node, spec=replace(cast("Any", spec), changelog=True), mode=Mode.RETRACT
        )
        return self

    def with_event_time(
        self,
        column: str,
        *,
        max_delay: timedelta = timedelta(0),
        idle_after: timedelta | None = timedelta(seconds=30),
    ) -> Stream[T]:
        """Takes event time from `column` from here on. The other arguments are those of sources: see EventTime."""
        field = building.check_column(self.type, column, "with_event_time")
        building.check_time_type(field, caller())
        arguments.check_duration(max_delay, "max_delay")
        time = EventTime(column, max_delay, idle_after)
        spec = AssignEventTimeSpec(input=self.type, output=self.type, event_time=time)
        node = self._builder.add(spec, (self._input,), f"event_time({column})", event_time=True)
        return cast("Stream[T]", self._then(node))

    # -- what needs a key

    def agg(self, **aggregates: Any) -> NoReturn:
        """Refused: aggregates work per key or per window."""
        raise self._needs_key("agg")

    def reduce(self, function: Callable[..., Any]) -> NoReturn:
        """Refused: reduce works per key."""
        raise self._needs_key("reduce")

    def _needs_key(self, what: str) -> PlanError:
        columns = self.type.columns
        example = f'key_by("{columns[0]}")' if columns else "key_by(function)"
        advice = (
            f"write `.{example}.{what}(…)`, or `.window(…)` first for windows over the whole stream"
        )
        return PlanError(f"{what}() works per key or per window: {advice}", where=caller())

    if not TYPE_CHECKING:  # type checkers must still see that it is not there

        def __getattr__(self, name: str) -> NoReturn:
            columns = () if name.startswith("_") else self.type.columns
            advice = arguments.METHOD_ADVICE.get(name)
            if name in columns:
                advice = f'A column is written `fj.col("{name}")`'
            raise arguments.no_such_method(self, name, advice)

    # -- looking at it

    def preview(self, limit: int = 20, *, parallelism: int = 1) -> Any:
        """The first `limit` rows as a table: runs the part of the job that this stream needs, on this machine."""
        from flowjob.preview import preview

        return preview(self, limit, parallelism=parallelism)
