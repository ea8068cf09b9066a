"""Decides how a window is kept: vectorised where its assigner, trigger and aggregates allow it, else row by row.

One decision for two readers: explain tells it, and the runtime (runtime/operators/window_aggregate.py) carries it out.
Pure: it looks at a spec and knows no operator."""

from __future__ import annotations

from enum import Enum

from flowjob.plan.specs import WindowAggregateSpec, WindowApplySpec
from flowjob.triggers import (
    ContinuousTrigger,
    CountTrigger,
    EarlyTrigger,
    PurgingTrigger,
    Trigger,
    default_trigger,
)
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
    COUNTS = "counts"  # columns per key and run of rows, for windows of rows that overlap
    WINDOWS = "windows"  # columns per window, fired by time
    FIRED_BY_COUNT = "fired by count"  # columns per window, fired by position
    ROW_WISE = "row by row"  # a trigger's callbacks for each row


def keeping(spec: WindowSpec) -> Keeping:
    """How the windows of `spec` are kept."""
    assigner, trigger = spec.assigner, spec.trigger
    if count_window_of(spec) is not None:
        return Keeping.COUNTS
    if _count_of(spec) is not None:
        return Keeping.FIRED_BY_COUNT
    if isinstance(assigner, Session):
        shown = _is_default(trigger, assigner) or isinstance(trigger, EarlyTrigger)
        return Keeping.SESSIONS if shown else Keeping.ROW_WISE
    if _is_default(trigger, assigner):
        match assigner:
            case Tumbling() | Sliding():
                return Keeping.PANES if _panes_serve(spec) else Keeping.WINDOWS
    match assigner, trigger:
        case Tumbling(), EarlyTrigger():
            return Keeping.PANES
        case Sliding() | Global(), EarlyTrigger():
            return Keeping.WINDOWS
        case Tumbling() | Sliding() | Global(), ContinuousTrigger(domain=domain):
            # Event time does not fire windows of the wall clock as it fires its own.
            own = domain is TimeDomain.PROCESSING or assigner.time is TimeDomain.EVENT
            return Keeping.WINDOWS if own else Keeping.ROW_WISE
    return Keeping.ROW_WISE


def count_window_of(spec: WindowSpec) -> CountWindow | None:
    """The count window that `spec` is, if its windows overlap or leave gaps; else None."""
    match spec.assigner, spec.trigger:
        case CountWindow() as window, None if window.slide != window.size:
            return window
    return None


def counting(spec: WindowSpec) -> tuple[int, bool]:
    """(n, purging) of a window that is FIRED_BY_COUNT: whether it forgets its rows when it fires."""
    found = _count_of(spec)
    assert found is not None, "the window is not fired by count"
    return found


def _count_of(spec: WindowSpec) -> tuple[int, bool] | None:
    match spec.assigner, spec.trigger:
        case CountWindow() as window, None if window.slide == window.size:
            return window.size, True  # a global window that forgets its rows, by another name
        case Tumbling() | Sliding() | Global(), CountTrigger(n=n):
            return n, False
        case Tumbling() | Sliding() | Global(), PurgingTrigger(inner=CountTrigger(n=n)):
            return n, True
    return None


def _is_default(trigger: Trigger | None, assigner: WindowAssigner) -> bool:
    return trigger is None or trigger == default_trigger(assigner)


def _panes_serve(spec: WindowSpec) -> bool:
    """Panes of sliding windows are merged, so every aggregate must be able to."""
    if isinstance(spec.assigner, Tumbling) or isinstance(spec, WindowApplySpec):
        return True
    return all(call.aggregate.mergeable for call in spec.calls)
