"""Made-up rows: the same for the same seed, of every type, at the asked rate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowjob import values
from flowjob.connectors.datagen.source import DatagenSource, datagen
from flowjob.errors import PlanError, UnknownColumn
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_source
from tests.runtime.operators.harness import MockClock

COLUMNS = {
    "id": values.sequence(10, 2),
    "dice": values.ints(1, 6),
    "x": values.floats(-1, 1),
    "flag": values.booleans(0.25),
    "word": values.strings((0, 20)),
    "user": values.choice("ann", "bob", "cyd", weights=[8, 1, 1]),
    "at": values.timestamps(step=timedelta(seconds=1), jitter=timedelta(seconds=5)),
    "maybe": values.nullable(values.ints(0, 9), 0.5),
}


def everything(source: DatagenSource, count: int) -> pa.RecordBatch:
    return source.make(np.arange(count, dtype=np.int64), 0)


def by_split(source: DatagenSource) -> list[dict[str, Any]]:
    assert source.rows is not None
    return [
        row
        for i in range(source.splits)
        for row in source.make(
            np.arange(i, source.rows, source.splits, dtype=np.int64), 0
        ).to_pylist()
    ]


@pytest.mark.parametrize(("rows", "splits"), [(101, 3), (2, 4), (0, 1)])
async def test_it_keeps_the_promises_of_a_source(env: Env, rows: int, splits: int):
    source = datagen(COLUMNS, rows=rows, splits=splits)
    await check_source(source, by_split(source), env)


def test_the_same_seed_gives_the_same_rows_and_another_does_not():
    first, again, other = (everything(datagen(COLUMNS, seed=s), 100) for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.column("dice").equals(other.column("dice"))
    fewer = everything(datagen({"dice": values.ints(1, 6)}, seed=1), 100)
    assert fewer.column("dice").equals(first.column("dice"))


def test_values_are_what_was_asked_for():
    made = everything(datagen(COLUMNS), 10_000).to_pydict()
    assert made["id"][:3] == [10, 12, 14]
    assert set(made["dice"]) == {1, 2, 3, 4, 5, 6}
    assert -1 <= min(made["x"]) < -0.99 < 0.99 < max(made["x"]) < 1
    assert np.mean(made["flag"]) == pytest.approx(0.25, abs=0.02)
    assert {len(w) for w in made["word"]} == set(range(21))
    assert all(w.isalpha() and w.islower() for w in made["word"] if w)
    assert made["user"].count("ann") == pytest.approx(8000, rel=0.03)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    late = [start + timedelta(seconds=i) - t for i, t in enumerate(made["at"])]
    assert timedelta(0) <= min(late) < max(late) <= timedelta(seconds=5)
    assert made["maybe"].count(None) == pytest.approx(5000, rel=0.05)


def test_a_schema_is_filled_by_type():
    schema = pa.schema(
        [
            pa.field("a", pa.int8(), nullable=False),
            ("b", pa.float32()),
            ("c", pa.string()),
            ("d", pa.timestamp("us", "Europe/Berlin")),
            ("e", pa.uint64()),
            ("f", pa.bool_()),
        ]
    )
    made = everything(datagen(schema, {"c": values.choice("x")}), 50)
    made.validate(full=True)
    assert made.schema == schema
    assert set(made.column("c").to_pylist()) == {"x"}


def test_what_cannot_be_made_is_refused_with_the_column():
    schema = pa.schema([("d", pa.decimal128(5, 2))])
    with pytest.raises(PlanError, match="how to make column `d`"):
        datagen(schema)
    with pytest.raises(UnknownColumn, match="Did you mean `d`"):
        datagen(schema, {"dd": values.ints(0, 1)})
    assert datagen(schema, {"d": values.ints(0, 1)}).type.schema == schema


async def test_a_rate_is_kept_over_all_splits(env: Env, clock: MockClock):
    source = datagen({"at": values.now()}, rate=1000, splits=2)
    assert not source.bounded
    [split, _] = (await source.enumerator(env).discover()).splits
    reader = source.reader(env, split, None, 100)
    start, rows = clock.monotonic(), 0
    while rows < 1000:
        read = await reader.read()
        assert read is not None
        rows += read.columns.num_rows
        [*_, last] = read.columns.column("at").cast(pa.int64()).to_pylist()
        assert last == clock.wall()
    assert clock.monotonic() - start == pytest.approx(2, rel=0.01)


async def test_after_a_long_stop_the_rate_goes_on_instead_of_catching_up(
    env: Env, clock: MockClock
):
    source = datagen({"n": values.sequence()}, rate=100, splits=1)
    [split] = (await source.enumerator(env).discover()).splits
    reader = source.reader(env, split, None, 100_000)
    await reader.read()
    clock.set(clock.wall() + 3_600_000_000)
    read = await reader.read()
    assert read is not None
    assert read.columns.num_rows <= 101
    follow = await reader.read()
    assert follow is not None
    assert follow.columns.num_rows == 1
