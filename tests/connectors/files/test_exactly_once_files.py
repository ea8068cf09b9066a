"""Files appear exactly once: complete at the barrier, visible with the commit, whoever carries it out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flowjob import files
from flowjob.connectors.base import SinkContext, SinkWriter
from flowjob.connectors.files.staged import Staged
from flowjob.core.commits import CommitPermit
from flowjob.errors import LostData, StorageError
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env
from flowjob.testing.sink_conformance import check_exactly_once_sink
from tests.buckets import bucket_named
from tests.connectors.reading import read_rows

SCHEMA = pa.schema([("n", pa.int64()), ("s", pa.string())])
PERMIT = CommitPermit(1, 1)


def batch(*numbers: int) -> Batch:
    rows = [{"n": n, "s": str(n)} for n in numbers]
    return Batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))


BATCHES = [batch(1, 2, 3), batch(4), batch(5, 6)]


@pytest.mark.parametrize("name", ["parquet", "csv", "jsonl"])
async def test_files_in_a_directory_are_exactly_once(tmp_path: Path, env: Env, name: str) -> None:
    form = getattr(files, name)
    out = tmp_path / "out"

    async def read_back() -> list[dict[str, Any]]:
        return await read_rows(form(out, SCHEMA), env) if list(out.glob("[!.]*")) else []

    await check_exactly_once_sink(lambda: form(out), BATCHES, env, read_back)
    assert not list(out.glob(".*")), "nothing unfinished is left"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with bucket_named("results", monkeypatch) as client:
        yield client


async def test_files_in_a_bucket_are_exactly_once(tmp_path: Path, env: Env, bucket: Any) -> None:
    async def read_back() -> list[dict[str, Any]]:
        found = bucket.list_objects_v2(Bucket="results", Prefix="hourly/").get("Contents", [])
        rows: list[dict[str, Any]] = []
        for key in (f["Key"] for f in found):
            path = tmp_path / Path(key).name
            bucket.download_file("results", key, str(path))
            rows += await read_rows(files.parquet(path, SCHEMA), env)
        return rows

    sink = files.parquet("s3://results/hourly")
    await check_exactly_once_sink(lambda: sink, BATCHES, env, read_back)
    uploads = bucket.list_multipart_uploads(Bucket="results").get("Uploads", [])
    assert uploads == [], "nothing unfinished is left"


async def test_what_a_server_refuses_is_told_in_a_line_and_is_not_the_programs_fault(
    env: Env, bucket: Any
) -> None:
    writer = files.csv("s3://nowhere/x").writer(context(env))
    with pytest.raises(StorageError, match=r"cannot list s3://nowhere/x: .*no such bucket there"):
        await writer.open()
    await writer.close()

    writer, prepared = await prepare_one("s3://results/x", env)
    bucket.delete_bucket(Bucket="results")
    with pytest.raises(StorageError, match=r"cannot make visible s3://results/x/part-r-.*\.csv: "):
        await writer.commit(prepared, PERMIT)
    await writer.close()


async def test_the_first_of_the_thousands_of_attempts_of_a_run_leaves_nothing_to_the_last(
    tmp_path: Path, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    unwanted = [
        ".part-r-00000000-1-0000-00000.csv.inprogress",
        ".part-r-00000000-40000-0007-00012.csv.inprogress",
    ]
    wanted = [
        ".part-r-00000000-2-0000-00003.csv.inprogress",  # pending
        ".part-r-00000000-40001-0001-00000.csv.inprogress",
        ".part-r2-00000000-1-0000-00000.csv.inprogress",
        "part-r-00000000-1-0000-00001.csv",
    ]
    for name in (*unwanted, *wanted):
        (tmp_path / name).touch()
    looked = listings(monkeypatch)
    writer = files.csv(tmp_path).writer(replace(context(env), attempt=40_001))
    staged = Staged(place=str(tmp_path), name="part-r-00000000-2-0000-00003.csv", size=0)
    writer.restore([staged.encode()])
    await writer.open()
    await writer.close()
    assert len(looked) < 5
    assert set(os.listdir(tmp_path)) == set(wanted)


def listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Directories that were listed, from now on."""
    found: list[str] = []
    really = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: found.append(path) or really(path))
    return found


async def test_a_pending_file_that_is_gone_is_lost_data_and_says_which(
    tmp_path: Path, env: Env
) -> None:
    writer, prepared = await prepare_one(tmp_path / "out", env)
    (hidden,) = (tmp_path / "out").iterdir()
    hidden.unlink()
    with pytest.raises(
        LostData, match=r"part-r-00000000-1-0000-00000\.csv .*is gone: its rows are lost"
    ):
        await writer.commit(prepared, PERMIT)
    await writer.close()


async def test_a_pending_file_that_was_cut_is_lost_data(tmp_path: Path, env: Env) -> None:
    writer, prepared = await prepare_one(tmp_path / "out", env)
    (hidden,) = (tmp_path / "out").iterdir()
    hidden.write_bytes(b"n")
    with pytest.raises(LostData, match="has 1 bytes now"):
        await writer.commit(prepared, PERMIT)
    await writer.close()


async def test_a_pending_file_of_another_kind_of_sink_is_refused(tmp_path: Path, env: Env) -> None:
    writer, _ = await prepare_one(tmp_path / "out", env)
    with pytest.raises(LostData, match="cannot be read"):
        await writer.commit([b"\x00what"], PERMIT)
    await writer.close()


async def test_files_that_were_rolled_between_two_barriers_are_committed_together(
    tmp_path: Path, env: Env
) -> None:
    out = tmp_path / "out"
    sink = files.csv(out, roll_rows=1)
    writer = sink.writer(context(env))
    await writer.open()
    await write(writer, batch(1, 2, 3))
    prepared = await writer.prepare(1)
    assert len(prepared) == 3
    assert not list(out.glob("[!.]*"))
    await writer.commit(prepared, PERMIT)
    assert len(list(out.glob("[!.]*"))) == 3
    await writer.close()


async def prepare_one(out: Path | str, env: Env) -> tuple[SinkWriter, list[bytes]]:
    writer = files.csv(out).writer(context(env))
    await writer.open()
    await write(writer, batch(1, 2))
    return writer, await writer.prepare(1)


def context(env: Env) -> SinkContext:
    return SinkContext(
        env=env, type=StreamType(SCHEMA), run_id="r", subtask=0, parallelism=1, commits=True
    )


async def write(writer: SinkWriter, rows: Batch) -> None:
    if (waiting := writer.write(rows)) is not None:
        await waiting
