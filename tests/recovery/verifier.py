"""Counts what verified_job.py lost, doubled and put out of order, against the closed form of its source.

Reads published files only, as any reader of the directory would; it must not know how they came to be there."""

from __future__ import annotations

import glob
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

from tests.recovery.verified_job import KEYS, SPLITS, START, STEP, WINDOW

PART = re.compile(r"part-(?P<run>.+)-(?P<attempt>\d+)-(?P<subtask>\d+)-(?P<number>\d+)\.\w+")
MOST_SHOWN = 5

Window = tuple[int, datetime, int, int]
"""Key, end, rows, sum of n."""


def problems(out: Path, rows: int, run: str) -> list[str]:
    """What is wrong with the results of `rows` rows in `out`; empty: each is exactly once there, in order, and `run`
    has left nothing else. What is hidden of other runs is theirs: somebody may go on with them."""
    return [
        *_rows(out / "rows", rows),
        *_ordinals(out / "seen", rows),
        *_windows("timers", Counter(_timer_windows(out / "seen")), rows),
        *_windows("windows", Counter(_window_windows(out / "windows")), rows),
        *_left(out, run),
    ]


def _rows(directory: Path, rows: int) -> Iterator[str]:
    """Each row once; each split's rows in order, through all files in the order in which they were written."""
    found: Counter[int] = Counter()
    last: dict[int, tuple[int, str]] = {}
    for path in sorted(_parts(directory), key=_written):
        for row in _read(path):
            n = row["n"]
            found[n] += 1
            before, where = last.get(n % SPLITS, (-1, ""))
            if n <= before:
                yield f"rows: {n} in {path.name} comes after {before} in {where}"
            last[n % SPLITS] = n, path.name
    yield from _compared("rows", found, Counter(range(rows)))


def _ordinals(directory: Path, rows: int) -> Iterator[str]:
    """Each key's state counted each of its rows once: its ordinals are 1, 2, 3, …, in whatever order rows came."""
    found = [r for path in _parts(directory) for r in _read(path) if r["n"] >= 0]
    yield from _compared("seen", Counter(r["n"] for r in found), Counter(range(rows)))
    ordinals: dict[int, Counter[int]] = defaultdict(Counter)
    for row in found:
        ordinals[row["key"]][row["ordinal"]] += 1
    for key in range(min(KEYS, rows)):
        count = len(range(key, rows, KEYS))
        yield from _compared(f"ordinals of key {key}", ordinals[key], Counter(range(1, count + 1)))


def _windows(what: str, found: Counter[Window], rows: int) -> Iterator[str]:
    sums: dict[tuple[int, datetime], list[int]] = defaultdict(list)
    for n in range(rows):
        sums[n % KEYS, START + (n * STEP // WINDOW + 1) * WINDOW].append(n)
    expected = Counter((key, end, len(ns), sum(ns)) for (key, end), ns in sums.items())
    yield from _compared(what, found, expected)


def _timer_windows(directory: Path) -> Iterator[Window]:
    for path in _parts(directory):
        for r in _read(path):
            if r["n"] < 0:
                yield r["key"], _time(r["at"]), r["rows"], r["total"]


def _window_windows(directory: Path) -> Iterator[Window]:
    for path in _parts(directory):
        for r in _read(path):
            yield r["key"], _time(r["window_end"]), r["rows"], r["total"]


def _left(out: Path, run: str) -> Iterator[str]:
    for path in sorted(out.glob(f"*/.part-{glob.escape(run)}-*")):
        yield f"left behind: {path.parent.name}/{path.name}"


def _compared(what: str, found: Counter[Any], expected: Counter[Any]) -> Iterator[str]:
    for name, items in (
        ("lost", expected - found),
        ("too often", found - expected),
    ):
        if items:
            shown = ", ".join(str(item) for item in list(items)[:MOST_SHOWN])
            yield f"{what}: {items.total()} {name}: {shown}"


def _parts(directory: Path) -> Iterable[Path]:
    return [path for path in directory.glob("*") if not path.name.startswith(".")]


def _written(path: Path) -> tuple[int, int, int]:
    """Attempts ascend through all lives of a job, and a subtask's files through an attempt."""
    match = PART.fullmatch(path.name)
    assert match is not None, path.name
    return int(match["attempt"]), int(match["subtask"]), int(match["number"])


def _read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        table = pa.parquet.read_table(path)
    else:
        table = pa.json.read_json(path)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _time(value: datetime | str) -> datetime:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time if time.tzinfo else time.replace(tzinfo=UTC)
