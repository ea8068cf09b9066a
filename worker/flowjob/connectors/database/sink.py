"""A table of a database as a sink: rows are inserted exactly once where the job takes snapshots, else at least once.

Works with every DB-API driver, because it needs neither two-phase commit nor upserts of the database: rows wait in a
staging table until their snapshot is committed (staging.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.connectors.database.dialect import Dialect, check_table, paramstyle_of, quote_of
from flowjob.connectors.database.staging import Epoch, Staging
from flowjob.connectors.leftovers import Leftovers
from flowjob.errors import PlanError
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    from flowjob.core.commits import CommitPermit
    from flowjob.runtime.batch import Batch

Row = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class TableSink(Sink):
    """`connect` makes a connection; it is called in the workers. `rows`: so many are written at a time."""

    connect: Callable[[], Any]
    table: str
    rows: int = 5000
    paramstyle: str | None = None

    @property
    def name(self) -> str:
        return f"table {self.table}"

    def check(self, type: StreamType) -> None:
        check_table(self.table)
        if type.schema is None:
            raise PlanError(
                f"{self.name} takes columns, but the rows of this stream are arbitrary objects. "
                "Say what the last function returns, with an annotation or returns=…"
            )
        nested = [
            f.name for f in type.schema if pa.types.is_nested(f.type) and f.name in type.columns
        ]
        if nested:
            raise PlanError(
                f"{self.name}: {', '.join(nested)} would be lists or structs, which not every database has. "
                "Select their fields as columns of their own, or make text of them"
            )

    def writer(self, context: SinkContext) -> SinkWriter:
        return TableWriter(self, context)


class TableWriter(SinkWriter):
    """Every use of the connection waits for the one before it."""

    def __init__(self, sink: TableSink, context: SinkContext) -> None:
        self._sink = sink
        self._context = context
        self._columns = context.type.columns
        self._run = f"{context.operator}/{context.run_id}"
        self._writer = f"{self._run}/{context.attempt}/{context.subtask}"
        self._staging = Staging(sink.connect, self._dialect, sink.name)
        self._turn = asyncio.Lock()
        self._waiting: list[Row] = []
        self._epoch = 1
        self._staged = 0
        self._keep: frozenset[tuple[str, int]] = frozenset()

    def restore(self, pending: list[bytes]) -> None:
        epochs = [Epoch.decode(data) for data in pending]
        self._keep = frozenset((e.writer, e.epoch) for e in epochs)

    async def open(self) -> None:
        context = self._context
        await self._do(lambda: self._staging.prepare(stages=context.commits))
        self._staging.check_threads()
        await self._sweep()

    def write(self, batch: Batch) -> Awaitable[None] | None:
        columns = [batch.columns.column(name).to_pylist() for name in self._columns]
        self._waiting += zip(*columns)
        return self._flush() if len(self._waiting) >= self._sink.rows else None

    async def prepare(self, checkpoint: int) -> list[bytes]:
        await self._flush()
        if not self._staged:
            return []
        prepared = Epoch(self._sink.table, self._writer, self._epoch, self._staged)
        self._epoch += 1
        self._staged = 0
        return [prepared.encode()]

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        for data in committables:
            await self._do(partial(self._staging.commit, Epoch.decode(data)))

    async def finish(self) -> None:
        await self._flush()
        await self._sweep()

    async def close(self) -> None:
        if self._staged:  # in no snapshot: nobody will commit them
            await self._do(lambda: self._staging.discard(self._writer, self._epoch))
        await self._do(self._staging.close)

    async def _sweep(self) -> None:
        """When it opens, and again when all is written: tasks of a JobManager that was overtaken may have staged rows
        since then, which nobody would remove after the job's end."""
        leftovers = Leftovers.of(self._context)
        if leftovers is not None:
            await self._do(partial(self._staging.sweep, self._run, leftovers, self._keep))

    async def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        if self._context.commits:
            self._staged += len(rows)
            await self._do(lambda: self._staging.stage(self._writer, self._epoch, rows))
        else:
            await self._do(lambda: self._staging.insert(rows))

    async def _do(self, step: Callable[[], None]) -> None:
        async with self._turn:
            await self._context.env.run_blocking(step)

    def _dialect(self, connection: Any) -> Dialect:
        style = self._sink.paramstyle or paramstyle_of(connection)
        return Dialect(self._sink.table, self._columns, style, quote_of(connection))
