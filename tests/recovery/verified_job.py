"""The job whose results say by themselves whether anything was lost, doubled or put out of order.

Row n is in split n % SPLITS, so every result has a closed form (verifier.py). A shuffle that keeps the order of each
split, functions that fail where a marker file says so, state with timers beside a window, and three sinks of files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import flowjob as fj
from flowjob.connectors.base import Sink

SPLITS = 4
KEYS = 13
START = datetime(2024, 1, 1, tzinfo=UTC)
STEP = timedelta(milliseconds=1)
WINDOW = timedelta(milliseconds=250)
"""Of event time: row n happens at START + n * STEP."""


class Args(fj.Args):
    """faults: the directory of marker files (see `fails_once`); pad: bytes of each key's state, so that snapshots are
    too large to travel in messages; the others as in the documentation of files and checkpoints."""

    rows: int = 10_000
    rate: int = 5_000
    out: str = "out"
    faults: str = "faults"
    format: Literal["jsonl", "parquet"] = "jsonl"
    roll_rows: int = 500
    retained: int = 2
    max_concurrent: int = 1
    min_pause_ms: int = 10
    timeout_ms: int = 10_000
    unaligned: Literal["never", "auto", "always"] = "never"
    spill_bytes: int = 0
    pad: int = 0
    restarts: int = 100


class Moved(fj.Schema):
    """A row of the source, with its key."""

    n: int
    at: datetime
    split: int
    key: int


class Seen(fj.Schema):
    """What the state of a key says: row `n` is its `ordinal`-th (then `rows` is 0), or the window that ended at `at`
    had `rows` rows with the sum `total` (then `ordinal` is 0)."""

    key: int
    n: int
    ordinal: int
    at: datetime
    rows: int
    total: int


class Induced(OSError):
    """Stands for something outside that fails once, wherever it is met."""


def fails_once(faults: str, point: str) -> None:
    """Raises if there is a marker `point`; whoever takes the marker away is the one that fails."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(faults, point))
        raise Induced(f"in {point}")


class Fragile(fj.Process[Moved, Moved]):
    """Passes rows on, or fails: at a row, and when it is closed."""

    def __init__(self, faults: str) -> None:
        self.faults = faults
        self.waiting: set[int] | None = None

    def open(self, ctx: fj.Context) -> None:
        fails_once(self.faults, "open")
        names = (path.name for path in Path(self.faults).glob("map-*"))
        self.waiting = {int(name.removeprefix("map-")) for name in names}

    def on_row(self, row: Moved, ctx: fj.Context) -> None:
        if self.waiting and row.n in self.waiting:
            fails_once(self.faults, f"map-{row.n}")
        ctx.emit(Moved(row.n, row.at, row.split, row.key))

    def close(self) -> None:
        fails_once(self.faults, "close")


class Fuse:
    """A value in state that fails when a snapshot writes it, or a restore reads it."""

    def __init__(self, faults: str, ordinal: int, padding: bytes) -> None:
        self.faults = faults
        self.ordinal = ordinal
        self.padding = padding

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        fails_once(self.faults, "snapshot")
        return restored_fuse, (self.faults, self.ordinal, self.padding)


def restored_fuse(faults: str, ordinal: int, padding: bytes) -> Fuse:
    fails_once(faults, "restore")
    return Fuse(faults, ordinal, padding)


class Counting(fj.KeyedProcess[Moved, Seen]):
    """Numbers the rows of a key, and sums them up by windows with timers."""

    fuse = fj.value_state(object)
    sums = fj.map_state(datetime, int)
    counts = fj.map_state(datetime, int)

    def __init__(self, faults: str, pad: int) -> None:
        self.faults = faults
        self.pad = pad
        self.padding = b""

    def open(self, ctx: fj.Context) -> None:
        self.padding = os.urandom(self.pad)

    def on_row(self, row: Moved, ctx: fj.Context) -> None:
        before = self.fuse.value
        ordinal = 1 if before is None else before.ordinal + 1
        self.fuse.value = Fuse(self.faults, ordinal, self.padding)
        end = START + ((row.at - START) // WINDOW + 1) * WINDOW
        self.sums[end] = self.sums.get(end, 0) + row.n
        self.counts[end] = self.counts.get(end, 0) + 1
        ctx.set_timer(end)
        ctx.emit(Seen(row.key, row.n, ordinal, row.at, 0, 0))

    def on_timer(self, at: datetime, ctx: fj.Context) -> None:
        ctx.emit(Seen(ctx.key, -1, 0, at, self.counts.pop(at), self.sums.pop(at)))


def job(args: Args) -> fj.Job:
    job = fj.Job("verified", checkpoints=checkpoints(args))
    source = fj.datagen(
        {"n": fj.values.sequence(), "at": fj.values.timestamps(START, STEP)},
        rows=args.rows,
        rate=args.rate,
        splits=SPLITS,
        event_time="at",
        max_delay=timedelta(0),
        idle_after=None,
    )
    rows = job.read(source).with_columns(split=fj.col("n") % SPLITS, key=fj.col("n") % KEYS)
    moved = rows.partition_by(shifted, "split")
    checked = moved.process(Fragile(args.faults)).named("fragile")
    job.write(checked, files(args, "rows"))
    keyed = checked.key_by("key")
    job.write(keyed.process(Counting(args.faults, args.pad)).named("counting"), files(args, "seen"))
    windows = keyed.window(fj.tumbling(WINDOW)).agg(rows=fj.count(), total=fj.sum("n"))
    job.write(windows, files(args, "windows"))
    return job


def shifted(split: int, subtasks: int) -> int:
    """Every row leaves the process it was read in, where there is another one."""
    return (split + 1) % subtasks


def files(args: Args, name: str) -> Sink:
    directory = f"{args.out}/{name}"
    kind = fj.files.jsonl if args.format == "jsonl" else fj.files.parquet
    return kind(directory, roll_rows=args.roll_rows)


def checkpoints(args: Args) -> fj.Checkpoints:
    return fj.Checkpoints(
        min_pause=timedelta(milliseconds=args.min_pause_ms),
        timeout=timedelta(milliseconds=args.timeout_ms),
        retained=args.retained,
        max_concurrent=args.max_concurrent,
        unaligned=args.unaligned,
        alignment_timeout=timedelta(milliseconds=20),
        spill_bytes=args.spill_bytes,
        tolerable_failures=1000,
        restarts=fj.FixedDelay(attempts=args.restarts, delay=0.05),
    )
