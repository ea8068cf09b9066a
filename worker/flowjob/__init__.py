"""flowjob: distributed stream processing in Python.

    import flowjob as fj

Everything a job is written with is here; the rest of the package is how it runs."""

from typing import Any

from flowjob import files, sinks, triggers
from flowjob.aggregates import (
    Aggregate,
    collect,
    count,
    count_distinct,
    first,
    last,
    max,
    max_by,
    mean,
    min,
    min_by,
    sum,
)
from flowjob.args import Args
from flowjob.column_types import (
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    decimal,
    timezone,
)
from flowjob.connected_streams import ConnectedStreams
from flowjob.connectors.collect import show
from flowjob.connectors.collection import collection, from_rows
from flowjob.connectors.discard import discard
from flowjob.connectors.print import print_
from flowjob.errors import (
    AmbiguousState,
    BadArguments,
    FlowjobError,
    JobCancelled,
    JobFailed,
    MalformedInput,
    MissingEventTime,
    PlanError,
    SchemaError,
    TypeMismatch,
    UnknownColumn,
    UnsupportedChangelog,
    UserCodeFailed,
    WorkerLost,
)
from flowjob.expressions import (
    Expr,
    ExpressionFailed,
    coalesce,
    col,
    greatest,
    least,
    lit,
    struct,
    when,
)
from flowjob.functions import (
    BroadcastProcess,
    Context,
    CoProcess,
    KeyedCoProcess,
    KeyedProcess,
    Process,
    SideOutput,
    side_output,
)
from flowjob.job import Job
from flowjob.keyed_stream import KeyedStream
from flowjob.schema import Schema
from flowjob.state import aggregating_state, list_state, map_state, reducing_state, value_state
from flowjob.stream import Stream
from flowjob.triggers import Trigger, TriggerContext, TriggerResult, continuous, early, purging
from flowjob.windowed_stream import WindowedStream
from flowjob.windows import (
    Window,
    WindowAssigner,
    count_window,
    global_window,
    session,
    sliding,
    tumbling,
)


def __getattr__(name: str) -> Any:
    """`fj.testing` on first use: it is the only part that needs the runtime."""
    if name == "testing":
        from importlib import import_module

        return import_module("flowjob.testing")
    raise AttributeError(f"module 'flowjob' has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = [
    "Aggregate",
    "AmbiguousState",
    "Args",
    "BadArguments",
    "BroadcastProcess",
    "CoProcess",
    "ConnectedStreams",
    "Context",
    "Expr",
    "ExpressionFailed",
    "Float32",
    "Float64",
    "FlowjobError",
    "Int16",
    "Int32",
    "Int64",
    "Int8",
    "Job",
    "JobCancelled",
    "JobFailed",
    "KeyedCoProcess",
    "KeyedProcess",
    "KeyedStream",
    "MalformedInput",
    "MissingEventTime",
    "PlanError",
    "Process",
    "Schema",
    "SchemaError",
    "SideOutput",
    "Stream",
    "Trigger",
    "TriggerContext",
    "TriggerResult",
    "TypeMismatch",
    "UInt16",
    "UInt32",
    "UInt64",
    "UInt8",
    "UnknownColumn",
    "UnsupportedChangelog",
    "UserCodeFailed",
    "Window",
    "WindowAssigner",
    "WindowedStream",
    "WorkerLost",
    "aggregating_state",
    "coalesce",
    "col",
    "collect",
    "collection",
    "continuous",
    "count",
    "count_distinct",
    "count_window",
    "decimal",
    "discard",
    "early",
    "files",
    "first",
    "from_rows",
    "global_window",
    "greatest",
    "last",
    "least",
    "list_state",
    "lit",
    "map_state",
    "max",
    "max_by",
    "mean",
    "min",
    "min_by",
    "print_",
    "purging",
    "reducing_state",
    "session",
    "show",
    "side_output",
    "sinks",
    "sliding",
    "struct",
    "sum",
    "testing",
    "timezone",
    "triggers",
    "tumbling",
    "value_state",
    "when",
]
