"""A TCP address as a source and as a sink: it connects, and reads or writes lines.

What was read from a socket can't be read again: a job that starts anew continues with what comes next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from flowjob.connectors.base import (
    BadRow,
    Position,
    Read,
    Sink,
    SinkContext,
    SinkWriter,
    Source,
    Split,
    SplitEnumerator,
    SplitReader,
)
from flowjob.connectors.formats.decoded import BadText, Decoder
from flowjob.connectors.formats.json_decode import JsonLinesDecoder
from flowjob.connectors.formats.json_encode import json_lines
from flowjob.connectors.formats.lines_decode import LinesDecoder, lines_of
from flowjob.connectors.known_splits import KnownSplits
from flowjob.connectors.options import needed, projected
from flowjob.connectors.sockets.connection import LineConnection, connect
from flowjob.errors import PlanError
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from flowjob.runtime.batch import Batch
    from flowjob.runtime.env import Env


@dataclass(frozen=True, kw_only=True)
class SocketEndpoint(Source, Sink):
    """`declared`: what rows are when reading; None for a JSON sink. `reconnect`: connect anew at the peer's end."""

    host: str
    port: int
    json: bool
    declared: StreamType | None
    reconnect: bool = False
    columns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return f"socket {self.host}:{self.port}"

    # -- as a source

    @property
    def type(self) -> StreamType:
        if self.declared is None or self.declared.schema is None:
            raise PlanError(f"{self.name}: to read rows of JSON, give their schema")
        if self.columns is None:
            return self.declared
        return StreamType(projected(self.declared.schema, self.columns))

    @property
    def bounded(self) -> bool:
        return False

    @property
    def max_parallelism(self) -> int | None:
        return 1

    def project(self, columns: tuple[str, ...]) -> SocketEndpoint | None:
        return replace(self, columns=needed(self, columns)) if self.json else None

    def enumerator(self, env: Env) -> SplitEnumerator:
        return KnownSplits((Split(self.name),))

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        assert self.type.schema is not None
        decoder: Decoder = JsonLinesDecoder(self.type.schema) if self.json else LinesDecoder()
        return SocketReader(self, env, decoder, batch_rows)

    # -- as a sink

    @property
    def parallelism(self) -> int | None:
        return 1

    def check(self, type: StreamType) -> None:
        if type.schema is None:
            raise PlanError(
                f"{self.name}: rows are arbitrary objects; say what they are (returns=…)"
            )
        columns = type.columns
        text = len(columns) == 1 and pa.types.is_string(type.schema.field(columns[0]).type)
        if not self.json and not text:
            raise PlanError(
                f"{self.name} writes lines of one text column, but the columns are "
                f"{', '.join(columns)}. Use fj.sockets.jsonl for rows as JSON"
            )

    def writer(self, context: SinkContext) -> SinkWriter:
        return SocketWriter(self, context.env)


class SocketReader(SplitReader):
    """The position is empty: see the module."""

    def __init__(
        self, endpoint: SocketEndpoint, env: Env, decoder: Decoder, batch_rows: int
    ) -> None:
        self._endpoint = endpoint
        self._env = env
        self._decoder = decoder
        self._batch_rows = batch_rows
        self._connection: LineConnection | None = None
        self._rows: pa.RecordBatch | None = None
        self._line = 1
        self._ended = False

    async def read(self) -> Read | None:
        bad: tuple[BadRow, ...] = ()
        if self._rows is None:
            lines = await self._lines()
            if not lines:
                return None
            decoded = self._decoder.decode(lines, stop_early=self._endpoint.on_bad_row == "fail")
            bad = tuple(self._located(b, lines) for b in decoded.bad)
            self._line += lines.count(b"\n")
            self._rows = decoded.columns
        given = self._rows.slice(0, self._batch_rows)
        rest = self._rows.slice(given.num_rows)
        self._rows = rest if rest.num_rows else None
        return Read(given, bad=bad)

    def position(self) -> Position:
        return {}

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    def _located(self, bad: BadText, lines: bytes) -> BadRow:
        line = self._line + lines.count(b"\n", 0, bad.offset)
        return BadRow(f"{self._endpoint.name}: line {line}", bad.text, bad.reason)

    async def _lines(self) -> bytes:
        """Whole lines; empty at the end."""
        while not self._ended:
            endpoint = self._endpoint
            if self._connection is None:
                self._connection = await connect(self._env, endpoint.host, endpoint.port)
            if lines := await self._connection.take():
                return lines
            error = self._connection.error
            self._connection.abort()
            self._connection = None
            if error is not None and not endpoint.reconnect:
                raise ConnectionError(f"{endpoint.name}: {error}") from error
            self._ended = not endpoint.reconnect
        return b""


class SocketWriter(SinkWriter):
    def __init__(self, endpoint: SocketEndpoint, env: Env) -> None:
        self._endpoint = endpoint
        self._env = env
        self._connection: LineConnection | None = None

    async def open(self) -> None:
        self._connection = await connect(self._env, self._endpoint.host, self._endpoint.port)

    def write(self, batch: Batch) -> Awaitable[None] | None:
        assert self._connection is not None
        rows = batch.columns
        data = json_lines(rows).to_pybytes() if self._endpoint.json else lines_of(rows)
        return None if self._connection.send(data) else self._connection.drained()

    async def finish(self) -> None:
        assert self._connection is not None
        connection, self._connection = self._connection, None
        await connection.close()
        if connection.error is not None:
            raise ConnectionError(f"{self._endpoint.name}: {connection.error}")

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
