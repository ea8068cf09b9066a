"""WindowedStream: rows in windows, per key or all together, and what can be computed of each window.

It checks and describes; which operator carries a window out is decided by the runtime from the spec alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn, overload

from flowjob.errors import MissingEventTime, PlanError, TypeMismatch
from flowjob.plan import arguments, building
from flowjob.plan.aggregation import aggregate_inputs, aggregate_type, refuse_unnamed
from flowjob.plan.job_graph import Exchange, Partitioning
from flowjob.plan.logical import Input
from flowjob.plan.specs import WindowAggregateSpec, WindowApplySpec
from flowjob.plan.types import KeyField
from flowjob.plan.where import caller
from flowjob.stream import Stream
from flowjob.windows import Global, TimeDomain, Window, WindowAssigner, window_fields

if TYPE_CHECKING:
    # Only type checkers need the default, as for Stream.
    from typing_extensions import TypeVar

    from flowjob.triggers import Trigger

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

R = TypeVar("R")


class WindowedStream(Generic[T]):
    """Made by `.window(…)`; gives results by `agg` or `apply`."""

    def __init__(
        self,
        stream: Stream[T],
        keys: tuple[KeyField, ...],
        assigner: WindowAssigner,
        trigger: Trigger | None,
        allowed_lateness: timedelta,
    ) -> None:
        self._stream = stream
        self._keys = keys
        self._assigner = assigner
        self._trigger = trigger
        self._lateness = allowed_lateness

    def agg(self, *unnamed: NoReturn, **aggregates: Any) -> Stream[Any]:
        """One row per window: the key's columns, window_start, window_end, then the named aggregates."""
        refuse_unnamed(unnamed)
        source, calls = aggregate_inputs(self._stream._builder, self._stream._input, aggregates)
        stream = Stream[Any](self._stream._builder, source)
        self._check_mergeable(aggregates)
        full = stream._node.type_of(stream._input.tag)
        bounds = tuple(window_fields())
        spec = WindowAggregateSpec(
            input=full,
            output=aggregate_type(full, self._keys, calls, bounds),
            keys=self._keys,
            assigner=self._assigner,
            trigger=self._trigger,
            allowed_lateness=self._lateness,
            calls=calls,
        )
        return self._add(stream, spec, f"window({self._assigner})")

    def _check_mergeable(self, aggregates: Mapping[str, Any]) -> None:
        for name, aggregate in aggregates.items():
            if self._assigner.merging and not aggregate.mergeable:
                raise PlanError(
                    f"`{name}`: {aggregate} has no merge, which {self._assigner} needs: two sessions become one when a "
                    "row falls between them. Define `merge(self, a, b)`",
                    where=caller(),
                )

    @overload
    def apply(
        self,
        function: Callable[[Window, list[T]], R | Iterable[R] | None],
        *,
        returns: type[R],
    ) -> Stream[R]: ...
    @overload
    def apply(
        self, function: Callable[[Window, list[T]], Any], *, returns: Any = None
    ) -> Stream[Any]: ...
    def apply(self, function: Any, *, returns: Any = None) -> Stream[Any]:
        """Calls `function(window, rows)` once per window, with all its rows in order of arrival.

        It returns a row, an iterable of rows, or None for nothing. `returns`, or its annotation, types one row."""
        arguments.check_function(function, "apply")
        declared = returns
        if declared is None:
            annotation = building.return_annotation(function)
            declared = building.element_type(annotation) or annotation
        spec = WindowApplySpec(
            input=self._stream._node.type_of(self._stream._input.tag),
            output=building.row_type(declared),
            keys=self._keys,
            assigner=self._assigner,
            trigger=self._trigger,
            allowed_lateness=self._lateness,
            function=function,
        )
        return self._add(self._stream, spec, f"window({self._assigner})")

    if not TYPE_CHECKING:  # type checkers must still see that it is not there

        def __getattr__(self, name: str) -> NoReturn:
            advice = None
            if not name.startswith("_") and (hasattr(Stream, name) or name in _AGGREGATES):
                advice = "A window gives results by `.agg(name=fj.count(), …)` or `.apply(function)`; the rest comes "
                advice += "before `.window(…)` or after these"
            raise arguments.no_such_method(self, name, advice)

    def _add(self, stream: Stream[Any], spec: Any, name: str) -> Stream[Any]:
        if self._keys:
            partitioning = Partitioning(Exchange.HASH, keys=self._keys)
        else:
            partitioning = Partitioning(Exchange.GLOBAL)
        node = stream._builder.add(
            spec,
            (replace(stream._input, partitioning=partitioning),),
            name,
            sides={"late": stream.type},
            parallelism=None if self._keys else 1,
            event_time=self._assigner.bounded or stream._timed,
        )
        return Stream(stream._builder, Input(node.id))


def open_window(
    stream: Stream[T],
    keys: tuple[KeyField, ...],
    assigner: WindowAssigner,
    trigger: Trigger | None,
    allowed_lateness: timedelta,
) -> WindowedStream[T]:
    """Checks what a window needs of its stream."""
    stream._append_only("a window")
    _check_declarations(assigner, trigger)
    arguments.check_duration(allowed_lateness, "allowed_lateness")
    needs_time = assigner.bounded and assigner.time is TimeDomain.EVENT
    if needs_time and not stream._timed:
        source = _source_of(stream)
        raise MissingEventTime(
            f"{assigner} works in event time, but this stream has none. Declare it where the rows are read: "
            f'`{source.name}` at {source.where}: add `event_time="column"`, or use `.with_event_time("column")`',
            where=caller(),
        )
    return WindowedStream(stream, keys, assigner, trigger, allowed_lateness)


def _check_declarations(assigner: Any, trigger: Any) -> None:
    from flowjob.triggers import Trigger

    if not isinstance(assigner, WindowAssigner):
        raise TypeMismatch(
            "window takes fj.tumbling(timedelta(hours=1)), fj.sliding(…), fj.session(gap=…), fj.count_window(n) or "
            f"fj.global_window(), got {assigner!r}",
            where=caller(),
        )
    if trigger is not None and not isinstance(trigger, Trigger):
        raise TypeMismatch(
            f"trigger takes a trigger, such as fj.early(every=timedelta(minutes=1)), got {trigger!r}",
            where=caller(),
        )
    if isinstance(assigner, Global) and trigger is None:
        raise PlanError(
            "a global window never ends, so it needs a trigger to give results: "
            "`.window(fj.global_window(), trigger=fj.triggers.count(100))`",
            where=caller(),
        )


_AGGREGATES = frozenset({"count", "sum", "mean", "min", "max", "first", "last", "reduce"})


def _source_of(stream: Stream[Any]) -> Any:
    """The first source upstream."""
    graph = stream._builder.graph
    node = stream._node
    while node.inputs:
        node = graph[node.inputs[0].node]
    return node
