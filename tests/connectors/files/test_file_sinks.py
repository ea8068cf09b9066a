"""Sinks of files: whole files or none, all types, and names that never collide."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flowjob import files
from flowjob.connectors.base import SinkContext, SinkWriter
from flowjob.connectors.files.encoders import ParquetEncoding
from flowjob.connectors.files.sink import FileSink
from flowjob.connectors.files.write_queue import HELD_FOR
from flowjob.errors import PlanError
from flowjob.plan.types import OBJECTS, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_sink
from tests.connectors.reading import read_rows
from tests.connectors.tables import everything
from tests.runtime.operators.harness import MockClock

SINKS: dict[str, dict[str, Any]] = {
    "parquet": {"row_group_rows": 2},
    "csv": {},
    "jsonl": {},
    "csv.gz": {"compression": "gzip"},
    "jsonl.zst": {"compression": "zstd"},
}


@pytest.mark.parametrize("name", SINKS)
async def test_every_type_comes_back_from_what_was_written(tmp_path: Path, env: Env, name: str):
    form = getattr(files, name.split(".")[0])
    out = tmp_path / "out"
    batches = [Batch(everything()), Batch(everything().slice(1)), Batch(everything().slice(0, 1))]

    async def read_back() -> list[dict[str, Any]]:
        if not list(out.glob("[!.]*")):
            return []
        return await read_rows(form(out, everything().schema), env)

    await check_sink(lambda: form(out, **SINKS[name]), batches, env, read_back)
    expected = [
        f"part-{r}-00000000-1-000{i}-00000.{name}" for r in ("first", "second") for i in (0, 1)
    ]
    assert visible(out) == expected


def numbers(start: int, stop: int) -> Batch:
    return Batch(pa.RecordBatch.from_pydict({"n": list(range(start, stop))}))


def writer_of(sink: FileSink, env: Env, run: str = "r") -> SinkWriter:
    type_ = StreamType(numbers(0, 1).columns.schema)
    return sink.writer(SinkContext(env=env, type=type_, run_id=run, subtask=3, parallelism=4))


async def put(writer: SinkWriter, batch: Batch) -> None:
    if (waiting := writer.write(batch)) is not None:
        await waiting


def everything_in(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


def visible(path: Path) -> list[str]:
    return [name for name in everything_in(path) if not name.startswith(".")]


async def test_a_file_is_rolled_at_exactly_so_many_rows(tmp_path: Path, env: Env):
    writer = writer_of(files.csv(tmp_path, roll_rows=10, header=False), env)
    await writer.open()
    await put(writer, numbers(0, 25))
    await put(writer, numbers(25, 31))
    await writer.finish()
    await writer.close()
    assert visible(tmp_path) == [f"part-r-00000000-1-0003-0000{i}.csv" for i in range(4)]
    counts = [(tmp_path / n).read_text().count("\n") for n in visible(tmp_path)]
    assert counts == [10, 10, 10, 1]


async def test_a_file_is_rolled_by_size(tmp_path: Path, env: Env):
    writer = writer_of(files.jsonl(tmp_path, roll_bytes=50), env)
    await writer.open()
    for i in range(10):
        await put(writer, numbers(10 * i, 10 * i + 10))
    await writer.finish()
    await writer.close()
    assert len(visible(tmp_path)) == 10


async def test_a_file_is_rolled_by_age(tmp_path: Path, env: Env, clock: MockClock):
    writer = writer_of(files.parquet(tmp_path, roll_after=timedelta(seconds=10)), env)
    await writer.open()
    assert writer.next_timer() is None
    opened = clock.wall()
    writer.write(numbers(0, 3))
    assert writer.next_timer() == opened + HELD_FOR
    await writer.on_time(opened + HELD_FOR)
    await writer._queue.wait(0)  # type: ignore[attr-defined]
    assert writer.next_timer() == opened + 10_000_000
    clock.set(opened + 10_000_000)
    assert visible(tmp_path) == []
    await writer.on_time(clock.wall())
    assert visible(tmp_path) == ["part-r-00000000-1-0003-00000.parquet"]
    assert writer.next_timer() is None
    await writer.finish()
    await writer.close()


async def test_nothing_is_left_of_an_unfinished_file(tmp_path: Path, env: Env):
    writer = writer_of(files.parquet(tmp_path, roll_rows=5), env)
    await writer.open()
    await put(writer, numbers(0, 7))
    writer._queue.flush()  # type: ignore[attr-defined]
    await writer._queue.wait(0)  # type: ignore[attr-defined]
    assert len(everything_in(tmp_path)) == 2
    await writer.close()
    assert everything_in(tmp_path) == ["part-r-00000000-1-0003-00000.parquet"]


async def test_a_new_attempt_removes_leftovers_and_writes_over_nothing(tmp_path: Path, env: Env):
    (tmp_path / ".part-r-00000000-1-0003-00001.csv.inprogress").write_text("half")
    (tmp_path / ".part-r-00000000-1-0004-00001.csv.inprogress").write_text("of another subtask")
    (tmp_path / "part-r-00000000-1-0003-00000.csv").write_text("of an earlier attempt")
    writer = writer_of(files.csv(tmp_path), env)
    await writer.open()
    await put(writer, numbers(0, 1))
    await writer.finish()
    await writer.close()
    assert visible(tmp_path) == [
        "part-r-00000000-1-0003-00000.csv",
        "part-r-00000000-1-0003-00001.csv",
    ]
    assert (tmp_path / "part-r-00000000-1-0003-00000.csv").read_text() == "of an earlier attempt"
    assert len(everything_in(tmp_path)) == 3


async def test_a_full_disk_is_an_error_of_the_next_write_and_of_finish(
    tmp_path: Path, env: Env, monkeypatch: pytest.MonkeyPatch
):
    writer = writer_of(files.csv(tmp_path), env)
    await writer.open()

    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(writer, "_append", fail)
    await put(writer, numbers(0, 1))
    with pytest.raises(OSError, match="no space"):
        await writer.finish()
    with pytest.raises(OSError, match="no space"):
        await put(writer, numbers(0, 1))
    await writer.close()


def test_objects_cannot_be_written_to_files():
    with pytest.raises(PlanError, match="arbitrary objects"):
        files.jsonl("out").check(OBJECTS)


def test_the_size_of_a_parquet_file_costs_the_same_however_many_small_batches_wait(
    tmp_path: Path,
) -> None:
    batch = pa.RecordBatch.from_pydict({"n": [1, 2]})
    file = ParquetEncoding().open(str(tmp_path / "file"), batch.schema)
    sizes, steps = [], []
    for _ in range(100):
        file.write(batch)
        size, count = counted_steps(file.size)
        sizes.append(size)
        steps.append(count)
    file.close()
    assert len({after - before for before, after in pairwise(sizes)} | {batch.nbytes}) == 1
    assert steps[-1] == steps[0]


def counted_steps(function: Callable[[], int]) -> tuple[int, int]:
    """Its result, and how many functions it entered and left."""
    events: list[str] = []
    sys.setprofile(lambda frame, event, argument: events.append(event))
    try:
        result = function()
    finally:
        sys.setprofile(None)
    return result, len(events)
