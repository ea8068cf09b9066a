"""flowjob: distributed stream processing in Python.

    import flowjob as fj

Everything a job is written with is here; the rest of the package is how it runs. Names are loaded on first use, so
that processes which need little (a TaskManager) start at once. __init__.pyi says the same to type checkers."""

from importlib import import_module as _import_module
from typing import Any as _Any

__version__ = "0.1.0"

_HOMES = {
    "aggregates": (
        "Aggregate collect count count_distinct first last max max_by mean min min_by sum"
    ),
    "args": "Args",
    "checkpointing": "Checkpoints ExponentialDelay FailureRate FixedDelay NoRestart",
    "column_types": (
        "Float32 Float64 Int16 Int32 Int64 Int8 UInt16 UInt32 UInt64 UInt8 decimal timezone"
    ),
    "connected_streams": "ConnectedStreams",
    "connectors.collect": "show",
    "connectors.collection": "collection from_rows",
    "connectors.datagen.source": "datagen",
    "connectors.discard": "discard",
    "connectors.print": "print_",
    "errors": (
        "AmbiguousState BadArguments DamagedSnapshot FlowjobError JobCancelled JobFailed "
        "MalformedInput MissingEventTime PlanError SchemaError SnapshotError StateMismatch "
        "TypeMismatch UnknownColumn UnsupportedChangelog UserCodeFailed WorkerLost"
    ),
    "expressions": "Expr ExpressionFailed coalesce col greatest least lit struct when",
    "functions": (
        "BroadcastProcess CoProcess Context KeyedCoProcess KeyedProcess Process SideOutput "
        "side_output"
    ),
    "job": "Job",
    "keyed_stream": "KeyedStream",
    "schema": "Schema",
    "snapshots": "Snapshot new_snapshot read_snapshot write_snapshot",
    "state": "aggregating_state list_state map_state reducing_state value_state",
    "stream": "Stream",
    "triggers": "Trigger TriggerContext TriggerResult continuous early purging",
    "windowed_stream": "WindowedStream",
    "windows": "Window WindowAssigner count_window global_window session sliding tumbling",
}
"""Module -> the names it gives."""

_MODULES = ("database", "files", "nexmark", "sinks", "sockets", "testing", "triggers", "values")

_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME, *_MODULES])  # noqa: PLE0605 - a list, made from the table above


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _import_module(f"flowjob.{name}")
    if name not in _HOME:
        import difflib

        near = difflib.get_close_matches(name, __all__, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise AttributeError(f"module 'flowjob' has no attribute {name!r}{hint}")
    value = getattr(_import_module(f"flowjob.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
