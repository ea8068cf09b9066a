"""Sources of files: every format, compression and way of cutting keeps the promises of a source."""

from __future__ import annotations

import bz2
import gzip
import zipfile
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowjob import files
from flowjob.connectors.base import Source
from flowjob.connectors.files import text_blocks
from flowjob.connectors.formats.csv_encode import csv_header, csv_lines
from flowjob.connectors.formats.json_encode import json_lines
from flowjob.errors import FlowjobError, PlanError, SchemaError, UnknownColumn
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_source
from tests.connectors.reading import read_rows
from tests.connectors.tables import everything
from tests.runtime.operators.harness import MockClock

SCHEMA = pa.schema(
    [pa.field("n", pa.int64(), nullable=False), ("name", pa.string()), ("x", pa.float64())]
)


def numbered(start: int, stop: int) -> pa.RecordBatch:
    rows = [
        {"n": i, "name": None if i % 5 == 0 else f'row "{i}"', "x": i / 4}
        for i in range(start, stop)
    ]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def as_csv(batch: pa.RecordBatch) -> bytes:
    return csv_header(batch.schema.names) + csv_lines(batch).to_pybytes()


def write_csv(path: Path, batch: pa.RecordBatch) -> bytes:
    text: bytes = as_csv(batch)
    path.write_bytes(text)
    return text


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that every file has many."""
    monkeypatch.setattr(text_blocks.TextBlocks.__init__, "__kwdefaults__", {"block_bytes": 97})


async def test_csv_files_of_a_glob_are_read_in_order(tmp_path: Path, env: Env, small_blocks: None):
    write_csv(tmp_path / "b.csv", numbered(40, 90))
    write_csv(tmp_path / "a.csv", numbered(0, 40))
    (tmp_path / ".hidden.csv").write_text("no\n")
    source = files.csv(tmp_path / "*.csv", SCHEMA)
    await check_source(source, numbered(0, 90).to_pylist(), env)


@pytest.mark.parametrize("split_bytes", [100, 333, 1000, 10**9])
async def test_byte_ranges_of_a_csv_file_share_its_rows(
    tmp_path: Path, env: Env, split_bytes: int, small_blocks: None
):
    write_csv(tmp_path / "a.csv", numbered(0, 100))
    source = files.csv(tmp_path / "a.csv", SCHEMA, multiline=False, split_bytes=split_bytes)
    await check_source(source, numbered(0, 100).to_pylist(), env)


@pytest.mark.parametrize("split_bytes", [7, 100, 10**9])
async def test_byte_ranges_of_json_lines_share_the_rows(
    tmp_path: Path, env: Env, split_bytes: int, small_blocks: None
):
    text = json_lines(numbered(0, 30)).to_pybytes()
    (tmp_path / "a.jsonl").write_bytes(text.replace(b"\n", b"\n\n", 3).rstrip(b"\n"))
    source = files.jsonl(tmp_path / "a.jsonl", SCHEMA, split_bytes=split_bytes)
    await check_source(source, numbered(0, 30).to_pylist(), env)


@pytest.mark.parametrize("schema", [SCHEMA, None])
async def test_row_groups_of_a_parquet_file_share_its_rows(
    tmp_path: Path, env: Env, schema: pa.Schema
):
    table = pa.Table.from_batches([numbered(0, 100)])
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=9)
    for split_bytes in (100, 600, 10**9):
        source = files.parquet(tmp_path / "a.parquet", schema, split_bytes=split_bytes)
        await check_source(source, table.to_pylist(), env)


async def test_every_type_is_read_from_every_format(tmp_path: Path, env: Env):
    batch = everything()
    (tmp_path / "a.csv").write_bytes(as_csv(batch))
    (tmp_path / "a.jsonl").write_bytes(json_lines(batch).to_pybytes())
    pq.write_table(pa.Table.from_batches([batch]), tmp_path / "a.parquet")
    await check_source(files.csv(tmp_path / "a.csv", batch.schema), batch.to_pylist(), env)
    await check_source(files.jsonl(tmp_path / "a.jsonl", batch.schema), batch.to_pylist(), env)
    await check_source(files.parquet(tmp_path / "a.parquet", batch.schema), batch.to_pylist(), env)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".zst", ".lz4", ".zip"])
async def test_compressed_files_are_told_by_their_name(
    tmp_path: Path, env: Env, ending: str, small_blocks: None
):
    text = write_csv(tmp_path / "plain.csv", numbered(0, 60))
    path = tmp_path / f"a.csv{ending}"
    match ending:
        case ".gz":  # two members, as `cat a.gz b.gz` makes them
            path.write_bytes(gzip.compress(text[:500]) + gzip.compress(text[500:]))
        case ".bz2":
            path.write_bytes(bz2.compress(text))
        case ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("inside.csv", text)
        case _:
            codec = {".zst": "zstd", ".lz4": "lz4"}[ending]
            with pa.CompressedOutputStream(str(path), codec) as out:
                out.write(text)
    await check_source(files.csv(path, SCHEMA), numbered(0, 60).to_pylist(), env)


async def test_a_compressed_file_that_was_cut_short_is_an_error(tmp_path: Path, env: Env):
    whole = gzip.compress(as_csv(numbered(0, 5000)))
    (tmp_path / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match=r"a\.csv\.gz cannot be decompressed"):
        await read_rows(files.csv(tmp_path / "a.csv.gz", SCHEMA), env)


async def test_a_zip_of_several_files_is_refused(tmp_path: Path, env: Env):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.csv", "n\n1\n")
        archive.writestr("2.csv", "n\n1\n")
    with pytest.raises(FlowjobError, match="has 2 files in it"):
        await read_rows(files.csv(tmp_path / "a.zip", SCHEMA), env)


async def test_quoted_line_ends_do_not_cut_rows(tmp_path: Path, env: Env, small_blocks: None):
    rows = [{"n": i, "name": f'a,\n"{i}"\r\n\nb' * (i % 3), "x": None} for i in range(60)]
    write_csv(tmp_path / "a.csv", pa.RecordBatch.from_pylist(rows, SCHEMA))
    await check_source(files.csv(tmp_path / "a.csv", SCHEMA), rows, env)


async def test_a_header_decides_where_columns_are(tmp_path: Path, env: Env):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfx, other ,name,n\r\n0.5,?,a,1\r\n,?,,2")
    wanted = [{"n": 1, "name": "a", "x": 0.5}, {"n": 2, "name": None, "x": None}]
    await check_source(files.csv(tmp_path / "a.csv", SCHEMA), wanted, env)


async def test_without_a_header_cells_are_in_the_order_of_the_schema(tmp_path: Path, env: Env):
    (tmp_path / "a.csv").write_text("1;b;2\n")
    source = files.csv(tmp_path / "a.csv", SCHEMA, header=False, delimiter=";")
    assert await read_rows(source, env) == [{"n": 1, "name": "b", "x": 2.0}]


async def test_a_header_without_a_column_of_the_schema_lists_both(tmp_path: Path, env: Env):
    (tmp_path / "a.csv").write_text("n,nome\n1,b\n")
    with pytest.raises(SchemaError, match=r"(?s)a\.csv: the header lacks `name`, `x`.*n, nome"):
        await read_rows(files.csv(tmp_path / "a.csv", SCHEMA), env)


async def test_null_values_mean_nothing_only_where_nothing_is_allowed(tmp_path: Path, env: Env):
    schema = pa.schema(
        [pa.field("code", pa.string(), nullable=False), ("y", pa.int64()), ("z", pa.string())]
    )
    (tmp_path / "a.csv").write_text('code,y,z\nNA,NA,NA\n"",,""\n')
    source = files.csv(tmp_path / "a.csv", schema, null_values=["", "NA"])
    wanted = [{"code": "NA", "y": None, "z": None}, {"code": "", "y": None, "z": ""}]
    await check_source(source, wanted, env)


@pytest.mark.parametrize(
    ("time_format", "zone", "text", "hour"),
    [
        ("iso", "UTC", "2024-07-01 12:00", 12),
        ("iso", "America/New_York", "2024-07-01T12:00:00", 16),
        ("iso", "America/New_York", "2024-07-01T12:00:00Z", 12),
        ("iso", "UTC", "2024-07-01T12:00:00.5+02:00", 10),
        ("%m/%d/%Y %H:%M", "UTC", "07/01/2024 12:00", 12),
        ("%d.%m.%Y %H:%M:%S.%f", "UTC", "01.07.2024 12:00:00.25", 12),
        ("epoch_ms", "UTC", "1719835200000", 12),
        (("epoch_s", "iso"), "UTC", "2024-07-01T12:00", 12),
    ],
)
async def test_times_are_read_as_they_are_declared(
    tmp_path: Path, env: Env, time_format: str, zone: str, text: str, hour: int
):
    schema = pa.schema([("at", pa.timestamp("us", "UTC"))])
    (tmp_path / "a.csv").write_text(f"at\n{text}\n")
    source = files.csv(tmp_path / "a.csv", schema, time_format=time_format, timezone=zone)
    [row] = await read_rows(source, env)
    assert row["at"].hour == hour
    (tmp_path / "a.jsonl").write_text(f'{{"at": "{text}"}}\n')
    again = files.jsonl(tmp_path / "a.jsonl", schema, time_format=time_format, timezone=zone)
    if time_format != "epoch_ms":
        assert await read_rows(again, env) == [row]


async def test_a_pattern_without_files_is_an_error_that_names_it(tmp_path: Path, env: Env):
    for path, message in (
        (tmp_path / "*.csv", "no file matches"),
        (tmp_path / "a", "there is no file"),
    ):
        with pytest.raises(PlanError, match=message):
            await read_rows(files.csv(path, SCHEMA), env)


async def test_files_that_appear_are_followed_once_they_stop_growing(
    tmp_path: Path, env: Env, clock: MockClock
):
    source: Source = files.csv(tmp_path / "*.csv", SCHEMA, follow=timedelta(seconds=5))
    assert not source.bounded
    enumerator = source.enumerator(env)
    assert enumerator.interval == 5

    async def names() -> list[str]:
        found = await enumerator.discover()
        assert not found.complete
        return [Path(s.data["path"]).name for s in found.splits]

    assert await names() == []
    write_csv(tmp_path / "a.csv", numbered(0, 1))
    assert await names() == []
    write_csv(tmp_path / "a.csv", numbered(0, 2))
    assert await names() == []
    assert await names() == ["a.csv"]
    write_csv(tmp_path / "b.csv.tmp", numbered(0, 1))
    (tmp_path / "b.csv.tmp").rename(tmp_path / "b.csv")
    clock.set((tmp_path / "b.csv").stat().st_mtime_ns // 1000 + 5_000_000)
    assert await names() == ["b.csv"]
    assert await names() == []


def test_event_time_must_be_a_column_of_the_schema():
    with pytest.raises(UnknownColumn, match="no column `at`"):
        files.csv("a.csv", SCHEMA, event_time="at")


def test_an_option_of_the_other_direction_is_refused():
    with pytest.raises(TypeError, match="on_bad_row: no such option of a sink"):
        files.csv("out", on_bad_row="skip")  # type: ignore[call-overload]
    with pytest.raises(PlanError, match="only files of local"):
        files.csv("s3://bucket/x.csv", SCHEMA)
