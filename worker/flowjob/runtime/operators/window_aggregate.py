"""Chooses the operator that computes a window aggregate: vectorised where the window allows it,
else row by row.

A factory, so that planner and registry see one operator; the ways windows are kept are modules of
their own."""

from __future__ import annotations

from dataclasses import replace

from flowjob.plan.specs import WindowAggregateSpec
from flowjob.plan.window_keeping import Keeping, count_window_of, counting, keeping
from flowjob.runtime.operators.base import Form, Operator
from flowjob.runtime.operators.count_windows import CountWindows
from flowjob.runtime.operators.counted_windows import CountedWindows
from flowjob.runtime.operators.pane_grid import PaneGrid
from flowjob.runtime.operators.pane_windows import PaneWindows
from flowjob.runtime.operators.row_wise_windows import RowWiseWindows
from flowjob.runtime.operators.session_windows import SessionWindows
from flowjob.runtime.operators.timed_windows import TimedWindows, Timing
from flowjob.runtime.operators.window_base import (
    WindowOperator,
    WindowParts,
    WindowSpec,
    lateness_of,
)
from flowjob.runtime.operators.window_contents import Contents
from flowjob.runtime.operators.window_results import AggregateResults
from flowjob.runtime.operators.windows import Windows
from flowjob.triggers import ContinuousTrigger, EarlyTrigger, default_trigger
from flowjob.watermarks import micros
from flowjob.windows import Session, Sliding, TimeDomain, Tumbling, WindowAssigner


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


def choose(spec: WindowSpec, parts: WindowParts) -> Windows:
    """The operator for windows of this assigner and trigger."""
    return Windows(_kept(spec, parts))


def _kept(spec: WindowSpec, parts: WindowParts) -> WindowOperator:
    assigner, trigger = spec.assigner, spec.trigger
    if isinstance(trigger, EarlyTrigger):
        parts = replace(parts, early=micros(trigger.every))
    match keeping(spec), assigner:
        case Keeping.COUNTS, _:
            window = count_window_of(spec)
            assert window is not None
            return CountWindows(parts, window)
        case Keeping.FIRED_BY_COUNT, _:
            n, purging = counting(spec)
            grid = _grid(assigner)
            return CountedWindows(parts, grid, n, purging=purging)
        case Keeping.WINDOWS, _:
            return _timed(spec, parts)
        case Keeping.PANES, Tumbling() | Sliding():
            return PaneWindows(parts, PaneGrid.of(assigner))
        case Keeping.SESSIONS, Session():
            return SessionWindows(parts, micros(assigner.gap))
    return RowWiseWindows(parts, assigner, trigger or default_trigger(assigner), spec.input)


def _timed(spec: WindowSpec, parts: WindowParts) -> WindowOperator:
    timing = Timing(at_end=True)
    match spec.trigger:
        case ContinuousTrigger(every=every, domain=TimeDomain.EVENT):
            timing = Timing(at_end=True, every=micros(every))
        case ContinuousTrigger(every=every):
            timing = Timing(at_end=False, repeats=True)
            parts = replace(parts, early=micros(every))
    return TimedWindows(parts, _grid(spec.assigner), timing)


def _grid(assigner: WindowAssigner) -> PaneGrid | None:
    """None for windows without bounds."""
    return PaneGrid.of(assigner) if isinstance(assigner, Tumbling | Sliding) else None
