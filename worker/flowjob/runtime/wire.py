"""What messages are made of: splits, barriers and figures as they travel, and as snapshots keep them.

Parts of runtime/messages.py, which gives them too. Fields are only ever added, with defaults."""

from __future__ import annotations

from typing import Any

import msgspec

from flowjob.core.job_events import TaskId


class SplitProgress(msgspec.Struct, frozen=True):
    """What a source task knows of a split besides the reader's position: restored with it.

    largest  the largest timestamp seen, µs UTC
    to_mark  rows since the last pinned watermark
    reached  what the split's watermark was made of: behind `largest` between two pinned ones. None: the same
    """

    largest: int
    to_mark: int = 0
    reached: int | None = None


class WireSplit(msgspec.Struct, frozen=True):
    """A connectors.base.Split with the position to start from."""

    id: str
    data: dict[str, Any]
    position: dict[str, Any] | None = None
    progress: SplitProgress | None = None


class WireBarrier(msgspec.Struct, frozen=True):
    """core.elements.Barrier; `stop` is the value of a Stop."""

    checkpoint: int
    savepoint: bool = False
    unaligned: bool = False
    stop: str = "no"


class TaskMetrics(msgspec.Struct, frozen=True):
    """Latest figures of one task: totals since its start, never differences."""

    task: TaskId
    values: dict[str, Any]


class SaidLine(msgspec.Struct, frozen=True, array_like=True):
    """What a TaskManager itself says, and not what runs in it. `at`: µs UTC; `slot`: the one that it is about."""

    at: int
    level: str
    logger: str
    text: str
    slot: int = -1
    attempt: int = 0


class TaskInventory(msgspec.Struct, frozen=True):
    """A task as its slot knows it, for a JobManager that did not start it.

    running  False: it has finished, or does what a new JobManager could not take back: stop for a savepoint
    ended    it only waits for its last commit
    splits   for a source: ids of those it was given and has not read to their end
    read     ids of those it has
    """

    task: TaskId
    running: bool = True
    ended: bool = False
    splits: list[str] = []
    read: list[str] = []
