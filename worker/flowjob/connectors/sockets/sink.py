"""A socket as a sink: each subtask connects as a client and sends its rows as lines.

Delivery is what TCP gives: rows that were sent when a job fails stay sent, so a job that is run again sends them
again. Encoding is done on the loop; batches are small and encoders work on whole columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.connectors.formats.csv_encode import csv_lines
from flowjob.connectors.formats.json_encode import json_lines
from flowjob.connectors.sockets.address import Address
from flowjob.connectors.sockets.dialing import Dialer
from flowjob.connectors.sockets.lines_format import text_lines
from flowjob.connectors.sockets.output_connection import OutputConnection
from flowjob.errors import PlanError
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from flowjob.runtime.batch import Batch

Format = Literal["jsonl", "csv", "lines"]

ENCODERS: dict[str, Callable[[pa.RecordBatch], memoryview]] = {
    "jsonl": lambda columns: memoryview(json_lines(columns)),
    "csv": lambda columns: memoryview(csv_lines(columns)),
    "lines": lambda columns: text_lines(columns.column(0)),
}


@dataclass(frozen=True, kw_only=True)
class SocketSink(Sink):
    """`timeout`: seconds to connect."""

    address: Address
    format: Format
    timeout: float

    @property
    def name(self) -> str:
        return f"{self.format} {self.address}"

    def check(self, type: StreamType) -> None:
        if type.schema is None:
            raise PlanError(
                f"{self.name} writes columns, but the rows of this stream are arbitrary objects. "
                "Say what the last function returns, with an annotation or returns=…"
            )
        if self.format == "lines":
            kinds = [type.schema.field(n).type for n in type.columns]
            if len(kinds) != 1 or not (
                pa.types.is_string(kinds[0]) or pa.types.is_large_string(kinds[0])
            ):
                raise PlanError(
                    f"{self.name} writes streams of one `str` column, this one has {', '.join(type.columns)}. "
                    'Select one, or write format="jsonl"'
                )

    def writer(self, context: SinkContext) -> SinkWriter:
        return SocketWriter(self, context)


class SocketWriter(SinkWriter):
    """See the module."""

    def __init__(self, sink: SocketSink, context: SinkContext) -> None:
        self._dialer = Dialer(context.env, sink.address, sink.timeout, None)
        self._encode = ENCODERS[sink.format]
        self._clock = context.env.clock
        self._connection: OutputConnection | None = None

    async def open(self) -> None:
        address = self._dialer.address
        self._connection = await self._dialer.connect(lambda: OutputConnection(address))

    def write(self, batch: Batch) -> Awaitable[None] | None:
        assert self._connection is not None
        return self._connection.write(self._encode(batch.columns)) if len(batch) else None

    async def finish(self) -> None:
        assert self._connection is not None
        await self._connection.finish(self._clock)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
