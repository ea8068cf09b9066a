"""The suites find what they are there to find: each broken promise fails with its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest

from flowjob.connectors.base import (
    Position,
    Read,
    Sink,
    SinkContext,
    SinkWriter,
    Split,
    SplitReader,
)
from flowjob.connectors.collection import CollectionSource, TableReader, collection
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_sink, check_source

ROWS = [{"n": i, "s": str(i)} for i in range(20)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Broken(CollectionSource):
    """A collection with a fault."""

    fault: str = ""

    def project(self, columns: tuple[str, ...]) -> Any:
        if self.fault == "projection":
            return replace(self, columns=columns, table=self.table.slice(1))
        return replace(self, columns=columns)

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        given = (position or {}).get("rows", 0)
        if self.fault == "resume" and position:
            given += 1
        if self.fault == "size":
            batch_rows += 1
        return BrokenReader(self.fault, self.table.select(self.type.columns), batch_rows, given)


class BrokenReader(TableReader):
    def __init__(self, fault: str, table: pa.Table, batch_rows: int, given: int) -> None:
        super().__init__(table, batch_rows, given)
        self._fault = fault
        self._wait = fault == "cancellation"

    async def read(self) -> Read | None:
        import asyncio

        read = await super().read()
        if self._wait:
            await asyncio.sleep(0)
        if read is not None and self._fault == "schema":
            return Read(read.columns.rename_columns(["x", "s"]))
        return read


FAULTS = {
    "resume": "continued at",
    "size": "more rows than asked for",
    "schema": "is not",
    "projection": "projected to",
    "cancellation": "with cancelled reads",
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_source_that_breaks_a_promise_is_found_out(env: Env, fault: str):
    good = collection(ROWS)
    source = Broken(declared=good.declared, table=good.table, fault=fault)
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        await check_source(source, ROWS, env)


async def test_missing_and_reordered_rows_are_found_out(env: Env):
    with pytest.raises(AssertionError, match="20 rows for 21"):
        await check_source(collection(ROWS), [*ROWS, ROWS[0]], env)
    with pytest.raises(AssertionError, match="the first difference is row 0"):
        await check_source(collection(ROWS), ROWS[::-1], env)
    await check_source(collection(ROWS), ROWS[::-1], env, in_order=False)
    with pytest.raises(AssertionError, match="expected 1 bad rows"):
        await check_source(collection(ROWS), ROWS, env, bad_rows=1)


@dataclass(frozen=True, kw_only=True)
class ListSink(Sink):
    """Writes into a list, at once or when finished."""

    rows: list[Any]
    at_once: bool

    @property
    def name(self) -> str:
        return "list"

    def writer(self, context: SinkContext) -> SinkWriter:
        return ListWriter(self)


class ListWriter(SinkWriter):
    def __init__(self, sink: ListSink) -> None:
        self._sink = sink
        self._held: list[Any] = []

    def write(self, batch: Batch) -> None:
        target = self._sink.rows if self._sink.at_once else self._held
        target += batch.columns.to_pylist()

    async def finish(self) -> None:
        self._sink.rows.extend(self._held)


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_sink_that_shows_unfinished_rows_is_found_out(env: Env, at_once: bool):
    rows: list[Any] = []
    batches = [Batch(pa.RecordBatch.from_pylist(ROWS[i : i + 5])) for i in range(0, 20, 5)]

    async def check() -> None:
        sink = ListSink(rows=rows, at_once=at_once)
        await check_sink(lambda: sink, batches, env, lambda: list(rows))

    if at_once:
        with pytest.raises(AssertionError, match="left rows behind"):
            await check()
    else:
        await check()
