"""WindowedStream: rows in windows, per key or all together, and what can be computed of each window.

It checks and describes; which operator carries a window out is decided by the runtime from the spec alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flowjob.errors import MissingEventTime, PlanError
from flowjob.plan import building
from flowjob.plan.aggregation import aggregate_inputs, aggregate_type
from flowjob.plan.job_graph import Exchange, Partitioning
from flowjob.plan.logical import Input
from flowjob.plan.specs import WindowAggregateSpec, WindowApplySpec
from flowjob.plan.types import KeyField
from flowjob.plan.where import caller
from flowjob.stream import Stream
from flowjob.windows import TimeDomain, window_fields

if TYPE_CHECKING:
    from flowjob.triggers import Trigger
    from flowjob.windows import WindowAssigner

T = TypeVar("T")


class WindowedStream(Generic[T]):
    """Made by `.window(…)` of a stream or keyed stream."""

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

    def agg(self, **aggregates: Any) -> Stream[Any]:
        """Aggregates per window: columns are the key's names, window_start, window_end, then these."""
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

    def apply(self, function: Callable[..., Any], *, returns: Any = None) -> Stream[Any]:
        """`function(window, rows)` for each window, with all its rows; returns a row or an iterable of rows."""
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
            event_time=self._assigner.bounded or stream._node.event_time,
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
    if allowed_lateness < timedelta(0):
        raise PlanError(
            f"allowed_lateness must not be negative: {allowed_lateness}", where=caller()
        )
    needs_time = assigner.bounded and assigner.time is TimeDomain.EVENT
    if needs_time and not stream._node.event_time:
        source = _source_of(stream)
        raise MissingEventTime(
            f"{assigner} works in event time, but this stream has none. Declare it where the rows are read: "
            f'`{source.name}` at {source.where}: add `event_time="column"`, or use `.with_event_time("column")`',
            where=caller(),
        )
    return WindowedStream(stream, keys, assigner, trigger, allowed_lateness)


def _source_of(stream: Stream[Any]) -> Any:
    """The first source upstream."""
    graph = stream._builder.graph
    node = stream._node
    while node.inputs:
        node = graph[node.inputs[0].node]
    return node
