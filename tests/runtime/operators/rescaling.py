"""Runs an operator at some parallelism, snapshots it, restores it at another one and goes on.

For every stateful operator: `check_rescaling` compares such a run with one that is never interrupted. Rows are dealt
by the hash of their key columns as an exchange does; sections pass through the files of a store. It must not know any
particular operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flowjob.core.elements import Watermark
from flowjob.kernels.keys import encode_keys
from flowjob.kernels.partitioning import partition
from flowjob.runtime.batch import Batch, Data, Rows
from flowjob.runtime.checkpoint.restoring import SnapshotReader
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.operators.base import Operator, Side
from tests.runtime.checkpoint.snapshots import DIRECTORY, places, stored
from tests.runtime.checkpoint.snapshots import run as run_async
from tests.runtime.operators.harness import START, MockClock, OperatorHarness, rows_of

MAX_PARALLELISM = 16

Snapshots = list[list[Section]]
"""Per subtask, the sections it gave."""


@dataclass(frozen=True, eq=False)
class Feed:
    """Rows for input `port`, dealt by the hash of the columns `keys`; None: every subtask gets all of them."""

    data: Batch
    port: int = 0
    keys: Sequence[str] | None = ("k",)


@dataclass(frozen=True)
class EventTime:
    """A watermark, µs."""

    watermark: int


@dataclass(frozen=True)
class WallTime:
    """The clock moves on by so many µs; timers on the way fire."""

    micros: int


@dataclass(frozen=True)
class Rescale:
    """Snapshot everything, throw it away, restore at this parallelism. Left out of the run compared with."""

    parallelism: int


@dataclass(frozen=True)
class End:
    """All inputs end."""


Step = Feed | EventTime | WallTime | Rescale | End


@dataclass(frozen=True)
class Given:
    """One row of output. `step`: of the script, rescaling not counted; `shown` is exact (repr)."""

    step: int
    tag: str
    row: Any
    time: int | None
    kind: int

    @property
    def shown(self) -> str:
        return f"{self.step} {self.tag} {self.row!r} {self.time} {self.kind}"


def check_rescaling(
    make: Callable[[], Operator],
    steps: Sequence[Step],
    *,
    key_of: Callable[[Any], Hashable] | None = None,
    parallelism: int = 1,
) -> list[Given]:
    """The script with its `Rescale` steps gives exactly what it gives without them: the same rows at every step, and
    those of one key (`key_of` of an output row) in the same order. Returns the uninterrupted run's."""
    whole = run(make, [s for s in steps if not isinstance(s, Rescale)])
    cut = run(make, steps, parallelism=parallelism)
    assert Counter(g.shown for g in cut) == Counter(g.shown for g in whole)
    if key_of is not None:
        assert _by_key(cut, key_of) == _by_key(whole, key_of)
    return whole


def run(
    make: Callable[[], Operator], steps: Sequence[Step], *, parallelism: int = 1
) -> list[Given]:
    """What the operator gives, in order of steps, then of subtasks."""
    fleet = Fleet(make, parallelism)
    given: list[Given] = []
    counted = 0
    for step in steps:
        if isinstance(step, Rescale):
            fleet = fleet.rescaled(step.parallelism)
            continue
        for output in fleet.take(step):
            given += _given(counted, output)
        counted += 1
    fleet.close()
    return given


class Fleet:
    """The subtasks of one operator."""

    def __init__(self, make: Callable[[], Operator], parallelism: int, wall: int = START) -> None:
        self.make = make
        self.parallelism = parallelism
        self.wall = wall
        self.subtasks = [
            OperatorHarness(
                make(),
                clock=MockClock(wall),
                subtask=subtask,
                parallelism=parallelism,
                max_parallelism=MAX_PARALLELISM,
            )
            for subtask in range(parallelism)
        ]

    def take(self, step: Step) -> list[Data | Side | Watermark]:
        """One step in all subtasks."""
        match step:
            case Feed():
                return self._feed(step)
            case EventTime(watermark):
                return [
                    o
                    for s in self.subtasks
                    for o in s.watermark(watermark)
                    if o != Watermark(watermark)
                ]
            case WallTime(micros):
                self.wall += micros
                return [o for s in self.subtasks for o in s.advance(self.wall)]
            case End():
                return [o for s in self.subtasks for o in s.end() if not isinstance(o, Watermark)]
        raise AssertionError(step)

    def snapshot(self) -> Snapshots:
        """Of every subtask, after a flush that must give nothing. Asserts that snapshots change nothing."""
        taken = []
        for subtask in self.subtasks:
            assert subtask.flush() == [], "what is held back for batching must be flushed by tests"
            assert subtask.operator.state_bytes >= 0
            sections = list(subtask.operator.snapshot())
            assert_same_sections(sections, list(subtask.operator.snapshot()))
            taken.append(sections)
        return taken

    def rescaled(self, parallelism: int) -> Fleet:
        """New subtasks, restored from a snapshot of these."""
        snapshots = self.snapshot()
        self.close()
        fleet = Fleet(self.make, parallelism, self.wall)
        for harness, state in zip(fleet.subtasks, restored_all(snapshots, parallelism)):
            harness.operator.restore(state)
        return fleet

    def close(self) -> None:
        for subtask in self.subtasks:
            subtask.close()

    def _feed(self, step: Feed) -> list[Data | Side | Watermark]:
        if step.keys is None:
            return [o for s in self.subtasks for o in s.feed(step.data, step.port)]
        columns = [step.data.columns.column(name) for name in step.keys]
        hashes = encode_keys(columns, len(step.data)).hashes
        dealt = partition(hashes, MAX_PARALLELISM, self.parallelism)
        given: list[Data | Side | Watermark] = []
        for subtask, harness in enumerate(self.subtasks):
            rows = dealt.order[dealt.offsets[subtask] : dealt.offsets[subtask + 1]]
            if len(rows):
                given += harness.feed(step.data.take(rows), step.port)
        return given


def restored(snapshots: Snapshots, subtask: int, parallelism: int) -> RestoredState:
    """What subtask `subtask` of `parallelism` gets of the snapshots of all former subtasks, by way of a store."""
    return restored_all(snapshots, parallelism)[subtask]


def restored_all(snapshots: Snapshots, parallelism: int) -> list[RestoredState]:
    """The same for all subtasks."""
    store, manifest = stored(snapshots, MAX_PARALLELISM, inline=True)
    reader = SnapshotReader(store, DIRECTORY, manifest)
    return run_async(reader.restore_all(places(parallelism, MAX_PARALLELISM)))


def assert_same_sections(first: Sequence[Section], second: Sequence[Section]) -> None:
    """Equal to the last bit, rows in the same order."""
    assert [s.name for s in first] == [s.name for s in second]
    for a, b in zip(first, second):
        assert a.distribution is b.distribution
        assert dict(a.meta) == dict(b.meta)
        assert a.table.schema.equals(b.table.schema, check_metadata=True)
        assert a.table.num_rows == b.table.num_rows
        assert repr(a.table.to_pylist()) == repr(b.table.to_pylist())
        assert (a.hashes is None) == (b.hashes is None)
        if a.hashes is not None and b.hashes is not None:
            assert len(a.hashes) == a.table.num_rows
            assert a.hashes.tolist() == b.hashes.tolist()


def _given(step: int, output: Data | Side | Watermark) -> Iterable[Given]:
    if isinstance(output, Watermark):
        yield Given(step, "watermark", None, output.time, 0)
        return
    tag, data = (output.tag, output.data) if isinstance(output, Side) else ("", output)
    assert isinstance(data, Batch | Rows)
    times = [None] * len(data) if data.timestamps is None else data.timestamps.tolist()
    kinds = [0] * len(data) if data.kinds is None else data.kinds.tolist()
    for row, time, kind in zip(rows_of(data), times, kinds):
        yield Given(step, tag, row, time, kind)


def _by_key(given: list[Given], key_of: Callable[[Any], Hashable]) -> dict[Hashable, list[str]]:
    found: dict[Hashable, list[str]] = {}
    for each in given:
        if each.tag != "watermark":
            found.setdefault((each.tag, repr(key_of(each.row))), []).append(each.shown)
    return found
