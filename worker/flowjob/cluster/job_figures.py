"""What a running job looks like, as data: its graph with figures, its tasks, and their history as time series.

A part of job_details.py, which says who answers it. Fields are only ever added. Totals count from the start of the
current attempt; rates and shares are smooth, of the last seconds, or of the last batches where those take longer. Names
end in their unit; a watermark is a time of events, in ms since the epoch, UTC, and None before the first one."""

from __future__ import annotations

from typing import Literal

import msgspec


class Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Of all that is told of a job: JSON objects with camelCase names, without what is as by default."""


class Figures(Data, frozen=True, kw_only=True, rename="camel"):
    """Of one subtask, or of all subtasks of a vertex together."""

    rows_in: int = 0
    rows_out: int = 0
    bytes_in: int = 0
    """From other processes, serialised"""
    bytes_out: int = 0
    rows_in_per_second: float = 0.0
    rows_out_per_second: float = 0.0
    bytes_in_per_second: float = 0.0
    bytes_out_per_second: float = 0.0
    busy: float = 0.0
    """0..1; of a vertex: the mean of its subtasks. Busy, idle and back-pressured add up to 1 while a task runs"""
    idle: float = 0.0
    backpressured: float = 0.0
    watermark_ms: int | None = None
    """Of a vertex: of the subtask that is furthest behind"""
    lag_seconds: float | None = None
    """How far the watermark is behind the wall clock; None before the first watermark and after the end"""
    late_rows: int = 0
    bad_rows: int = 0
    queued_bytes: int = 0
    """That wait at its inputs"""
    buffered_bytes: int = 0
    """That wait at its outputs, for a batch to be full or for room behind them"""
    state_bytes: int | None = None
    """In the newest complete snapshot; None: there is none"""


class HeldBy(Data, frozen=True, kw_only=True, rename="camel"):
    """The input that holds a vertex's event time back: the one with the lowest watermark."""

    edge: int
    vertex: int
    """Where that edge comes from"""
    name: str
    subtask: int
    """Of that vertex: the one that is furthest behind"""
    watermark_ms: int | None = None
    """None: it has not sent any"""
    ahead_seconds: float | None = None
    """How far the next input is ahead of it; None: it is the only one"""


class OperatorFacts(Data, frozen=True, kw_only=True, rename="camel"):
    """One operator of a vertex's chain, in order. Totals of all subtasks."""

    name: str
    uid: str | None = None
    """Of operators with state: the identity of that state"""
    kind: str = ""
    """`source`, `sink`, `filter`, `windowaggregate`, …"""
    rows_in: int = 0
    rows_out: int = 0
    late_rows: int = 0
    bad_rows: int = 0


class SourceLag(Data, frozen=True, kw_only=True, rename="camel"):
    """What a source has not read yet, as far as it can tell."""

    rows: int | None = None
    bytes: int | None = None
    splits_waiting: int | None = None
    """Found, and not yet given to a subtask"""
    splits_under_way: int | None = None
    splits_read: int | None = None


class Latency(Data, frozen=True, kw_only=True, rename="camel"):
    """How long rows take from the sources to here, in ms, by what marked rows have taken of late."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    samples: int


TaskState = Literal[
    "Waiting", "Starting", "Deploying", "Running", "Finished", "Restarting", "Failed", "Cancelled"
]
"""Waiting: for a slot. Finished: all its input has ended."""


class SubtaskFacts(Data, frozen=True, kw_only=True, rename="camel"):
    subtask: int
    state: TaskState
    figures: Figures = Figures()


class VertexFacts(Data, frozen=True, kw_only=True, rename="camel"):
    """One chain of operators. `subtasks` is empty unless it was asked for."""

    id: int
    name: str
    parallelism: int
    operators: list[OperatorFacts] = []
    is_source: bool = False
    is_sink: bool = False
    states: dict[str, int] = {}
    """How many subtasks are in which TaskState"""
    figures: Figures = Figures()
    busiest: float = 0.0
    """The largest share of a subtask"""
    most_backpressured: float = 0.0
    skew: float = 1.0
    """The largest subtask's rows per second, over the mean; 1: all alike, or nothing flows"""
    skewed_subtask: int | None = None
    """The one with most rows, where skew is above 1"""
    held_by: HeldBy | None = None
    source_lag: SourceLag | None = None
    latency: Latency | None = None
    subtasks: list[SubtaskFacts] = []


class EdgeFacts(Data, frozen=True, kw_only=True, rename="camel"):
    id: int
    source: int
    """Id of a vertex"""
    target: int
    port: int = 0
    exchange: str = "forward"
    """`forward`, `hash`, `rebalance`, `rescale`, `broadcast`, `global` or `custom`"""
    keys: list[str] = []
    holds_time_back: bool = False
    """It is its target's `held_by`, of several"""


class Graph(Data, frozen=True, kw_only=True, rename="camel"):
    """Vertices in topological order. `at`: when, RFC 3339."""

    name: str
    at: str
    parallelism: int = 0
    max_parallelism: int = 0
    vertices: list[VertexFacts] = []
    edges: list[EdgeFacts] = []


class TaskFacts(Data, frozen=True, kw_only=True, rename="camel"):
    """One subtask, and where it is."""

    vertex: int
    name: str
    """Of the vertex"""
    subtask: int
    parallelism: int
    state: TaskState
    attempt: int = 0
    slot: int = 0
    task_manager: str | None = None
    """None: it has no slot now"""
    host: str | None = None
    pid: int | None = None
    """Of the slot's process"""
    figures: Figures = Figures()


class TaskManagerFacts(Data, frozen=True, kw_only=True, rename="camel"):
    name: str
    host: str
    pid: int
    slots: int
    slots_used: int = 0


class Tasks(Data, frozen=True, kw_only=True, rename="camel"):
    """`tasks` by vertex and subtask."""

    at: str
    tasks: list[TaskFacts] = []
    task_managers: list[TaskManagerFacts] = []


class Series(Data, frozen=True, kw_only=True, rename="camel"):
    """One figure over time. `values[i]` belongs to `Metrics.times_ms[i]`; None: nothing was known."""

    name: str
    """A key of METRICS"""
    unit: str
    vertex: int | None = None
    """None: of the whole job"""
    values: list[float | None] = []


class Metrics(Data, frozen=True, kw_only=True, rename="camel"):
    """Series with one axis of time: `times_ms` since the epoch, oldest first, `step_seconds` apart where nothing is
    missing."""

    step_seconds: float
    times_ms: list[int] = []
    series: list[Series] = []


METRICS: dict[str, tuple[str, str]] = {
    "rowsIn": ("rows/s", "Rows that come in; of the whole job: that its sources read"),
    "rowsOut": ("rows/s", "Rows that go out; of the whole job: that go into its sinks"),
    "bytesIn": ("bytes/s", "Bytes that come in from other processes"),
    "bytesOut": ("bytes/s", "Bytes that go out to other processes"),
    "busy": ("share", "Time at work, mean of the subtasks"),
    "idle": ("share", "Time without input, mean of the subtasks"),
    "backpressured": ("share", "Time held back by those behind, mean of the subtasks"),
    "busiest": ("share", "Time at work, of the busiest subtask"),
    "lag": ("s", "Event time behind the clock, of the slowest subtask"),
    "stateBytes": ("bytes", "State in the newest complete snapshot"),
    "checkpointSeconds": ("s", "How long the newest complete checkpoint took; of the whole job only"),
}  # fmt: skip
"""Names of series, with unit and meaning."""
