"""Windows, one row at a time: the meaning that every vectorised operator must reproduce exactly.

Events are ("row", key, time, value) and ("watermark", time), times in µs. Kept as plain as can be,
because it is the specification: no panes, no batches, no arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from flowjob.core.elements import MIN_TIME
from flowjob.windows import WindowAssigner

Event = tuple[Any, ...]


@dataclass
class Held:
    """One key's window."""

    start: int
    end: int
    registered: int
    key: Any
    values: list[tuple[int, Any]] = field(default_factory=list)

    def all(self) -> list[Any]:
        return [value for _, value in sorted(self.values, key=lambda v: v[0])]


def canonical(key: Any) -> Any:
    """Equal for keys that are the same key: one NaN, no negative zero, decimals by value."""
    if isinstance(key, tuple | list):
        return tuple(canonical(part) for part in key)
    if isinstance(key, float):
        return ("float", "nan" if key != key else key + 0.0)
    if isinstance(key, Decimal):
        return ("decimal", key.normalize() if key else Decimal(0))
    return (type(key).__name__, key)


def run_windows(
    events: Iterable[Event],
    assigner: WindowAssigner,
    result: Callable[[list[Any]], Any],
    lateness: int = 0,
) -> tuple[list[tuple[Any, int, int, Any]], list[Event]]:
    """(key, start, end, result) of each firing in order, and the late rows."""
    windows: dict[Any, list[Held]] = {}
    fired: list[tuple[Any, int, int, Any]] = []
    late: list[Event] = []
    watermark = MIN_TIME

    def fire(window: Held) -> None:
        fired.append((window.key, window.start, window.end, result(window.all())))

    for number, event in enumerate(events):
        if event[0] == "row":
            _, key, time, value = event
            mine = windows.setdefault(canonical(key), [])
            spans = [Held(s, e, number, key) for s, e in assigner.assign(time)]
            if assigner.merging:
                spans = [_merged(mine, spans[0])]
            live = [w for w in spans if w.end - 1 + lateness > watermark]
            if spans and not live:
                late.append(event)
            for window in live:
                same = [w for w in mine if (w.start, w.end) == (window.start, window.end)]
                if not same:
                    mine[:] = [w for w in mine if not assigner.merging or not _touch(w, window)]
                    mine.append(window)
                window = same[0] if same else window
                window.values.append((number, value))
                if window.end - 1 <= watermark:
                    fire(window)
        else:
            before, watermark = watermark, max(watermark, event[1])
            held = sorted(
                (w for ws in windows.values() for w in ws), key=lambda w: (w.end, w.registered)
            )
            for window in held:
                if before < window.end - 1 <= watermark:
                    fire(window)
            for ws in windows.values():
                ws[:] = [w for w in ws if w.end - 1 + lateness > watermark]
    return fired, late


def _touch(a: Held, b: Held) -> bool:
    return a.start <= b.end and b.start <= a.end


def _merged(mine: list[Held], new: Held) -> Held:
    """`new` and all windows it touches, as one; registered when the first of them was."""
    touching = [w for w in mine if _touch(w, new)]
    if not touching:
        return new
    return Held(
        min(new.start, *(w.start for w in touching)),
        max(new.end, *(w.end for w in touching)),
        min(w.registered for w in touching),
        min(touching, key=lambda w: w.registered).key,
        [v for w in touching for v in w.values],
    )
