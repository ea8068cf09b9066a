"""Checkpoints that were taken, with what each subtask has said of its part: more of them than a coordinator remembers.

It outlives JobManagers' tenures. Figures by subtask are kept for the newest ones only, within a budget of rows. It must
not know how they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flowjob.core.checkpoint_records import CheckpointRecord, Status
from flowjob.core.job_events import TaskId
from flowjob.plan.job_graph import JobGraph
from flowjob.runtime.checkpoint.manifest import TaskSnapshot

KEPT = 60
"""Checkpoints."""

SUBTASK_ROWS = 100_000
"""Figures of subtasks, of all checkpoints together: 48 bytes each."""

COLUMNS = ("at", "alignment_ms", "sync_ms", "async_ms", "bytes", "in_flight_bytes")
"""Of a subtask. `at`: when it acknowledged, seconds of the monotonic clock; NaN: it has not."""

_OVER = (Status.COMPLETED, Status.FAILED, Status.ABORTED)


class Layout:
    """Which row of an array belongs to which subtask of `graph`."""

    def __init__(self, graph: JobGraph) -> None:
        self.graph = graph
        self._first: dict[int, int] = {}
        self.rows = 0
        for vertex in graph.vertices:
            self._first[vertex.id] = self.rows
            self.rows += vertex.parallelism

    def of_vertex(self, vertex: int, parallelism: int) -> slice:
        first = self._first[vertex]
        return slice(first, first + parallelism)

    def row(self, task: TaskId) -> int | None:
        first = self._first.get(task.vertex)
        return None if first is None else first + task.subtask


@dataclass(frozen=True, slots=True)
class Sums:
    """Of many subtasks: the longest of each phase, in ms; all bytes; the `last` acknowledgement (monotonic clock)."""

    alignment_ms: float = 0.0
    sync_ms: float = 0.0
    async_ms: float = 0.0
    bytes: int = 0
    in_flight_bytes: int = 0
    last: float | None = None

    @classmethod
    def of(cls, parts: npt.NDArray[np.float64]) -> Sums:
        """`parts`: COLUMNS by subtask."""
        known = parts[~np.isnan(parts[:, 0])]
        if not len(known):
            return cls()
        last, alignment, sync, behind = (float(x) for x in known[:, :4].max(axis=0))
        size, in_flight = (int(x) for x in known[:, 4:].sum(axis=0))
        return cls(alignment, sync, behind, size, in_flight, last)


@dataclass(slots=True)
class Entry:
    """One checkpoint.

    record     None: the coordinator has not told of it yet. Its acknowledgements are left out, and only counted
    parts      COLUMNS by row of `layout`; None: kept no more
    triggered  µs since the epoch
    """

    id: int
    layout: Layout
    attempt: int
    record: CheckpointRecord | None = None
    triggered: int = 0
    acknowledged: int = 0
    last_after: float | None = None
    """Seconds from the trigger to the last acknowledgement there is"""
    parts: npt.NDArray[np.float64] | None = None
    path: str | None = None

    @property
    def is_over(self) -> bool:
        return self.record is not None and self.record.status in _OVER

    def sums(self) -> Sums:
        """Over all subtasks."""
        return Sums() if self.parts is None else Sums.of(self.parts)


class CheckpointMemory:
    """Counts are of this JobManager's life."""

    def __init__(self) -> None:
        self.triggered = self.completed = self.failed = self.aborted = 0
        self.newest_complete: Entry | None = None
        self._entries: dict[int, Entry] = {}
        self._sums: dict[int, Sums] = {}

    def heard(
        self, id: int, snapshot: TaskSnapshot, layout: Layout, attempt: int, now: float
    ) -> None:
        """A subtask's part is stored."""
        entry = self._entry(id, layout, attempt)
        row = entry.layout.row(TaskId(*snapshot.task))
        if entry.parts is None:
            if entry.is_over:
                return
            entry.parts = np.full((layout.rows, len(COLUMNS)), np.nan)
            self._keep_within()
        if row is None or row >= len(entry.parts) or not np.isnan(entry.parts[row, 0]):
            return
        of = snapshot.figures
        entry.parts[row] = (
            now, of.alignment_ms, of.sync_ms, of.async_ms, of.bytes, of.in_flight_bytes,
        )  # fmt: skip

    def sync(
        self, records: Iterable[CheckpointRecord], layout: Layout, attempt: int, wall_at_zero: int
    ) -> list[Entry]:
        """What a coordinator says of its snapshots; those that are new, and those that have ended since.
        `wall_at_zero`: µs since the epoch where its clock stood at 0."""
        news = []
        for record in records:
            entry = self._entry(record.checkpoint, layout, attempt)
            if entry.is_over:
                continue
            is_new, entry.record = entry.record is None, replace(record, acks=())
            entry.acknowledged = len(record.acks)
            entry.last_after = record.acks[-1].after if record.acks else None
            if is_new:
                self.triggered += 1
                entry.triggered = wall_at_zero + int(record.triggered * 1e6)
            if record.status in _OVER:
                self._count(entry, record.status)
            if is_new or record.status in _OVER:
                news.append(entry)
        return news

    def abandon(self, reason: str) -> None:
        """Nobody will tell of those that are under way."""
        for entry in self._entries.values():
            if entry.record is not None and not entry.is_over:
                entry.record = replace(entry.record, status=Status.ABORTED, reason=reason)
                self.aborted += 1

    def entries(self) -> list[Entry]:
        """Newest first; only those of which something is known."""
        known = [e for e in self._entries.values() if e.record is not None]
        return sorted(known, key=lambda e: e.id, reverse=True)

    def find(self, id: int) -> Entry | None:
        entry = self._entries.get(id)
        return None if entry is None or entry.record is None else entry

    def sums(self, entry: Entry) -> Sums:
        """Over all subtasks: sums of bytes, the longest of each phase."""
        return self._sums.get(entry.id, Sums()) if entry.parts is None else entry.sums()

    @property
    def rows(self) -> int:
        """Figures of subtasks that are kept."""
        return sum(len(e.parts) for e in self._entries.values() if e.parts is not None)

    def _entry(self, id: int, layout: Layout, attempt: int) -> Entry:
        if id not in self._entries:
            self._entries[id] = Entry(id, layout, attempt)
            while len(self._entries) > KEPT:
                oldest = min(self._entries)
                del self._entries[oldest]
                self._sums.pop(oldest, None)
        return self._entries[id]

    def _count(self, entry: Entry, status: Status) -> None:
        if status is Status.COMPLETED:
            self.completed += 1
            self.newest_complete = entry
        elif status is Status.FAILED:
            self.failed += 1
        else:
            self.aborted += 1

    def _keep_within(self) -> None:
        """The newest one always stays: it is being filled."""
        for entry in sorted(self._entries.values(), key=lambda e: e.id):
            if self.rows <= SUBTASK_ROWS or entry.id == max(self._entries):
                return
            if entry.parts is not None:
                self._sums[entry.id] = self.sums(entry)
                entry.parts = None


def state_sizes(tasks: Iterable[TaskSnapshot]) -> dict[TaskId, int]:
    """Bytes of state by task, as a snapshot's manifest has it."""
    return {
        TaskId(*task.task): sum(part.length for state in task.operators for part in state.parts)
        for task in tasks
    }
