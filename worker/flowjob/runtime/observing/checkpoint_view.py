"""Checkpoints as cluster/job_history.py says them: the history, and one of them by subtask.

Looks at checkpoint_memory.py and at the coordinator; it remembers nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from flowjob.cluster.job_history import (
    CheckpointDetail,
    CheckpointFacts,
    Checkpoints,
    CheckpointStatus,
    CheckpointSubtask,
    CheckpointVertex,
    Statistics,
)
from flowjob.core.checkpoint_records import Status
from flowjob.core.coordinator_events import Kind
from flowjob.plan.job_graph import Vertex
from flowjob.runtime.jobmanager.checkpoints import CheckpointService
from flowjob.runtime.jobmanager.viewing import failures_of, when
from flowjob.runtime.observing.checkpoint_memory import Entry, Sums
from flowjob.runtime.observing.observer import Observer

_KINDS: dict[Kind, Literal["Checkpoint", "FinalCheckpoint", "Savepoint", "Stop"]] = {
    Kind.CHECKPOINT: "Checkpoint", Kind.FINAL: "FinalCheckpoint", Kind.SAVEPOINT: "Savepoint", Kind.STOP: "Stop",
}  # fmt: skip
_STATUSES: dict[Status, CheckpointStatus] = {
    Status.RUNNING: "Running", Status.STORING: "Storing", Status.COMPLETED: "Completed", Status.FAILED: "Failed",
    Status.ABORTED: "Aborted",
}  # fmt: skip


def checkpoints_of(observer: Observer) -> Checkpoints:
    """The history."""
    observer.sync()
    memory = observer.checkpoints
    entries = memory.entries()
    history = [facts_of(observer, entry) for entry in entries]
    complete = [facts for facts in history if facts.status == "Completed"]
    service = None if observer.conductor is None else observer.conductor.checkpoints
    records = tuple(e.record for e in reversed(entries) if e.record is not None)
    return Checkpoints(
        enabled=service is not None,
        triggered=memory.triggered,
        completed=memory.completed,
        failed=memory.failed,
        aborted=memory.aborted,
        under_way=sum(facts.status in ("Running", "Storing") for facts in history),
        failed_in_a_row=failures_of(records)[0],
        next_at=next_at(service, entries),
        restored=observer.restored,
        duration_ms=statistics([facts.duration_ms for facts in complete]),
        bytes=statistics([facts.bytes for facts in complete]),
        history=history,
    )


def next_at(service: CheckpointService | None, entries: Sequence[Entry]) -> str | None:
    """When the next periodic one is due, unless something comes between. None: nobody knows, or one is under way."""
    last = entries[0] if entries else None
    if service is None or service.settings.interval is None or last is None or not last.is_over:
        return None
    assert last.record is not None
    settings = service.settings
    ended = last.record.duration + settings.min_pause
    return when(last.triggered + int(max(settings.interval or 0.0, ended) * 1e6))


def facts_of(observer: Observer, entry: Entry) -> CheckpointFacts:
    """Of one whose record there is."""
    record = entry.record
    assert record is not None
    sums = observer.checkpoints.sums(entry)
    clock = observer.clock
    duration = record.duration if entry.is_over else clock.monotonic() - record.triggered
    acknowledged = None
    if entry.acknowledged == record.tasks and entry.last_after is not None:
        acknowledged = entry.last_after
    stored = record.status is Status.COMPLETED and acknowledged is not None
    ended = entry.triggered + int(record.duration * 1e6)
    return CheckpointFacts(
        id=entry.id,
        kind=_KINDS[record.kind],
        status=_STATUSES[record.status],
        triggered_at=when(entry.triggered),
        ended_at=when(ended) if entry.is_over else None,
        duration_ms=_ms(duration),
        alignment_ms=round(sums.alignment_ms, 3),
        sync_ms=round(sums.sync_ms, 3),
        async_ms=round(sums.async_ms, 3),
        acknowledge_ms=None if acknowledged is None else _ms(acknowledged),
        store_ms=_ms(record.duration - acknowledged)
        if stored and acknowledged is not None
        else None,
        bytes=sums.bytes,
        in_flight_bytes=sums.in_flight_bytes,
        tasks=record.tasks,
        acknowledged=entry.acknowledged,
        unaligned=sums.in_flight_bytes > 0,
        savepoint=record.savepoint,
        path=observer.path_of(entry),
        reason=record.reason,
        attempt=entry.attempt,
    )


def detail_of(observer: Observer, id: int) -> CheckpointDetail | None:
    """None: there is none of that number, or it is forgotten."""
    observer.sync()
    entry = observer.checkpoints.find(id)
    if entry is None:
        return None
    vertices = (
        [] if entry.parts is None else [_vertex(entry, v) for v in entry.layout.graph.vertices]
    )
    return CheckpointDetail(checkpoint=facts_of(observer, entry), vertices=vertices)


def _vertex(entry: Entry, vertex: Vertex) -> CheckpointVertex:
    assert entry.parts is not None
    assert entry.record is not None
    parts = entry.parts[entry.layout.of_vertex(vertex.id, vertex.parallelism)]
    sums, triggered = Sums.of(parts), entry.record.triggered
    subtasks = []
    for i, (at, *figures) in enumerate(parts):
        alignment, sync, behind, size, in_flight = (
            0.0 if np.isnan(f) else float(f) for f in figures
        )
        subtasks.append(
            CheckpointSubtask(
                subtask=i,
                acknowledged_ms=None if np.isnan(at) else _ms(float(at) - triggered),
                alignment_ms=round(alignment, 3),
                sync_ms=round(sync, 3),
                async_ms=round(behind, 3),
                bytes=int(size),
                in_flight_bytes=int(in_flight),
            )
        )
    return CheckpointVertex(
        vertex=vertex.id,
        name=vertex.name,
        tasks=vertex.parallelism,
        acknowledged=int((~np.isnan(parts[:, 0])).sum()),
        acknowledged_ms=None if sums.last is None else _ms(sums.last - triggered),
        alignment_ms=round(sums.alignment_ms, 3),
        sync_ms=round(sums.sync_ms, 3),
        async_ms=round(sums.async_ms, 3),
        bytes=sums.bytes,
        in_flight_bytes=sums.in_flight_bytes,
        subtasks=subtasks,
    )


def statistics(values: Sequence[float]) -> Statistics:
    """Zeros where there is none."""
    if not values:
        return Statistics()
    sorted_values = np.sort(np.array(values, np.float64))
    return Statistics(
        count=len(values),
        least=float(sorted_values[0]),
        mean=round(float(sorted_values.mean()), 3),
        p95=float(sorted_values[min(len(values) - 1, int(len(values) * 0.95))]),
        most=float(sorted_values[-1]),
    )


def _ms(seconds: float) -> float:
    return round(max(0.0, seconds) * 1e3, 3)
