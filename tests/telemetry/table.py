"""All metrics that the code registers, as the table of docs/metrics.md.

`python -m tests.telemetry.table` writes the table anew: meanings are those that /metrics tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from flowjob.cluster.control_api import Checkpointing, JobManagerView, Snapshot
from flowjob.cluster.job_figures import Figures, Graph, SourceLag, VertexFacts
from flowjob.cluster.job_history import CheckpointFacts, Checkpoints
from flowjob.cluster.metrics import Family, of_job, of_taskmanager, of_vertices
from flowjob.cluster.remembered_metrics import of_checkpoints, of_graph, of_latencies, of_memory
from flowjob.core.durations import COUNTS
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_operator.process.telling.metrics import Metrics

DOCUMENT = Path(__file__).parents[2] / "docs/metrics.md"
TIME = "2026-01-01T00:00:00.000Z"

_UNITS = {
    "seconds": "s", "bytes": "bytes", "rows": "rows", "share": "0..1", "ratio": "1", "splits": "splits",
    "batches": "batches",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Row:
    """One metric. `name` as in queries, a histogram's without `_bucket`, `_sum` and `_count`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    unit: str
    meaning: str

    def __str__(self) -> str:
        labels = ", ".join(f"`{label}`" for label in self.labels)
        return f"| `{self.name}` | {self.kind} | {labels} | {self.unit} | {self.meaning} |"

    @property
    def series(self) -> set[str]:
        """Names that an expression may use."""
        if self.kind != "histogram":
            return {self.name}
        return {f"{self.name}_{suffix}" for suffix in ("bucket", "sum", "count")}


def unit_of(name: str) -> str:
    """By the name, whose words say it; else a number of what the name says."""
    found = [_UNITS[word] for word in name.removesuffix("_total").split("_") if word in _UNITS]
    return found[-1] if found else ""


def row_of(name: str, kind: str, labels: tuple[str, ...], text: str) -> Row:
    full = f"{name}_total" if kind == "counter" else name
    return Row(full, kind, labels, unit_of(full), text.removesuffix("."))


def of_jobmanager() -> list[Family]:
    """With every fact there may be."""
    latest = Snapshot(type="Checkpoint", id=1, path="p", completed_at=TIME, size=1)
    view = JobManagerView(
        uid="u", revision=1, state="Running", checkpoints=Checkpointing(latest=latest)
    )
    done = CheckpointFacts(
        id=1, kind="Checkpoint", status="Completed", triggered_at=TIME, acknowledge_ms=1, store_ms=1
    )
    vertex = VertexFacts(
        id=0,
        name="read",
        parallelism=1,
        is_source=True,
        figures=Figures(state_bytes=1),
        source_lag=SourceLag(rows=1, bytes=1, splits_waiting=1),
    )
    return [
        *of_job(view, 0.0),
        *of_vertices(
            {(0, 0): {"watermark_lag_us": 1, "splits": 1, "splits_read": 1}},
            ["read"],
            per_subtask=True,
        ),
        *of_graph(Graph(name="j", at=TIME, vertices=[vertex])),
        *of_latencies({(0, 0): [0] * (COUNTS + 1)}, ["read"]),
        *of_checkpoints(Checkpoints(history=[done])),
        *of_memory(exceptions=0, lines_dropped=0),
    ]


def of_families(families: list[Family]) -> list[Row]:
    return [row_of(f.name, f.kind, f.labels, f.text) for f in families]


def of_registry(registry: CollectorRegistry) -> list[Row]:
    found = []
    for collector in list(
        registry._collector_to_names
    ):  # says labels also where there is no value yet
        any_collector: Any = collector
        kind = any_collector._type
        found.append(
            row_of(
                any_collector._name,
                kind,
                tuple(any_collector._labelnames),
                any_collector._documentation,
            )
        )
    return found


def rows() -> dict[str, list[Row]]:
    """By section of the document."""
    taskmanager = of_taskmanager(registered=True, slots=1, used=1)
    return {
        "JobManager": of_families(of_jobmanager()),
        "TaskManager": of_families(taskmanager),
        "Operator": of_registry(Metrics().registry),
        "Service": of_registry(ServiceMetrics()._registry),
    }


def series() -> set[str]:
    """All names that an expression may use."""
    return {name for each in rows().values() for row in each for name in row.series}


def table(section: list[Row]) -> str:
    head = "| Metric | Type | Labels | Unit | Meaning |\n|---|---|---|---|---|\n"
    return head + "".join(f"{row}\n" for row in section)


def written(text: str) -> str:
    """The page with its tables anew."""
    for name, section in rows().items():
        pattern = rf"(^## {name}\n.*?)^\| Metric .*?^(?!\|)"
        new = table(section)
        text = re.sub(pattern, lambda m, new=new: m[1] + new, text, count=1, flags=re.M | re.S)
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
