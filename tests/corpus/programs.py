"""Programs whose snapshots are kept for ever, and how they are run up to a snapshot and on from one.

A program here never changes once a version's snapshots of it are committed: add another one instead. `python -m
tests.corpus.add VERSION` makes the snapshots of a version, and test_corpus.py restores those of every version."""

from __future__ import annotations

import pickle
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

import flowjob as fj
from flowjob.connectors.collect import decode_report
from flowjob.plan.types import OBJECT_COLUMN
from flowjob.testing import restarts
from flowjob.testing.virtual_time import run_virtually

START = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Reading(fj.Schema):
    sensor: str
    value: int
    price: float | None
    at: datetime


class Range(fj.Schema):
    low: int
    high: int
    names: list[str]


class Everything(fj.KeyedProcess[Any, Any]):
    """State of every kind, and timers."""

    last = fj.value_state(Reading)
    ranges = fj.value_state(Range, ttl=timedelta(days=1000))
    recent = fj.list_state(int)
    by_hour = fj.map_state(int, float)
    largest = fj.reducing_state(int, max)
    anything = fj.value_state(object)

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        last, range = self.last.value, self.ranges.value
        before = [*self.recent][-2:]
        hour = row.at.hour
        self.by_hour[hour] = self.by_hour.get(hour, 0.0) + (row.price or 0.0)
        self.largest.add(row.value % 17)
        self.recent.append(row.value)
        seen = self.anything.value or frozenset()
        ctx.emit(
            f"{row.sensor} {row.value}: {last and last.value} {range and (range.low, range.names)} {before} "
            f"{len(self.by_hour)} {self.largest.value} {len(seen)}"
        )
        self.last.value = row
        low = row.value if range is None else range.low
        self.ranges.value = Range(low, row.value, [row.sensor, "x"])
        self.anything.value = seen | {row.value % 5}
        if row.value % 4 == 0:
            ctx.set_timer(row.at + 90 * MINUTE)

    def on_timer(self, at: datetime, ctx: fj.Context) -> None:
        ctx.emit(f"{ctx.key} at {at:%d %H:%M}: {len(self.recent)} {self.largest.value}")


class Add(fj.KeyedProcess[Any, Any]):
    """One more function, whose keys are numbers."""

    total = fj.value_state(int, default=0)

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        self.total.value += row.value
        ctx.emit(f"{ctx.key}: {self.total.value}")


def readings(job: fj.Job) -> fj.Stream[Reading]:
    rows = [
        Reading(f"s{n * n // 3 % 7}", n, None if n % 11 == 0 else n / 4, START + 5 * n * MINUTE)
        for n in range(300)
    ]
    return job.read(fj.from_rows(rows, event_time="at", watermark_every=10, max_delay=HOUR)).named(
        "readings"
    )


Build = Callable[[fj.Stream[Reading]], "fj.Stream[Any]"]

_AGGREGATES: dict[str, Any] = {
    "n": fj.count(),
    "total": fj.sum("value"),
    "mean": fj.mean("price"),
    "least": fj.min("price"),
    "first": fj.first("value"),
    "kinds": fj.count_distinct("value"),
}

PROGRAMS: dict[str, Build] = {
    "functions": lambda s: s.key_by("sensor").process(Everything()),
    "number_keys": lambda s: s.key_by("value").process(Add()),
    "reduce": lambda s: s.key_by("sensor").reduce(lambda a, b: b if b.value % 3 else a),
    "running": lambda s: s.key_by("sensor").agg(n=fj.count(), total=fj.sum("value")),
    "tumbling": lambda s: s.key_by("sensor").window(fj.tumbling(3 * HOUR)).agg(**_AGGREGATES),
    "sliding": lambda s: (
        s.key_by("sensor").window(fj.sliding(size=6 * HOUR, slide=2 * HOUR)).agg(**_AGGREGATES)
    ),
    "sessions": lambda s: s.key_by("sensor").window(fj.session(gap=30 * MINUTE)).agg(**_AGGREGATES),
    "window_rows": lambda s: (
        s.key_by("sensor")
        .window(fj.tumbling(4 * HOUR))
        .apply(lambda window, rows: [f"{window.key} {window.start:%H} {[r.value for r in rows]}"])
    ),
    "counts": lambda s: s.key_by("sensor").window(fj.count_window(4)).agg(total=fj.sum("value")),
}


def program(name: str) -> Callable[[fj.Job], None]:
    def build(job: fj.Job) -> None:
        job.write(PROGRAMS[name](readings(job)).named("op"), fj.show("out"), name="out")

    return build


TURNS = 20
"""Of the event loop, until the snapshot: some of the rows are read then."""


@dataclass(frozen=True)
class Taken:
    """A snapshot: its objects by name, the manifest among them."""

    objects: dict[str, bytes]


def take(name: str) -> Taken:
    """Runs a program in two subtasks each, up to a snapshot in its middle."""
    world = _world(name, lambda sink, data: None)
    world.run(restarts.Life(parallelism=2, snapshots=[TURNS], dies=60))
    prefix = "job/checkpoints/1/"  # the next one is of the end
    found = world.objects
    return Taken({n.removeprefix(prefix): d for n, d in found.items() if n.startswith(prefix)})


def go_on(name: str, taken: Taken, parallelism: int) -> Counter[str]:
    """The rows that a program still gives when it is started from a snapshot."""
    rows: Counter[str] = Counter()
    world = _world(name, lambda sink, data: rows.update(_rows(data)))
    world.fill({f"job/checkpoints/1/{n}": d for n, d in taken.objects.items()}, newest=1)
    world.run(restarts.Life(parallelism=parallelism))
    return rows


def undisturbed(name: str) -> Counter[str]:
    """All rows that a program gives."""
    rows: Counter[str] = Counter()
    _world(name, lambda sink, data: rows.update(_rows(data))).run(restarts.Life())
    return rows


def _rows(message: bytes) -> list[str]:
    columns: pa.RecordBatch = decode_report(message).columns
    return [
        repr({n: pickle.loads(v) if n == OBJECT_COLUMN else v for n, v in row.items()})
        for row in columns.to_pylist()
    ]


class _Runs:
    """A rehearsal with a store that can be looked into."""

    def __init__(self, name: str, on_report: Callable[[str, bytes], None]) -> None:
        self._name = name
        self._on_report = on_report
        self._filled: dict[str, bytes] = {}
        self._start: int | None = None
        self.objects: dict[str, bytes] = {}

    def fill(self, objects: dict[str, bytes], newest: int) -> None:
        self._filled, self._start = objects, newest

    def run(self, life: restarts.Life) -> None:
        with tempfile.TemporaryDirectory(prefix="flowjob-test-") as directory:
            world = restarts._World(
                program(self._name), self._on_report, restarts.PLAN, Path(directory)
            )
            run_virtually(self._run(world, life))

    async def _run(self, world: restarts._World, life: restarts.Life) -> None:
        for name, data in self._filled.items():
            await world.store.put(name, data)
        world.newest, world.checkpoint = self._start, self._start or 0
        await world.run([life])
        async for info in world.store.scan("job/"):
            self.objects[info.name] = await world.store.get(info.name)


def _world(name: str, on_report: Callable[[str, bytes], None]) -> _Runs:
    return _Runs(name, on_report)
