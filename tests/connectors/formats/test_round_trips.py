"""Every type goes through CSV and JSON lines and comes back as it was."""

from __future__ import annotations

import json

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.connectors.formats.csv_decode import CsvDecoder, CsvOptions
from flowjob.connectors.formats.csv_encode import csv_lines
from flowjob.connectors.formats.json_decode import JsonLinesDecoder
from flowjob.connectors.formats.json_encode import json_lines
from tests.connectors.tables import everything, same, tables


def through_csv(batch: pa.RecordBatch) -> pa.RecordBatch:
    decoder = CsvDecoder(batch.schema.names, batch.schema, CsvOptions())
    decoded = decoder.decode(csv_lines(batch).to_pybytes(), stop_early=False)
    assert decoded.bad == ()
    return decoded.columns


def through_json(batch: pa.RecordBatch) -> pa.RecordBatch:
    text = json_lines(batch).to_pybytes()
    decoded = JsonLinesDecoder(batch.schema).decode(text, stop_early=False)
    assert decoded.bad == ()
    return decoded.columns


def test_every_type_survives_csv():
    assert same(through_csv(everything()), everything())


def test_every_type_survives_json():
    assert same(through_json(everything()), everything())


@settings(max_examples=80)
@given(tables())
def test_any_table_survives_csv(batch: pa.RecordBatch):
    assert same(through_csv(batch), batch)


@settings(max_examples=80)
@given(tables(), st.integers(0, 3))
def test_any_table_survives_json_also_as_a_slice(batch: pa.RecordBatch, start: int):
    assert same(through_json(batch.slice(start)), batch.slice(start))


@settings(max_examples=40)
@given(tables())
def test_what_is_written_as_json_is_valid_json(batch: pa.RecordBatch):
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    lines = json_lines(batch).to_pybytes().split(b"\n")[:-1]
    rows = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [list(r) for r in rows] == [batch.schema.names] * batch.num_rows
