"""What each operator of a job graph is told: one frozen dataclass per operator kind.

Plain data between planner and runtime: runtime/operators/registry.py maps each class here to its operator.
Functions and aggregates in them are the user's objects; nothing here runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flowjob.plan.types import KeyField, StreamType

if TYPE_CHECKING:
    from flowjob.connectors.base import Sink, Source
    from flowjob.expressions import Expr
    from flowjob.triggers import Trigger
    from flowjob.watermarks import EventTime
    from flowjob.windows import WindowAssigner


@dataclass(frozen=True, kw_only=True)
class OperatorSpec:
    """Base: the types of the (first) input and of the main output."""

    input: StreamType
    output: StreamType


@dataclass(frozen=True, kw_only=True)
class SourceSpec(OperatorSpec):
    source: Source


@dataclass(frozen=True, kw_only=True)
class SinkSpec(OperatorSpec):
    sink: Sink


@dataclass(frozen=True, kw_only=True)
class ProjectSpec(OperatorSpec):
    """New columns from expressions; `output` names and types them in order. Kinds and timestamps are kept."""

    outputs: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, kw_only=True)
class FilterSpec(OperatorSpec):
    """Keeps rows where the predicate is true (null counts as false)."""

    predicate: Expr


@dataclass(frozen=True, kw_only=True)
class MapBatchesSpec(OperatorSpec):
    """One pyarrow.RecordBatch in, one out; same row count keeps timestamps, else they are the batch's maximum."""

    function: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class AssignEventTimeSpec(OperatorSpec):
    """Replaces timestamps and watermarks in mid-stream."""

    event_time: EventTime


@dataclass(frozen=True, kw_only=True)
class MapSpec(OperatorSpec):
    function: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class FlatMapSpec(OperatorSpec):
    function: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class FilterRowsSpec(OperatorSpec):
    function: Callable[[Any], bool]


@dataclass(frozen=True, kw_only=True)
class ProcessSpec(OperatorSpec):
    """A non-keyed Process function (flowjob.functions.Process)."""

    function: Any
    side_types: tuple[tuple[str, StreamType], ...] = ()


@dataclass(frozen=True, kw_only=True)
class KeyByFunctionSpec(OperatorSpec):
    """Evaluates a key function per row into the hidden columns of `keys`."""

    function: Callable[[Any], Any]
    keys: tuple[KeyField, ...]


@dataclass(frozen=True)
class AggregateCall:
    """One aggregate of an agg(): `name` is the output column, `inputs` the columns it reads (often hidden ones),
    `aggregate` the flowjob.aggregates object that says what to compute."""

    name: str
    aggregate: Any
    inputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WindowAggregateSpec(OperatorSpec):
    """Incremental aggregates per key and window. Output: key names, window_start, window_end, aggregate columns.

    `keys` is empty for a non-keyed window (which runs at parallelism 1). With `from_partials` the input rows are
    partial accumulators made by LocalWindowAggregateSpec at the senders."""

    keys: tuple[KeyField, ...]
    assigner: WindowAssigner
    trigger: Trigger | None
    allowed_lateness: timedelta
    calls: tuple[AggregateCall, ...]
    from_partials: bool = False


@dataclass(frozen=True, kw_only=True)
class LocalWindowAggregateSpec(OperatorSpec):
    """First phase of a two-phase window aggregation, at the sender: stateless across watermarks and barriers.

    Output: key columns (same names as in the input), `__pane` (int64 µs start of the pane), partial columns."""

    keys: tuple[KeyField, ...]
    assigner: WindowAssigner
    calls: tuple[AggregateCall, ...]


@dataclass(frozen=True, kw_only=True)
class WindowApplySpec(OperatorSpec):
    """A window function that sees all rows of the window."""

    keys: tuple[KeyField, ...]
    assigner: WindowAssigner
    trigger: Trigger | None
    allowed_lateness: timedelta
    function: Any


@dataclass(frozen=True, kw_only=True)
class RunningAggregateSpec(OperatorSpec):
    """Aggregates per key since the beginning: one output row per input row, or a changelog.

    Output: key names, aggregate columns."""

    keys: tuple[KeyField, ...]
    calls: tuple[AggregateCall, ...]
    changelog: bool = False


@dataclass(frozen=True, kw_only=True)
class ReduceSpec(OperatorSpec):
    """(row, row) -> row per key; one output row per input row, or a changelog."""

    keys: tuple[KeyField, ...]
    function: Callable[[Any, Any], Any]
    changelog: bool = False


@dataclass(frozen=True, kw_only=True)
class KeyedProcessSpec(OperatorSpec):
    """A KeyedProcess function with state and timers."""

    keys: tuple[KeyField, ...]
    function: Any
    side_types: tuple[tuple[str, StreamType], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConnectedProcessSpec(OperatorSpec):
    """Two inputs (ports 0 and 1) sharing keyed state (`second_keys` given), or a keyed or plain first input with a
    broadcast second one (`broadcast`). `timed`: whether what it emits carries timestamps,
    whatever its rows have; None: as they do."""

    second_input: StreamType
    keys: tuple[KeyField, ...]
    second_keys: tuple[KeyField, ...]
    broadcast: bool
    function: Any
    side_types: tuple[tuple[str, StreamType], ...] = ()
    timed: bool | None = None


@dataclass(frozen=True, kw_only=True)
class UnionSpec(OperatorSpec):
    """All rows of all inputs, which have one type."""
