"""What a job looks like: its graph with figures, and its tasks.

The same fields as worker/flowjob/cluster/job_figures.py, which JobManagers answer with; a test compares them."""

from __future__ import annotations

from typing import Literal

from flowjob_api.schemas.model import Answer, Time, example

TaskState = Literal[
    "Waiting", "Starting", "Deploying", "Running", "Finished", "Restarting", "Failed", "Cancelled"
]


class Figures(Answer):
    """Of one subtask, or of all subtasks of a vertex together. Totals count from the start of the current attempt."""

    model_config = example(
        rowsIn=182_000, rowsOut=181_400, rowsInPerSecond=30_200.5, rowsOutPerSecond=30_100.0,
        busy=0.42, idle=0.55, backpressured=0.03, watermarkMs=1_772_366_400_000, lagSeconds=1.2,
    )  # fmt: skip
    rows_in: int = 0
    rows_out: int = 0
    bytes_in: int = 0
    """From other processes, serialised."""
    bytes_out: int = 0
    rows_in_per_second: float = 0.0
    rows_out_per_second: float = 0.0
    bytes_in_per_second: float = 0.0
    bytes_out_per_second: float = 0.0
    busy: float = 0.0
    """0 to 1. Of a vertex: the mean of its subtasks. Busy, idle and backpressured add up to 1 while a task runs."""
    idle: float = 0.0
    backpressured: float = 0.0
    watermark_ms: int | None = None
    """Event time, ms since the epoch. Of a vertex: of the subtask that is furthest behind."""
    lag_seconds: float | None = None
    """How far the watermark is behind the clock; null before the first one and after the end."""
    late_rows: int = 0
    bad_rows: int = 0
    queued_bytes: int = 0
    """That wait at its inputs."""
    buffered_bytes: int = 0
    """That wait at its outputs."""
    state_bytes: int | None = None
    """In the newest complete snapshot."""


class HeldBy(Answer):
    """The input that holds a vertex's event time back: the one with the lowest watermark."""

    edge: int
    vertex: int
    """Where that edge comes from."""
    name: str
    subtask: int
    """Of that vertex: the one that is furthest behind."""
    watermark_ms: int | None = None
    """Null: it has not sent any."""
    ahead_seconds: float | None = None
    """How far the next input is ahead of it; null: it is the only one."""


class OperatorFacts(Answer):
    """One operator of a vertex's chain, in order. Totals of all subtasks."""

    name: str
    uid: str | None = None
    """Of operators with state: the identity of that state."""
    kind: str = ""
    """source, sink, filter, …"""
    rows_in: int = 0
    rows_out: int = 0
    late_rows: int = 0
    bad_rows: int = 0


class SourceLag(Answer):
    """What a source has not read yet, as far as it can tell."""

    rows: int | None = None
    bytes: int | None = None
    splits_waiting: int | None = None
    splits_under_way: int | None = None
    splits_read: int | None = None


class Latency(Answer):
    """How long rows take from the sources to here, by what marked rows have taken of late."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    samples: int


class SubtaskFacts(Answer):
    """One subtask of a vertex."""

    subtask: int
    state: TaskState
    figures: Figures = Figures()


class VertexFacts(Answer):
    """One chain of operators."""

    id: int
    name: str
    parallelism: int
    operators: list[OperatorFacts] = []
    is_source: bool = False
    is_sink: bool = False
    states: dict[str, int] = {}
    """How many subtasks are in which state."""
    figures: Figures = Figures()
    busiest: float = 0.0
    """The largest share of a subtask."""
    most_backpressured: float = 0.0
    skew: float = 1.0
    """The largest subtask's rows per second, over the mean; 1: all alike, or nothing flows."""
    skewed_subtask: int | None = None
    held_by: HeldBy | None = None
    source_lag: SourceLag | None = None
    latency: Latency | None = None
    subtasks: list[SubtaskFacts] = []
    """Empty unless `?subtasks=true`."""


class EdgeFacts(Answer):
    """From vertex `source` to vertex `target`."""

    id: int
    source: int
    target: int
    port: int = 0
    exchange: str = "forward"
    """forward, hash, rebalance, rescale, broadcast, global or custom."""
    keys: list[str] = []
    holds_time_back: bool = False
    """It is its target's heldBy, of several."""


class Graph(Answer):
    """Vertices in topological order."""

    model_config = example(
        name="flights", at="2026-03-01T12:00:00.000Z", parallelism=2, maxParallelism=128,
        vertices=[
            {"id": 0, "name": "read flights", "parallelism": 2, "isSource": True, "states": {"Running": 2},
             "figures": {"rowsOut": 182_000, "rowsOutPerSecond": 30_200.5, "busy": 0.42}},
            {"id": 1, "name": "count by carrier", "parallelism": 2, "isSink": True, "states": {"Running": 2},
             "heldBy": {"edge": 0, "vertex": 0, "name": "read flights", "subtask": 1}},
        ],
        edges=[{"id": 0, "source": 0, "target": 1, "exchange": "hash", "keys": ["carrier"]}],
    )  # fmt: skip
    name: str
    at: Time
    parallelism: int = 0
    max_parallelism: int = 0
    vertices: list[VertexFacts] = []
    edges: list[EdgeFacts] = []


class TaskFacts(Answer):
    """One subtask, and where it is."""

    vertex: int
    name: str
    """Of the vertex."""
    subtask: int
    parallelism: int
    state: TaskState
    attempt: int = 0
    slot: int = 0
    task_manager: str | None = None
    """Null: it has no slot now."""
    host: str | None = None
    pid: int | None = None
    figures: Figures = Figures()


class TaskManagerFacts(Answer):
    """A process that offers slots."""

    name: str
    host: str
    pid: int
    slots: int
    slots_used: int = 0


class Tasks(Answer):
    """By vertex and subtask."""

    model_config = example(
        at="2026-03-01T12:00:00.000Z",
        tasks=[{"vertex": 0, "name": "read flights", "subtask": 0, "parallelism": 2, "state": "Running",
                "attempt": 1, "taskManager": "taskmanager-1", "host": "127.0.0.1", "pid": 4711}],
        taskManagers=[{"name": "taskmanager-1", "host": "127.0.0.1", "pid": 4700, "slots": 2, "slotsUsed": 2}],
    )  # fmt: skip
    at: Time
    tasks: list[TaskFacts] = []
    task_managers: list[TaskManagerFacts] = []


class Series(Answer):
    """One figure over time; `values[i]` belongs to `timesMs[i]`, null: nothing was known."""

    name: str
    unit: str
    vertex: int | None = None
    """Null: of the whole job."""
    values: list[float | None] = []


class Metrics(Answer):
    """Series with one axis of time, oldest first, of the last 10 minutes or the last hour."""

    model_config = example(
        stepSeconds=5.0, timesMs=[1_772_366_400_000, 1_772_366_405_000],
        series=[{"name": "rowsIn", "unit": "rows/s", "vertex": None, "values": [30_100.0, 30_200.5]}],
    )  # fmt: skip
    step_seconds: float
    times_ms: list[int] = []
    series: list[Series] = []
