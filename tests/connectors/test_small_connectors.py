"""Collections, print, collect and discard: the connectors that need no system."""

from __future__ import annotations

import io
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowjob import Schema
from flowjob.connectors.base import SinkContext
from flowjob.connectors.collect import collect, decode_report
from flowjob.connectors.collection import collection
from flowjob.connectors.discard import discard
from flowjob.connectors.print import PrintWriter, print_
from flowjob.errors import TypeMismatch, UnknownColumn
from flowjob.plan.types import OBJECT_COLUMN, OBJECTS, Mode, StreamType
from flowjob.runtime.batch import Batch, Kind
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_source
from tests.connectors.tables import everything, same


class Colour(Enum):
    RED = "red"


class Inner(Schema):
    x: int


class Row(Schema):
    n: int
    name: str | None = None
    inner: Inner | None = None
    colour: Colour = Colour.RED


ROWS = [{"n": i, "name": f"r{i}", "inner": {"x": i}, "colour": "red"} for i in range(23)]


@pytest.mark.parametrize("splits", [1, 4, 50])
async def test_a_collection_keeps_the_promises_of_a_source(env: Env, splits: int):
    await check_source(collection(ROWS, splits=splits), ROWS, env)
    await check_source(collection(everything()), everything().to_pylist(), env)


async def test_schema_rows_dicts_and_tables_give_the_same_stream(env: Env):
    rows = [Row(n=i, name=f"r{i}", inner=Inner(x=i)) for i in range(23)]
    schema = Row.arrow_schema()
    table = pa.Table.from_pylist(ROWS, schema)
    for source in (collection(rows), collection(ROWS, Row), collection(table, Row)):
        assert source.type == StreamType(schema, Row)
        await check_source(source, ROWS, env)


def test_a_row_that_does_not_fit_is_refused_when_the_job_is_built():
    with pytest.raises(TypeMismatch, match="column `n`"):
        collection([{"n": "x"}], Row)
    with pytest.raises(TypeMismatch, match="row 1 has no `n`"):
        collection([{"n": 1, "colour": "red"}, {"colour": "red"}], Row)
    with pytest.raises(TypeMismatch, match="lacks"):
        collection(pa.table({"m": [1]}), Row)
    with pytest.raises(UnknownColumn):
        collection(ROWS, event_time="at")


async def test_other_values_are_a_stream_of_objects(env: Env):
    source = collection([1, "a", (2, 3)])
    assert source.type == OBJECTS
    assert source.project(("n",)) is None
    [split] = (await source.enumerator(env).discover()).splits
    read = await source.reader(env, split, None, 10).read()
    assert read is not None
    assert read.columns.schema.names == [OBJECT_COLUMN]


def context(env: Env, type_: StreamType, messages: list[bytes]) -> SinkContext:
    return SinkContext(
        env=env, type=type_, run_id="r", subtask=1, parallelism=2, report=messages.append
    )


def test_collected_rows_arrive_with_their_kinds_and_timestamps(env: Env):
    batch = Batch(everything(), np.array([5, 6, 7]), np.array([0, 1, 2], np.int8))
    messages: list[bytes] = []
    writer = collect(limit=4).writer(context(env, StreamType(everything().schema), messages))
    for _ in range(3):
        assert writer.write(batch) is None
    found = [decode_report(m) for m in messages]
    assert [len(b) for b in found] == [3, 1]
    assert same(found[0].columns, everything())
    assert found[0].timestamps is not None
    assert found[0].timestamps.tolist() == [5, 6, 7]
    assert found[0].kinds is not None
    assert found[0].kinds.tolist() == [0, 1, 2]


@pytest.mark.parametrize("sink", [collect(), discard(), print_()], ids=lambda s: s.name)
def test_these_sinks_take_every_kind_of_row(sink: Any):
    assert sink.accepts == frozenset(Mode)
    sink.check(OBJECTS)


def test_printed_rows_show_subtask_label_and_kind(env: Env, capsys: pytest.CaptureFixture[str]):
    columns = pa.RecordBatch.from_pylist([{"n": 1}, {"n": 2}])
    type_ = StreamType(columns.schema)
    writer = print_("late", limit=3).writer(context(env, type_, []))
    writer.write(Batch(columns))
    kinds = np.array([Kind.UPDATE_BEFORE, Kind.UPDATE_AFTER], np.int8)
    writer.write(Batch(columns, None, kinds))
    assert capsys.readouterr().out == "late:1> {'n': 1}\nlate:1> {'n': 2}\nlate:1> -U {'n': 1}\n"


def test_objects_are_printed_as_themselves():
    out = io.StringIO()
    import pickle

    pickled = pa.RecordBatch.from_pydict({OBJECT_COLUMN: [pickle.dumps((1, "a"))]})
    PrintWriter("", None, True, out).write(Batch(pickled))
    assert out.getvalue() == "(1, 'a')\n"
