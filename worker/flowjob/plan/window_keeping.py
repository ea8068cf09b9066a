"""Decides how a window is kept: vectorised where its assigner, trigger and aggregates allow it, else row by row.

One decision for two readers: explain tells it, and the runtime (runtime/operators/window_aggregate.py) carries it out.
Pure: it looks at a spec and knows no operator."""

from __future__ import annotations

from enum import Enum

from flowjob.plan.specs import WindowAggregateSpec, WindowApplySpec
from flowjob.triggers import CountTrigger, EarlyTrigger, PurgingTrigger, Trigger, default_trigger
from flowjob.windows import (
    CountWindow,
    Global,
    Session,
    Sliding,
    TimeDomain,
    Tumbling,
    WindowAssigner,
)

WindowSpec = WindowAggregateSpec | WindowApplySpec


class Keeping(Enum):
    """How an operator keeps its windows."""

    PANES = "panes"  # columns per pane, merged into windows when they fire
    SESSIONS = "sessions"  # columns per open session
    COUNTS = "counts"  # columns per key, fired by position
    ROW_WISE = "row by row"  # a trigger's callbacks for each row


def keeping(spec: WindowSpec) -> Keeping:
    """How the windows of `spec` are kept."""
    assigner, trigger = spec.assigner, spec.trigger
    if count_window_of(spec) is not None:
        return Keeping.COUNTS
    if _is_default(trigger, assigner):
        match assigner:
            case Tumbling() | Sliding() if _panes_serve(spec):
                return Keeping.PANES
            case Session():
                return Keeping.SESSIONS
    if isinstance(trigger, EarlyTrigger) and assigner.time is TimeDomain.EVENT:
        match assigner:
            case Tumbling():
                return Keeping.PANES
            case Session():
                return Keeping.SESSIONS
    return Keeping.ROW_WISE


def count_window_of(spec: WindowSpec) -> CountWindow | None:
    """The count window that `spec` is, also when it is written as a purging trigger; else None."""
    match spec.assigner, spec.trigger:
        case CountWindow() as window, None:
            return window
        case Global(), PurgingTrigger(inner=CountTrigger(n=n)):
            return CountWindow(n, n)
    return None


def _is_default(trigger: Trigger | None, assigner: WindowAssigner) -> bool:
    return trigger is None or trigger == default_trigger(assigner)


def _panes_serve(spec: WindowSpec) -> bool:
    """Panes of sliding windows are merged, so every aggregate must be able to."""
    if isinstance(spec.assigner, Tumbling) or isinstance(spec, WindowApplySpec):
        return True
    return all(call.aggregate.mergeable for call in spec.calls)
