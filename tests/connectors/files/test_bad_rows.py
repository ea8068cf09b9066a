"""A row that cannot be read is set apart alone, with its file, line and text; its neighbours get through."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob import files
from flowjob.connectors.files import text_blocks
from flowjob.connectors.formats.csv_decode import CsvDecoder, CsvOptions
from flowjob.connectors.formats.json_decode import JsonLinesDecoder
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_source
from tests.connectors.reading import read_everything

SCHEMA = pa.schema(
    [
        pa.field("n", pa.int64(), nullable=False),
        ("at", pa.timestamp("us", "UTC")),
        ("price", pa.decimal128(6, 2)),
        ("ok", pa.bool_()),
        pa.field("name", pa.string(), nullable=False),
    ]
)

BAD_CSV = [
    (b"x,2024-01-01,1.00,true,a", "column `n`: int64: invalid value 'x'"),
    (b"1,2024-01-01,1.00,true", "Expected 5 columns, got 4"),
    (b"1,2024-01-01,1.00,true,a,b", "Expected 5 columns, got 6"),
    (b",2024-01-01,1.00,true,a", "`n` has no value"),
    (b"1,soon,1.00,true,a", "column `at`: 'soon' is not a time"),
    (b"1,2024-01-01,1.001,true,a", "column `price`"),
    (b"1,2024-01-01,1.00,perhaps,a", "column `ok`"),
    (b"1,2024-01-01,1.00,true,\xff", "column `name`: string: invalid UTF8"),
    (b'1,2024-01-01,1.00,true,"a', "a quoted cell is not closed"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_CSV)
async def test_a_bad_csv_row_is_set_apart(tmp_path: Path, env: Env, line: bytes, reason: str):
    good = b'7,2024-01-01T00:00:00Z,2.50,false,"two\nlines"\n'
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"n,at,price,ok,name\n" + good * 3 + line + b"\n" + good.replace(b"\n", b"") * 1 + b"\n"
    )
    source = files.csv(path, SCHEMA, on_bad_row="divert")
    rows, bad = await read_everything(source, env)
    assert [r["n"] for r in rows] == [7, 7, 7, 7]
    assert len(bad) == 1
    assert bad[0].location == f"{path}:8"
    assert bad[0].text == line.decode("utf-8", "backslashreplace")
    assert reason in bad[0].reason
    await check_source(source, rows, env, bad_rows=1)


BAD_JSON = [
    (b'{"n": "1", "name": "a"}', '`n` wants a whole number, got "1"'),
    (b'{"n": 1.5, "name": "a"}', "`n` wants a whole number"),
    (b'{"n": 9223372036854775808, "name": "a"}', "does not fit int64"),
    (b'{"n": 1}', "`name` has no value"),
    (b'{"n": 1, "name": null}', "`name` has no value"),
    (b'{"n": 1, "name": "a"', "truncated"),
    (b'{"n": 1, "name": "a"} {"n": 2, "name": "a"}', "trailing characters"),
    (b"[1]", "not a JSON object"),
    (b'{"n": 1, "name": "\xff"}', "UTF-8"),
    (b'{"n": 1, "name": "a", "at": "soon"}', "`at`: 'soon' is not a time"),
    (b'{"n": 1, "name": "a", "price": 1.001}', "`price`: 1.001 does not fit decimal128(6, 2)"),
    (b'{"n": 1, "name": "a", "ok": 1}', "`ok` wants true or false, got 1"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_JSON)
async def test_a_bad_json_row_is_set_apart(tmp_path: Path, env: Env, line: bytes, reason: str):
    good = b'{"name": "b", "n": 7, "more": [1], "price": 1.50, "at": "2024-01-01"}\n'
    path = tmp_path / "a.jsonl"
    path.write_bytes(good * 2 + b"\n" + line + b"\n" + good)
    source = files.jsonl(path, SCHEMA, on_bad_row="divert")
    rows, bad = await read_everything(source, env)
    assert [r["n"] for r in rows] == [7, 7, 7]
    assert [(b.location, b.text) for b in bad] == [
        (f"{path}:4", line.decode("utf-8", "backslashreplace"))
    ]
    assert reason in bad[0].reason
    await check_source(source, rows, env, bad_rows=1)


async def test_a_parquet_row_that_does_not_fit_is_set_apart(tmp_path: Path, env: Env):
    table = pa.table({"n": [1, None, 300, 4], "s": ["a", "b", "c", "d"]})
    pq.write_table(table, tmp_path / "a.parquet")
    schema = pa.schema([pa.field("n", pa.int8(), nullable=False), ("s", pa.string())])
    source = files.parquet(tmp_path / "a.parquet", schema, on_bad_row="skip")
    rows, bad = await read_everything(source, env)
    assert [r["n"] for r in rows] == [1, 4]
    assert [b.location for b in bad] == [f"{tmp_path}/a.parquet: row {n}" for n in (2, 3)]
    assert "`n` has no value" in bad[0].reason
    await check_source(source, rows, env, bad_rows=2)


async def test_the_line_of_a_bad_row_is_right_in_every_byte_range(
    tmp_path: Path, env: Env, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(text_blocks.TextBlocks.__init__, "__kwdefaults__", {"block_bytes": 64})
    lines = [f"{i}" if i % 7 else f"bad{i}" for i in range(2, 200)]
    (tmp_path / "a.csv").write_text("n\n" + "\n".join(lines) + "\n")
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    source = files.csv(
        tmp_path / "a.csv", schema, multiline=False, split_bytes=150, on_bad_row="divert"
    )
    rows, bad = await read_everything(source, env)
    assert [b.location.rsplit(":", 1)[1] for b in bad] == [str(i) for i in range(7, 200, 7)]
    assert [b.text for b in bad] == [f"bad{i}" for i in range(7, 200, 7)]
    await check_source(source, rows, env, bad_rows=len(bad))


async def test_a_quote_that_is_never_closed_costs_one_line(tmp_path: Path, env: Env):
    (tmp_path / "a.csv").write_text('n,s\n1,a\n2,"b\n3,c\n4,15" screen\n5,e\n')
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    source = files.csv(tmp_path / "a.csv", schema, on_bad_row="skip")
    rows, bad = await read_everything(source, env)
    assert [r["n"] for r in rows] == [1, 3, 4, 5]
    assert [(b.location[-2:], b.text) for b in bad] == [(":3", '2,"b')]


LINES = st.sampled_from(
    [
        b"1,a",
        b'2,"b"',
        b'3,"c\nd"',
        b"x,e",
        b"4",
        b'5,"',
        b'6,g"h',
        b'7"h,"i',
        b'8,""',
        b'"9","a""',
        b"",
    ]
)


@settings(max_examples=80)
@given(st.lists(LINES, max_size=12))
def test_a_csv_block_gives_what_its_records_give_one_by_one(lines: list[bytes]):
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    decoder = CsvDecoder(["n", "s"], schema, CsvOptions(multiline=False))
    lines = [line.replace(b"\n", b" ") for line in lines]
    whole = decoder.decode(b"".join(line + b"\n" for line in lines), stop_early=False)
    singles = [decoder.decode(line + b"\n", stop_early=False) for line in lines]
    assert whole.columns.to_pylist() == [r for s in singles for r in s.columns.to_pylist()]
    assert [b.text for b in whole.bad] == [b.text for s in singles for b in s.bad]


JSON_LINES = st.sampled_from(
    rb"""{"n":1,"s":"a"}|{"n":"NaN"}|{"n":1e3,"s":null}|{}|null|{"n":1,"n":2}|{"s":1}|{"n":true}|{"n":1|  |
    {"n":-0,"s":"\u00e9"}|{"n":"1"}|{"s":[null,1]}""".replace(b"\n", b"").split(b"|")
)


@settings(max_examples=80)
@given(st.lists(JSON_LINES, max_size=8))
def test_a_json_block_gives_what_its_lines_give_one_by_one(lines: list[bytes]):
    decoder = JsonLinesDecoder(pa.schema([("n", pa.float64()), ("s", pa.string())]))
    whole = decoder.decode(b"".join(line + b"\n" for line in lines), stop_early=False)
    singles = [decoder.decode(line + b"\n", stop_early=False) for line in lines]
    found = [r for s in singles for r in s.columns.to_pylist()]
    assert repr(whole.columns.to_pylist()).replace("-0.0", "0.0") == repr(found).replace(
        "-0.0", "0.0"
    )
    assert [b.text for b in whole.bad] == [b.text for s in singles for b in s.bad]
