"""What a running job looks like: totals of its tasks turned into one line per operator, with rates and shares.

Pure: totals and a monotonic time in, lines out. How lines are drawn is cli/progress_view.py; it must not know
terminals or the control plane."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

RATE_SECONDS = 3.0
"""Rates and shares are those of the last so many seconds: steady to read, quick to follow."""


@dataclass(frozen=True, slots=True)
class VertexInfo:
    """A vertex of the job graph as the view needs it; `operators` are the names in its chain, head first."""

    id: int
    name: str
    parallelism: int
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskTotals:
    """One task's totals since its start. `values` as runtime/task_metrics.py gives them."""

    vertex: int
    subtask: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One operator. The head of a chain (depth 0) carries what is known of the whole task.

    rate       rows per second, of what comes in (of what goes out, for a source)
    watermark  µs UTC, the least of all subtasks; None before the first
    busy, blocked, idle  shares of the time, 0 … 1; None when not known yet
    """

    name: str
    depth: int
    parallelism: int
    rows_in: int
    rows_out: int
    rate: float | None = None
    watermark: int | None = None
    busy: float | None = None
    blocked: float | None = None
    idle: float | None = None
    late: int = 0
    bad: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Sample:
    """Totals of a vertex at one moment; times in µs, summed over its subtasks."""

    at: float
    rows: int
    busy: int
    blocked: int
    idle: int


@dataclass(slots=True)
class _Vertex:
    info: VertexInfo
    tasks: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    samples: deque[_Sample] = field(default_factory=deque)

    def total(self, name: str) -> int:
        return sum(int(values.get(name) or 0) for values in self.tasks.values())

    def sample(self, now: float) -> _Sample:
        rows = self.total("rows_in") or self.total("rows_out")
        return _Sample(
            now, rows, self.total("busy_us"), self.total("backpressured_us"), self.total("idle_us")
        )

    @property
    def ended(self) -> bool:
        return len(self.tasks) == self.info.parallelism and all(
            values.get("ended") for values in self.tasks.values()
        )


class ProgressModel:
    """Takes totals as they come and remembers the last few, for rates."""

    def __init__(self, vertices: Iterable[VertexInfo]) -> None:
        self._vertices = {v.id: _Vertex(v) for v in vertices}

    def update(self, tasks: Iterable[TaskTotals], now: float) -> None:
        """Newer totals of some tasks. Tasks of unknown vertices are ignored."""
        changed: set[int] = set()
        for task in tasks:
            vertex = self._vertices.get(task.vertex)
            if vertex is not None:
                vertex.tasks[task.subtask] = task.values
                changed.add(task.vertex)
        for id in changed:
            vertex = self._vertices[id]
            vertex.samples.append(vertex.sample(now))
            # One sample older than the span stays, so that the span is always covered.
            while len(vertex.samples) > 2 and vertex.samples[1].at < now - RATE_SECONDS:
                vertex.samples.popleft()

    def begin_again(self) -> None:
        """Tasks were replaced, and their totals begin anew."""
        for vertex in self._vertices.values():
            vertex.tasks.clear()
            vertex.samples.clear()

    def lines(self) -> list[Line]:
        """As of now, in the job's order."""
        return [line for v in self._vertices.values() for line in self._lines_of(v, recent=True)]

    def summary(self) -> list[Line]:
        """Over the whole run: what to show when it has ended."""
        return [line for v in self._vertices.values() for line in self._lines_of(v, recent=False)]

    def _lines_of(self, vertex: _Vertex, *, recent: bool) -> list[Line]:
        operators = _operator_totals(vertex)
        head = self._head(vertex, operators, recent=recent)
        return [
            head,
            *(
                Line(
                    name=name,
                    depth=1,
                    parallelism=vertex.info.parallelism,
                    rows_in=totals["rows_in"],
                    rows_out=totals["rows_out"],
                    late=totals["late_rows"],
                    bad=totals["bad_rows"],
                    ended=head.ended,
                )
                for name, totals in operators[1:]
            ),
        ]

    def _head(
        self, vertex: _Vertex, operators: list[tuple[str, dict[str, int]]], *, recent: bool
    ) -> Line:
        start = _Sample(0.0, 0, 0, 0, 0)
        last = vertex.samples[-1] if vertex.samples else start
        first = vertex.samples[0] if recent and len(vertex.samples) > 1 else start
        busy, blocked, idle = (
            getattr(last, n) - getattr(first, n) for n in ("busy", "blocked", "idle")
        )
        time = busy + blocked + idle
        # Since the beginning, tasks' own time counts and not ours: they started when all was ready.
        own_seconds = time / 1e6 / max(1, len(vertex.tasks))
        seconds = own_seconds if first is start else last.at - first.at
        name, totals = operators[0] if operators else (vertex.info.name, None)
        return Line(
            name=name,
            depth=0,
            parallelism=vertex.info.parallelism,
            rows_in=vertex.total("rows_in"),
            rows_out=totals["rows_out"] if totals else vertex.total("rows_out"),
            rate=(last.rows - first.rows) / seconds if seconds > 0 else None,
            watermark=_watermark(vertex),
            busy=busy / time if time else None,
            blocked=blocked / time if time else None,
            idle=idle / time if time else None,
            late=totals["late_rows"] if totals else 0,
            bad=totals["bad_rows"] if totals else 0,
            ended=vertex.ended,
        )


def _watermark(vertex: _Vertex) -> int | None:
    """The least of all subtasks, None while one has none: that is what holds its consumers."""
    marks = [values.get("watermark") for values in vertex.tasks.values()]
    if len(marks) < vertex.info.parallelism or None in marks:
        return None
    return min(int(m) for m in marks if m is not None)


def _operator_totals(vertex: _Vertex) -> list[tuple[str, dict[str, int]]]:
    """Totals of each operator of the chain, summed over the subtasks that have reported."""
    summed = [
        (name, dict.fromkeys(("rows_in", "rows_out", "late_rows", "bad_rows"), 0))
        for name in vertex.info.operators
    ]
    for values in vertex.tasks.values():
        for (_, totals), reported in zip(summed, values.get("operators", ())):
            for counter in totals:
                totals[counter] += int(reported.get(counter, 0))
    return summed
