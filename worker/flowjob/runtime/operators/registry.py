"""Which operator carries out which spec. A table, so that adding an operator is adding a line.

Operators are imported when first built: a slot loads only those its job has."""

from __future__ import annotations

from importlib import import_module

from flowjob.plan.specs import OperatorSpec
from flowjob.runtime.operators.base import Operator

_OPERATORS = {
    "ProjectSpec": "project:Project",
    "FilterSpec": "filter:Filter",
    "MapBatchesSpec": "map_batches:MapBatches",
    "AssignEventTimeSpec": "assign_event_time:AssignEventTime",
    "MapSpec": "row_functions:Map",
    "FlatMapSpec": "row_functions:FlatMap",
    "FilterRowsSpec": "row_functions:FilterRows",
    "ProcessSpec": "process:ProcessRows",
    "KeyByFunctionSpec": "key_by_function:KeyByFunction",
    "WindowAggregateSpec": "window_aggregate:window_aggregate",
    "LocalWindowAggregateSpec": "local_window_aggregate:LocalWindowAggregate",
    "WindowApplySpec": "window_apply:window_apply",
    "RunningAggregateSpec": "running_aggregate:RunningAggregate",
    "ReduceSpec": "reduce:Reduce",
    "KeyedProcessSpec": "keyed_process:KeyedProcessOperator",
    "ConnectedProcessSpec": "connected_process:ConnectedProcessOperator",
    "SinkSpec": "sink:SinkOperator",
    "UnionSpec": "union:Union",
}


def build(spec: OperatorSpec) -> Operator:
    """The operator for `spec`; each entry is called with the spec alone."""
    module, _, attribute = _OPERATORS[type(spec).__name__].partition(":")
    factory = getattr(import_module(f"{__package__}.{module}"), attribute)
    operator: Operator = factory(spec)
    return operator
