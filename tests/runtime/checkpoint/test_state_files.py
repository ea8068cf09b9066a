"""How sections are written: complete Arrow files in a row, in order of key group, in blocks that stand alone."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.runtime.checkpoint import preparing
from flowjob.runtime.checkpoint.checksums import crc32_of_both
from flowjob.runtime.checkpoint.plain_types import plain_table
from flowjob.runtime.checkpoint.preparing import prepared
from flowjob.runtime.checkpoint.sections import Distribution, Rows, Section
from flowjob.runtime.checkpoint.state_files import append_parts, inlined, write_objects, write_parts
from tests.runtime.checkpoint.snapshots import groups_of, hashes_of, keyed_section, keyed_table


def written(*sections: Section, max_parallelism: int = 8) -> tuple[bytes, list[Any]]:
    file = BytesIO()
    entries = write_parts(sections, max_parallelism, range(max_parallelism), file)
    return file.getvalue(), entries


def table_of(data: bytes, entry: Any) -> pa.Table:
    return pa.ipc.open_file(data[entry.offset : entry.offset + entry.length]).read_all()


def kept(block: Any) -> tuple[int, int, int]:
    return block.rows, block.first_group, block.last_group


def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(preparing, "LEAST_BLOCK_BYTES", 300)


def test_every_part_is_a_complete_arrow_file_at_its_place() -> None:
    tables = [pa.table({"a": list(range(n))}) for n in (0, 3, 100)]
    sections = [Section(f"s{i}", Distribution.UNION, t) for i, t in enumerate(tables)]
    data, entries = written(*sections, keyed_section(keyed_table(20)))
    for entry, table in zip(entries, tables):
        part = data[entry.offset : entry.offset + entry.length]
        assert pa.ipc.open_file(part).read_all() == table
        assert zlib.crc32(part) == entry.crc32
        assert entry.offset % 64 == 0
    keyed = entries[-1]
    part = data[keyed.offset : keyed.offset + keyed.length]
    assert pa.ipc.open_file(part).schema.names == ["key", "row", "__hash"]


@given(st.integers(0, 400), st.sampled_from([1, 2, 7, 128, 1000]))
@settings(max_examples=30, deadline=None)
def test_blocks_are_checked_messages_in_order_of_key_group(rows: int, groups: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        table = keyed_table(rows, keys=rows + 1)
        data, (entry,) = written(keyed_section(table), max_parallelism=groups)
    stored = pa.ipc.open_file(data).read_all()
    by_group = groups_of(stored, groups)
    assert (np.diff(by_group) >= 0).all()
    assert stored["row"].to_pylist() == np.argsort(groups_of(table, groups), kind="stable").tolist()
    assert len(entry.blocks) != 1
    first = 0
    for block in entry.blocks:
        message = data[block.offset : block.offset + block.length]
        assert zlib.crc32(message) == block.crc32
        schema = pa.ipc.read_schema(pa.py_buffer(entry.schema))
        batch = pa.ipc.read_record_batch(pa.py_buffer(message), schema)
        assert batch == stored.slice(first, block.rows).combine_chunks().to_batches()[0]
        own = by_group[first : first + block.rows]
        assert (block.first_group, block.last_group) == (own[0], own[-1])
        first += block.rows
    assert first in (0, rows)


def test_a_block_holds_whole_key_groups_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "LEAST_BLOCK_BYTES", 1)
    _, (entry,) = written(keyed_section(keyed_table(500)))
    assert [(b.first_group, b.last_group) for b in entry.blocks] == [(g, g) for g in range(8)]


def test_rows_in_many_chunks_are_written_as_if_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    table = keyed_table(300)
    chunked = pa.concat_tables([table.slice(i, 7) for i in range(0, 300, 7)])
    expected = written(keyed_section(table))
    assert written(keyed_section(chunked)) == expected
    monkeypatch.setattr(preparing, "_MOST_COMBINED", 0)
    assert written(keyed_section(chunked)) == expected


@given(st.integers(0, 400), st.sampled_from([1, 7, 128]))
@settings(max_examples=20, deadline=None)
def test_rows_made_one_block_at_a_time_are_written_as_if_they_were_a_table(
    rows: int, groups: int
) -> None:
    section = keyed_section(keyed_table(rows, keys=rows + 1))
    table = section.table
    made: list[int] = []

    def take(numbers: Any) -> pa.RecordBatch:
        made.append(len(numbers))
        taken = table.take(pa.array(numbers)).combine_chunks()
        return pa.RecordBatch.from_arrays(
            [taken.column(n).combine_chunks() for n in taken.column_names], schema=table.schema
        )

    later = replace(section, rows=Rows(table.schema, rows, take))
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        data, (entry,) = written(later, max_parallelism=groups)
        expected, (whole,) = written(section, max_parallelism=groups)
    assert pa.ipc.open_file(data).read_all() == pa.ipc.open_file(expected).read_all()
    assert zlib.crc32(data) == entry.crc32
    assert entry.rows == whole.rows == rows
    assert max(made[1:], default=0) <= 130


@given(st.integers(0, 9000), st.sampled_from([1, 7, 128]))
@settings(max_examples=20, deadline=None)
def test_what_is_made_at_once_is_what_is_made_block_by_block(rows: int, groups: int) -> None:
    table = keyed_table(rows, keys=rows + 1)
    numbers = table["row"].combine_chunks()
    table = table.append_column("half", numbers.cast(pa.float32()))
    table = table.append_column(
        "some", pa.array(numbers.to_numpy(), mask=numbers.to_numpy() % 3 == 0)
    )
    section = replace(keyed_section(table), hashes=hashes_of(table))
    lists = Section("lists", Distribution.SPLIT, table)
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        expected, blocks = written(section, lists, max_parallelism=groups)
        made = [p.detached() for p in prepared([section, lists], groups, range(groups))]
        file = BytesIO()
        at_once = append_parts(made, file)
    for entry, before in zip(at_once, blocks, strict=True):
        assert table_of(file.getvalue(), entry) == table_of(expected, before)
        assert [kept(b) for b in entry.blocks] == [kept(b) for b in before.blocks]


def test_of_state_that_has_no_rows_nothing_is_made() -> None:
    def take(numbers: Any) -> pa.RecordBatch:
        raise AssertionError("there are none")

    rows = Rows(pa.schema([("a", pa.int64())]), 0, take)
    section = Section("s", Distribution.KEYED, rows, np.empty(0, np.uint64))
    (made,) = [p.detached() for p in prepared([section], 8, range(8))]
    assert list(made.batches) == []


def test_what_is_made_at_once_shares_no_memory_with_the_operator() -> None:
    values = np.arange(10_000)
    table = pa.table({"a": pa.array(values), "b": pa.array(values, mask=values < 3)})
    kept = table.take(pa.array(values))
    keyed = Section("k", Distribution.KEYED, table, hashes=values.astype(np.uint64))
    split = Section("s", Distribution.SPLIT, table)
    made = [p.detached() for p in prepared([keyed, split], 1, range(1))]
    values[:] = -1
    for each in made:
        got = pa.Table.from_batches([batch for _, batch in each.batches])
        assert got.select(["a", "b"]) == kept


@given(st.binary(max_size=300), st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_checksums_of_two_parts_make_that_of_both(first: bytes, second: bytes) -> None:
    both = crc32_of_both(zlib.crc32(first), zlib.crc32(second), len(second))
    assert both == zlib.crc32(first + second)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "a"]).dictionary_encode(),
        pa.array([["a"], None, ["b", "a"]]).cast(pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        pa.StructArray.from_arrays([pa.array(["a", "b", "a"]).dictionary_encode()], ["x"]),
    ],
    ids=["dictionary", "list of dictionary", "struct of dictionary"],
)
def test_dictionaries_are_stored_as_their_values(column: pa.Array) -> None:
    data, (entry,) = written(Section("s", Distribution.UNION, pa.table({"c": column})))
    stored = pa.ipc.open_file(data).read_all()
    assert stored["c"].to_pylist() == column.to_pylist()
    assert "dictionary" not in str(stored.schema)
    assert entry.rows == 3


def test_metadata_of_fields_is_kept_and_that_of_tables_is_not() -> None:
    field = pa.field("c", pa.binary(), metadata={"flowjob.pickled": "1"})
    table = pa.table(
        {"c": pa.array([b"x"], pa.binary())}, schema=pa.schema([field], {"pandas": "{}"})
    )
    schema = plain_table(table).schema
    assert schema.field("c").metadata == {b"flowjob.pickled": b"1"}
    assert schema.metadata is None


def test_inline_parts_hold_their_bytes() -> None:
    data, entries = written(
        Section("a", Distribution.UNION, pa.table({"a": [1]})), keyed_section(keyed_table(3))
    )
    for entry, before in zip(inlined(entries, data), entries):
        assert entry.inline == data[before.offset : before.offset + before.length]
        assert (entry.offset, entry.length) == (0, before.length)


def test_objects_of_savepoints_hold_one_section_each(tmp_path: Path) -> None:
    sections = [
        Section("a", Distribution.UNION, pa.table({"a": [1]})),
        Section("b", Distribution.UNION, pa.table({"b": [2]})),
    ]
    entries = write_objects(sections, 8, range(8), tmp_path, lambda name: f"op/{name}/0.arrow")
    assert [e.object for e in entries] == ["op/a/0.arrow", "op/b/0.arrow"]
    for entry, section in zip(entries, sections):
        path = tmp_path / entry.object
        assert path.stat().st_size == entry.length
        assert pa.ipc.open_file(path.read_bytes()).read_all() == section.table


# -- refusals


def test_rows_of_key_groups_of_others_are_refused() -> None:
    with pytest.raises(ValueError, match=r"section `rows`: \d+ of 50 rows belong to key groups of"):
        write_parts([keyed_section(keyed_table(50))], 8, range(2, 4), BytesIO())


BAD_SECTIONS: dict[str, Section] = {
    "hashes": Section("s", Distribution.KEYED, pa.table({"a": [1]})),
    "no other has": Section("s", Distribution.SPLIT, pa.table({"a": [1]}), np.zeros(1, np.uint64)),
    "2 hashes for 1 rows": Section(
        "s", Distribution.KEYED, pa.table({"a": [1]}), np.zeros(2, np.uint64)
    ),
    "__hash is taken": Section("s", Distribution.UNION, pa.table({"__hash": [1]})),
}


@pytest.mark.parametrize("reason", BAD_SECTIONS)
def test_a_section_that_contradicts_itself_is_refused(reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        written(BAD_SECTIONS[reason])


def test_a_section_given_twice_is_refused() -> None:
    section = Section("s", Distribution.UNION, pa.table({"a": [1]}))
    with pytest.raises(ValueError, match="section `s` is given twice"):
        written(section, section)


@pytest.mark.parametrize(
    "meta", [{"x": b"bytes"}, {"x": 1 << 63}, {"x": float("nan")}, {"x": [{1: 2}]}, {"x": object()}]
)
def test_meta_that_json_would_change_is_refused(meta: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="section `s`, meta `x`"):
        written(Section("s", Distribution.UNION, pa.table({"a": [1]}), meta=meta))
