"""Sources and sinks that users have, in simulated jobs: files and made-up rows go in, files come out.

They are the real ones, on the world's own disk and in its time. Files hold what the simulated source holds; what a sink
of files has written is read when all is over. It must not know what is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

import flowjob as fj
from flowjob.connectors.base import Sink, Source
from flowjob.connectors.datagen.source import DatagenSource
from flowjob.testing.simulation.pacing import PacedSource
from flowjob.testing.simulation.source import BEGIN, MAX_DELAY, Content, Passed
from flowjob.testing.simulation.world import World

READS = ("simulated", "files", "generated")
"""Where a job's rows come from."""

WRITES = ("ledger", "files")
"""Where they go."""

STEP = timedelta(milliseconds=400)
"""Event time between two made-up rows."""

SPLIT_BYTES = 3_000
"""Of a file that is cut: several subtasks read it."""

RATE = 100.0
"""Made-up rows a second, of each split, where reads take time."""

Row = dict[str, Any]


def files(world: World, content: Content, waits: float, **event_time: Any) -> Source:
    """The content, a file for each split, in one of three formats; whoever asks first writes them."""
    format = ("csv", "jsonl", "parquet")[content.seed % 3]
    directory = world.directory / f"given-{content.number}"
    if not directory.exists():
        directory.mkdir()
        for split in range(content.splits):
            _write(directory / f"{split:03}.{format}", content.rows_of(split))
    reading: Any = {"csv": fj.files.csv, "jsonl": fj.files.jsonl, "parquet": fj.files.parquet}
    source = reading[format](directory, Passed, split_bytes=SPLIT_BYTES, **event_time)
    return PacedSource.around(source, waits) if waits else source


def _write(path: Path, rows: pa.RecordBatch) -> None:
    table = pa.Table.from_batches([rows])
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=17)
        return
    times = pa.array([time.isoformat() for time in table.column("at").to_pylist()], pa.string())
    table = table.set_column(table.schema.get_field_index("at"), "at", times)
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))


def generated(content: Content, waits: float, **event_time: Any) -> DatagenSource:
    """As many rows as the content has, made up by their numbers alone."""
    values, number = fj.values, content.number
    columns = {
        "source": values.ints(number, number),
        "split": values.ints(0, 0),
        "seq": values.sequence(),
        "key": values.ints(0, content.keys - 1),
        "value": values.ints(-500, 499),
        "at": values.timestamps(_time(BEGIN), STEP, jitter=timedelta(microseconds=MAX_DELAY)),
    }
    splits = max(content.splits, 1)
    return fj.datagen(
        Passed,
        columns,
        rows=content.rows * content.splits,
        rate=RATE * splits if waits else None,
        seed=2 * content.seed + number,
        splits=splits,
        **event_time,
    )


def rows_of(source: DatagenSource) -> Iterator[Row]:
    """All that it makes up; `at` as µs UTC."""
    assert source.rows is not None
    batch = source.make(np.arange(source.rows, dtype=np.int64), 0)
    at = batch.schema.get_field_index("at")
    yield from batch.set_column(at, "at", batch.column("at").cast(pa.int64())).to_pylist()


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)


def file_sink(world: World, seed: int) -> Sink:
    """One of two formats, in files of a few rows."""
    directory = world.directory / "out"
    roll = (5, 50, 10_000)[seed % 3]
    if seed % 2:
        return fj.files.jsonl(directory, roll_rows=roll)
    return fj.files.parquet(directory, roll_rows=roll)


def written(world: World) -> tuple[list[Row], list[str]]:
    """What sinks of files have made visible, and names of files that are not: nobody will finish them."""
    rows: list[Row] = []
    hidden = []
    for path in sorted((world.directory / "out").rglob("*")):
        if path.name.startswith((".", "_")) and path.is_file():
            hidden.append(path.name)
        elif path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        elif path.is_file():
            rows += map(_parsed, path.read_text().splitlines())
    return rows, hidden


def _parsed(line: str) -> Row:
    row: Row = json.loads(line)
    if "window_start" in row:
        row["window_start"] = datetime.fromisoformat(row["window_start"])
    return row
