"""Chooses the operator that computes a window aggregate: vectorised where the window allows it,
else row by row.

A factory, so that planner and registry see one operator; the ways windows are kept are modules of
their own."""

from __future__ import annotations

from flowjob.plan.specs import WindowAggregateSpec
from flowjob.runtime.operators.base import Form, Operator
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_windows import PaneWindows
from flowjob.runtime.operators.session_windows import SessionWindows
from flowjob.runtime.operators.window_base import WindowParts, WindowSpec, lateness_of
from flowjob.runtime.operators.window_contents import Contents
from flowjob.runtime.operators.window_results import AggregateResults
from flowjob.watermarks import micros
from flowjob.windows import Session, Sliding, Tumbling


def window_aggregate(spec: WindowAggregateSpec) -> Operator:
    """The operator for `spec`."""
    assert spec.input.schema is not None
    assert spec.output.schema is not None
    parts = WindowParts(
        keys=spec.keys,
        contents=Contents.of_calls(spec.calls, spec.input.schema, from_partials=spec.from_partials),
        results=AggregateResults(spec.keys, [c.name for c in spec.calls], spec.output.schema),
        gives=Form.COLUMNS,
        lateness=lateness_of(spec),
        domain=spec.assigner.time,
        partials=spec.from_partials,
    )
    return choose(spec, parts)


def choose(spec: WindowSpec, parts: WindowParts) -> Operator:
    """The operator that keeps windows of this assigner and trigger."""
    match spec.assigner:
        case Tumbling() | Sliding():
            return PaneWindows(parts, PaneGrid.of(spec.assigner))
        case Session():
            return SessionWindows(parts, micros(spec.assigner.gap))
    raise NotImplementedError(str(spec.assigner))
