"""docs/snapshot-format.md says all there is to know: a reader written from it alone reads what the engine wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from flowjob.runtime.checkpoint import manifest as words
from flowjob.runtime.checkpoint import preparing
from flowjob.runtime.checkpoint.manifest import TaskSnapshot
from flowjob.runtime.checkpoint.manifest_io import encode_manifest
from flowjob.runtime.checkpoint.state_files import placed, write_objects, write_parts
from tests.runtime.checkpoint.snapshots import (
    groups_of,
    keyed_section,
    keyed_table,
    manifest_of,
    owned_rows,
    places,
    state_of,
)

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/snapshot-format.md").read_text()


# -- the reader: nothing of flowjob from here


def read_manifest(directory: Path) -> dict[str, Any]:
    data = (directory / "manifest.json").read_bytes()
    begin = b'{"sha256":"'
    assert data.startswith(begin)
    assert data[len(begin) + 64 :].startswith(b'",')
    blank = begin + b"0" * 64 + data[len(begin) + 64 :]
    assert hashlib.sha256(blank).hexdigest() == data[len(begin) : len(begin) + 64].decode()
    manifest: dict[str, Any] = json.loads(data)
    assert manifest["format"] == 1
    return manifest


def read_part(directory: Path, part: dict[str, Any]) -> bytes:
    if part.get("inline") is not None:
        data = base64.b64decode(part["inline"])
    else:
        start = part.get("offset", 0)
        data = (directory / part["object"]).read_bytes()[start : start + part["length"]]
    assert len(data) == part["length"]
    assert zlib.crc32(data) == part["crc32"]
    return data


def rows_of_groups(
    directory: Path, part: dict[str, Any], wanted: range, max_parallelism: int
) -> tuple[pa.Table, int]:
    """Those of key groups, and how many bytes were read for them."""
    batches = []
    read = 0
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(part["schema"])))
    with (directory / part["object"]).open("rb") as file:
        for offset, length, crc, rows, first, last in part["blocks"]:
            if last < wanted.start or first >= wanted.stop:
                continue
            file.seek(part.get("offset", 0) + offset)
            data = file.read(length)
            assert zlib.crc32(data) == crc
            batch = pa.ipc.read_record_batch(pa.py_buffer(data), schema)
            assert batch.num_rows == rows
            batches.append(batch)
            read += length
    table = pa.Table.from_batches(batches, schema)
    groups = [(h % 2**32) % max_parallelism for h in table["__hash"].to_pylist()]
    assert groups == sorted(groups)
    return table.filter(pa.array([g in wanted for g in groups], pa.bool_())), read


# -- what it reads


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "BLOCK_BYTES", 2000)
    monkeypatch.setattr(preparing, "LEAST_BLOCK_BYTES", 1000)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("savepoint", [True, False])
def test_a_reader_that_knows_only_the_documentation_gets_every_row(
    tmp_path: Path, savepoint: bool
) -> None:
    table = keyed_table(2000, keys=300)
    tasks = []
    for place in places(2, 16):
        section = keyed_section(owned_rows(table, place))
        name = f"op/rows/{place.subtask}.arrow"
        if savepoint:
            entries = write_objects([section], 16, place.key_groups, tmp_path, lambda _, n=name: n)
        else:
            file = BytesIO(b"x" * 10)
            file.seek(10)
            entries = placed(write_parts([section], 16, place.key_groups, file), f"{place.subtask}")
            (tmp_path / f"{place.subtask}").write_bytes(file.getvalue())
        tasks.append(
            TaskSnapshot(task=words.TaskId(0, place.subtask), operators=[state_of(entries)])
        )
    kind = "savepoint" if savepoint else "checkpoint"
    (tmp_path / "manifest.json").write_bytes(encode_manifest(manifest_of(tasks, 16, kind=kind)))

    manifest = read_manifest(tmp_path)
    assert manifest["kind"] == kind
    parts = [p for task in manifest["tasks"] for op in task["operators"] for p in op["parts"]]
    whole = pa.concat_tables(
        pa.ipc.open_file(read_part(tmp_path, part)).read_all() for part in parts
    )
    assert sorted(whole["row"].to_pylist()) == list(range(2000))
    if savepoint:
        assert pa.ipc.open_file(tmp_path / parts[0]["object"]).read_all().num_rows > 0
    groups = groups_of(table, 16)
    for wanted in (range(3, 5), range(8), range(9, 16)):
        found = [
            rows_of_groups(tmp_path, part, wanted, manifest["max_parallelism"]) for part in parts
        ]
        rows = sorted(r for t, _ in found for r in t["row"].to_pylist())
        assert rows == [r for r in range(2000) if groups[r] in wanted]
        assert sum(read for _, read in found) < sum(part["length"] for part in parts)


@pytest.mark.parametrize("directory", sorted((ROOT / "tests/corpus").glob("*/functions")))
def test_it_reads_the_snapshots_that_are_kept(directory: Path) -> None:
    manifest = read_manifest(directory)
    read = 0
    for task in manifest["tasks"]:
        for operator in task["operators"]:
            for part in operator["parts"]:
                table = pa.ipc.open_file(read_part(directory, part)).read_all()
                assert table.num_rows == part["rows"]
                read += 1
    assert read > 10


STRUCTS = (
    words.Manifest,
    words.TaskSnapshot,
    words.OperatorState,
    words.PartEntry,
    words.SnapshotFigures,
    words.VertexEntry,
    words.StateLayout,
)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: s.__name__)
def test_every_field_is_documented(struct: Any) -> None:
    named = set(re.findall(r"`([a-z_0-9]+)`", DOCUMENT))
    assert {f.encode_name for f in msgspec.structs.fields(struct)} <= named


def test_defaults_never_change() -> None:
    """They are left out of what is written, so an old snapshot would mean something else."""
    entry = words.PartEntry(section="s", distribution="union", rows=0, length=0, crc32=0)
    assert msgspec.to_builtins(entry) == {
        "section": "s", "distribution": "union", "rows": 0, "length": 0, "crc32": 0,
    }  # fmt: skip
    old = b'{"section":"s","distribution":"union","rows":0,"length":0,"crc32":0}'
    read = msgspec.json.decode(old, type=words.PartEntry)
    assert (read.object, read.offset, read.inline) == ("", 0, None)
    assert (read.first_group, read.last_group) == (-1, -1)
    assert (read.meta, read.blocks, read.schema) == ({}, [], b"")
