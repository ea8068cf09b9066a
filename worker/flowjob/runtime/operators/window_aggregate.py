"""Chooses the operator that computes a window aggregate: vectorised where the window allows it,
else row by row.

A factory, so that planner and registry see one operator; the ways windows are kept are modules of
their own."""

from __future__ import annotations

from dataclasses import replace

from flowjob.errors import PlanError
from flowjob.plan.specs import WindowAggregateSpec, WindowApplySpec
from flowjob.runtime.operators.base import Form, Operator
from flowjob.runtime.operators.count_windows import CountWindows
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_windows import PaneWindows
from flowjob.runtime.operators.row_wise_windows import RowWiseWindows
from flowjob.runtime.operators.session_windows import SessionWindows
from flowjob.runtime.operators.window_base import WindowParts, WindowSpec, lateness_of
from flowjob.runtime.operators.window_contents import Contents
from flowjob.runtime.operators.window_results import AggregateResults
from flowjob.triggers import CountTrigger, EarlyTrigger, PurgingTrigger, Trigger, default_trigger
from flowjob.watermarks import micros
from flowjob.windows import (
    CountWindow,
    Global,
    Session,
    Sliding,
    TimeDomain,
    Tumbling,
    WindowAssigner,
)


def window_aggregate(spec: WindowAggregateSpec) -> Operator:
    """The operator for `spec`."""
    return choose(spec, window_parts(spec))


def window_parts(spec: WindowAggregateSpec) -> WindowParts:
    """What is kept per window and how it comes out."""
    assert spec.input.schema is not None
    assert spec.output.schema is not None
    return WindowParts(
        keys=spec.keys,
        contents=Contents.of_calls(spec.calls, spec.input.schema, from_partials=spec.from_partials),
        results=AggregateResults(spec.keys, [c.name for c in spec.calls], spec.output.schema),
        gives=Form.COLUMNS,
        lateness=lateness_of(spec),
        domain=spec.assigner.time,
        partials=spec.from_partials,
    )


def choose(spec: WindowSpec, parts: WindowParts) -> Operator:
    """The operator that keeps windows of this assigner and trigger."""
    assigner, trigger = spec.assigner, spec.trigger
    if assigner.merging and isinstance(spec, WindowAggregateSpec):
        _check_mergeable(spec)
    if isinstance(assigner, CountWindow) and trigger is None:
        return CountWindows(parts, assigner)
    match assigner, trigger:
        case Global(), PurgingTrigger(inner=CountTrigger(n=n)):
            return CountWindows(parts, CountWindow(n, n))
    if _is_default(trigger, assigner):
        match assigner:
            case Tumbling() | Sliding() if _panes_serve(spec):
                return PaneWindows(parts, PaneGrid.of(assigner))
            case Session():
                return SessionWindows(parts, micros(assigner.gap))
    if isinstance(trigger, EarlyTrigger) and assigner.time is TimeDomain.EVENT:
        early = replace(parts, early=micros(trigger.every))
        match assigner:
            case Tumbling():
                return PaneWindows(early, PaneGrid.of(assigner))
            case Session():
                return SessionWindows(early, micros(assigner.gap))
    return RowWiseWindows(parts, assigner, trigger or default_trigger(assigner), spec.input)


def _check_mergeable(spec: WindowAggregateSpec) -> None:
    for call in spec.calls:
        if not call.aggregate.mergeable:
            raise PlanError(
                f"`{call.name}`: {call.aggregate} has no merge, which {spec.assigner} needs: two "
                "sessions become one when a row falls between them. Define `merge(self, a, b)`"
            )


def _is_default(trigger: Trigger | None, assigner: WindowAssigner) -> bool:
    return trigger is None or trigger == default_trigger(assigner)


def _panes_serve(spec: WindowSpec) -> bool:
    """Panes of sliding windows are merged, so every aggregate must be able to."""
    if isinstance(spec.assigner, Tumbling) or isinstance(spec, WindowApplySpec):
        return True
    return all(call.aggregate.mergeable for call in spec.calls)
