"""Reads one socket in a slot: lines as they come, decoded a block at a time, with the line of every bad row.

A cancelled read loses nothing: connecting goes on in a task of its own, and lines stay in the connection until they
are taken, which is done without waiting. A position is only the number of the next line; bytes do not come again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowjob.connectors.base import BadRow, Position, Read, SplitReader
from flowjob.connectors.formats.decoded import readable
from flowjob.connectors.sockets.address import told
from flowjob.connectors.sockets.line_connection import LineConnection
from flowjob.errors import JobFailed

if TYPE_CHECKING:
    from flowjob.connectors.formats.decoded import Decoder
    from flowjob.connectors.sockets.dialing import Dialer
    from flowjob.connectors.sockets.line_buffer import Lines

SHOWN_BYTES = 1000
"""How much of a line that is too long its bad row shows."""


@dataclass(frozen=True, slots=True)
class Limits:
    """batch_rows and stop_early as in SplitReader and Decoder; `longest` bytes of a line."""

    batch_rows: int
    longest: int
    stop_early: bool


class SocketReader(SplitReader):
    """See the module."""

    def __init__(
        self, dialer: Dialer, decoder: Decoder, limits: Limits, position: Position | None
    ) -> None:
        self._dialer = dialer
        self._decoder = decoder
        self._limits = limits
        self._line: int = (position or {}).get("line", 1)
        self._connecting: asyncio.Task[LineConnection] | None = None
        self._connection: LineConnection | None = None
        self._ended = False

    async def read(self) -> Read | None:
        while not self._ended:
            connection = self._connection
            if connection is None:
                self._connection = await self._connect()
            elif (lines := connection.take(self._limits.batch_rows)) is not None:
                if (read := self._decode(lines)).columns.num_rows or read.bad:
                    return read
            elif connection.ended:
                self._connection = None
                if (read_ := self._after(connection)) is not None:
                    return read_
            else:
                await connection.more()
        return None

    def position(self) -> Position:
        return {"line": self._line}

    async def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            for made in await asyncio.gather(self._connecting, return_exceptions=True):
                if isinstance(made, LineConnection):
                    await made.close()
        if self._connection is not None:
            await self._connection.close()

    async def _connect(self) -> LineConnection:
        if self._connecting is None:
            made = self._dialer.connect(lambda: LineConnection(self._limits.longest))
            self._connecting = asyncio.get_running_loop().create_task(made)
        # Shielded: the connection of a cancelled read is there for the next one.
        connection = await asyncio.shield(self._connecting)
        self._connecting = None
        return connection

    def _after(self, connection: LineConnection) -> Read | None:
        """What the end of a connection means; raises JobFailed."""
        error = connection.error
        if self._dialer.reconnect is None:
            self._ended = True
            if error is None:
                return None
            raise JobFailed(
                f"the connection to {self._dialer.address} was lost at line {self._line}: {told(error)}"
            ) from error
        self._dialer.lost(error, was_useful=connection.got_bytes)
        cut_short = connection.unfinished()
        if not cut_short:
            return None
        return self._bad_line(cut_short, "the connection was lost in the middle of this line")

    def _decode(self, lines: Lines) -> Read:
        block = lines.block
        if lines.too_long:
            return self._bad_line(block, f"the line has more than {self._limits.longest} bytes")
        decoded = self._decoder.decode(block, stop_early=self._limits.stop_early)
        bad = tuple(
            BadRow(self._place(block.count(b"\n", 0, b.offset)), b.text, b.reason)
            for b in decoded.bad
        )
        self._line += block.count(b"\n")
        return Read(decoded.columns, bad=bad)

    def _bad_line(self, line: bytes, reason: str) -> Read:
        text = readable(line[:SHOWN_BYTES]) + ("…" if len(line) > SHOWN_BYTES else "")
        bad = BadRow(self._place(), text, reason)
        self._line += 1
        return Read(self._decoder.decode(b"", stop_early=True).columns, bad=(bad,))

    def _place(self, after: int = 0) -> str:
        return f"{self._dialer.address} line {self._line + after}"
