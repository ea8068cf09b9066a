"""Golden jobs that read and write files, write into a database, and make rows up.

Their results are what is in the directory when all is over: every file whole, nothing half-written beside it."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import flowjob as fj
from tests.golden.golden import Golden, Row
from tests.golden.jobs.rows import DAY, HOUR, Reading, readings, spread

Program = Callable[[fj.Job, Path], Any]


def with_directory(name: str, program: Program, **more: Any) -> Golden:
    """A job that a function of it and of its directory writes down."""

    def build(directory: Path) -> fj.Job:
        job = fj.Job(name)
        program(job, directory)
        return job

    return Golden(name, build, **more)


def files_of(directory: Path) -> dict[str, list[Row]]:
    """Rows of all files below `out`, by the directory they are in. Asserts that nothing else is there."""
    found: dict[str, list[Row]] = {}
    for path in sorted((directory / "out").rglob("*")):
        if path.is_file():
            assert not path.name.startswith((".", "_")), f"{path.name} was left behind"
            rows = found.setdefault(f"files {path.parent.relative_to(directory)}", [])
            rows += _READERS[path.suffix](path)
    return found


def _csv(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


_READERS: dict[str, Callable[[Path], list[Row]]] = {
    ".csv": _csv,
    ".jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
    ".parquet": lambda path: pq.read_table(path).to_pylist(),
}


# -- files


def three_formats(job: fj.Job, directory: Path) -> None:
    rows = spread(job)
    out = directory / "out"
    job.write(rows, fj.files.csv(out / "csv", roll_rows=20))
    job.write(rows, fj.files.jsonl(out / "jsonl"))
    job.write(rows, fj.files.parquet(out / "parquet", roll_after=timedelta(milliseconds=20)))
    keyed = rows.key_by("sensor").window(fj.tumbling(HOUR)).agg(n=fj.count())
    job.write(keyed, fj.files.parquet(out / "hours"))


def write_inputs(directory: Path) -> None:
    """The readings in several files of each format; some rows cannot be read."""
    given = readings()
    for format in ("csv", "jsonl", "parquet"):
        (directory / format).mkdir()
    header = "sensor,number,value,price,level,at"
    for part in range(3):
        rows = given[part::3]
        lines = [_as_csv(r) for r in rows]
        lines.insert(17, "s1,not a number,1,,,2024-01-01T00:00:00Z")
        (directory / "csv" / f"{part}.csv").write_text("\n".join([header, *lines]) + "\n")
        objects = [json.dumps(_as_json(r)) for r in rows]
        objects.insert(23, '{"sensor": "s1", "number": ')
        (directory / "jsonl" / f"{part}.jsonl").write_text("\n".join(objects) + "\n")
        table = fj.from_rows(rows, Reading).table  # type: ignore[attr-defined]
        pq.write_table(table, directory / "parquet" / f"{part}.parquet", row_group_size=11)


def _as_csv(row: Reading) -> str:
    cells = [row.sensor, row.number, row.value, row.price, row.level, row.at.isoformat()]
    return ",".join("" if cell is None else str(cell) for cell in cells)


def _as_json(row: Reading) -> dict[str, Any]:
    price = None if row.price is None else str(row.price)
    return {
        "sensor": row.sensor,
        "number": row.number,
        "value": row.value,
        "price": price,
        "level": row.level,
        "at": row.at.isoformat(),
    }


def from_files(job: fj.Job, directory: Path) -> None:
    """Files are cut into several splits; what cannot be read is kept apart."""
    text: dict[str, Any] = {"event_time": "at", "max_delay": 30 * DAY, "on_bad_row": "divert"}
    sources = {
        "csv": fj.files.csv(directory / "csv" / "*.csv", Reading, multiline=False, split_bytes=900, **text),
        "jsonl": fj.files.jsonl(directory / "jsonl" / "*.jsonl", Reading, split_bytes=1500, **text),
        "parquet": fj.files.parquet(
            directory / "parquet", Reading, event_time="at", max_delay=30 * DAY, split_bytes=1000
        ),
    }  # fmt: skip
    for name, source in sources.items():
        rows = job.read(source).named(name)
        job.write(rows.select("sensor", "number", "price", "level", "at"), fj.show(name))
        windows = rows.key_by("sensor").window(fj.tumbling(4 * HOUR))
        job.write(
            windows.agg(n=fj.count(), total=fj.sum("price")).named(f"{name} hours"),
            fj.show(f"{name} hours"),
        )
        if name != "parquet":
            job.write(rows.bad_rows.select("reason", "text"), fj.show(f"{name} bad"))


# -- a database

TABLE = 'CREATE TABLE sums (sensor TEXT, n INTEGER, total INTEGER, "window_start" TEXT, "window_end" TEXT)'
OTHER = "CREATE TABLE numbers (number INTEGER, sensor TEXT)"
_OPEN: list[sqlite3.Connection] = []


def connected(path: Path) -> sqlite3.Connection:
    """Remembered, because simulated processes that are killed let go of nothing."""
    connection = sqlite3.connect(path, check_same_thread=False, timeout=0.1)
    _OPEN.append(connection)
    return connection


def hang_up(directory: Path) -> None:
    """What a database does when its clients are gone: unfinished transactions are rolled back."""
    while _OPEN:
        _OPEN.pop().close()


def make_tables(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "db")) as connection:
        connection.execute(TABLE)
        connection.execute(OTHER)
        connection.commit()


def tables_of(directory: Path) -> dict[str, list[Row]]:
    hang_up(directory)
    found: dict[str, list[Row]] = {}
    with closing(sqlite3.connect(directory / "db")) as connection:
        for name in ("sums", "numbers"):
            cursor = connection.execute(f"SELECT * FROM {name}")
            names = [column[0] for column in cursor.description]
            found[f"table {name}"] = [dict(zip(names, row)) for row in cursor]
    return found


def database(job: fj.Job, directory: Path) -> None:
    rows = spread(job)
    hours = rows.key_by("sensor").window(fj.tumbling(3 * HOUR))
    sums = hours.agg(n=fj.count(), total=fj.sum("value"))
    texts = sums.map(_dated, returns=Sums)
    job.write(texts, fj.database.table(partial(connected, directory / "db"), "sums", rows=3))
    numbers = rows.select("number", "sensor")
    job.write(numbers, fj.database.table(partial(connected, directory / "db"), "numbers"))


class Sums(fj.Schema):
    sensor: str
    n: int
    total: int
    window_start: str
    window_end: str


def _dated(row: Any) -> Sums:
    return Sums(row.sensor, row.n, row.total, str(row.window_start), str(row.window_end))


# -- rows that are made up


def made_up(job: fj.Job, directory: Path) -> None:
    class Made(fj.Schema):
        number: int
        key: int
        text: str

    columns = {
        "number": fj.values.sequence(),
        "key": fj.values.ints(0, 9),
        "text": fj.values.choice("a", "b", "c"),
    }
    rows = job.read(fj.datagen(Made, columns, rows=200, splits=5))
    job.write(rows, fj.show("rows"))
    job.write(rows.key_by("key").agg(n=fj.count()), fj.show("counts"))


def as_they_come(job: fj.Job, directory: Path) -> None:
    """Rows at a rate: sources wait, and wait still when a snapshot is taken."""
    columns = {"number": fj.values.sequence(), "key": fj.values.ints(0, 9)}
    rows = job.read(fj.datagen(columns, rows=100, rate=1500.0, splits=3))
    job.write(rows.key_by("key").agg(n=fj.count()), fj.show("counts"))


JOBS = [
    with_directory("three_formats", three_formats, written=files_of, pace=2.0),
    with_directory("from_files", from_files, prepare=write_inputs),
    with_directory("database", database, prepare=make_tables, written=tables_of, bury=hang_up),
    with_directory("made_up", made_up),
    with_directory("as_they_come", as_they_come),
]
