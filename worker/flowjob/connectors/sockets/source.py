"""A socket as a source: the declaration. It connects as a client, and one subtask reads it.

Not replayable: a socket gives its bytes once, so what was read before a failure and not yet written is lost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from flowjob.connectors.base import Position, Source, Split, SplitEnumerator, SplitReader
from flowjob.connectors.formats.csv_decode import CsvDecoder, CsvOptions
from flowjob.connectors.formats.from_text import TextOptions
from flowjob.connectors.formats.json_decode import JsonLinesDecoder
from flowjob.connectors.known_splits import KnownSplits
from flowjob.connectors.options import needed, projected
from flowjob.connectors.sockets.address import Address
from flowjob.connectors.sockets.dialing import Dialer, Reconnect
from flowjob.connectors.sockets.lines_format import LinesDecoder
from flowjob.connectors.sockets.reader import Limits, SocketReader
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    from flowjob.connectors.formats.decoded import Decoder
    from flowjob.runtime.env import Env

LONGEST_LINE = 1 << 20

FEW_BYTES = 1 << 10
"""Lines that come a few at a time are decoded one by one, in a tenth of the time."""


class LineFormat(Protocol):
    """What lines mean; plain data."""

    @property
    def name(self) -> str: ...

    def decoder(self, declared: pa.Schema, wanted: pa.Schema) -> Decoder: ...


@dataclass(frozen=True, slots=True)
class PlainLines:
    @property
    def name(self) -> str:
        return "lines"

    def decoder(self, declared: pa.Schema, wanted: pa.Schema) -> Decoder:
        return LinesDecoder()


@dataclass(frozen=True, slots=True)
class JsonLines:
    options: TextOptions = field(default_factory=TextOptions)

    @property
    def name(self) -> str:
        return "jsonl"

    def decoder(self, declared: pa.Schema, wanted: pa.Schema) -> Decoder:
        return JsonLinesDecoder(wanted, self.options, small=FEW_BYTES)


@dataclass(frozen=True, slots=True)
class CsvLines:
    """Records are lines: a quoted cell has no line end."""

    options: CsvOptions

    @property
    def name(self) -> str:
        return "csv"

    def decoder(self, declared: pa.Schema, wanted: pa.Schema) -> Decoder:
        return CsvDecoder(declared.names, wanted, self.options)


@dataclass(frozen=True, kw_only=True)
class SocketSource(Source):
    """`longest` bytes of a line; `timeout` seconds for an attempt to connect."""

    address: Address
    format: LineFormat
    declared: StreamType
    longest: int
    timeout: float
    reconnect: Reconnect | None = None
    columns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return f"{self.format.name} {self.address}"

    @property
    def type(self) -> StreamType:
        return self.declared if self.columns is None else StreamType(self._wanted)

    @property
    def bounded(self) -> bool:
        """It ends with its connection, unless it connects again."""
        return self.reconnect is None

    @property
    def max_parallelism(self) -> int | None:
        return 1

    @property
    def _wanted(self) -> pa.Schema:
        assert self.declared.schema is not None
        return projected(self.declared.schema, self.columns)

    def project(self, columns: tuple[str, ...]) -> SocketSource:
        return replace(self, columns=needed(self, columns))

    def enumerator(self, env: Env) -> SplitEnumerator:
        return KnownSplits((Split(str(self.address)),))

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return SocketReader(
            Dialer(env, self.address, self.timeout, self.reconnect),
            self.format.decoder(self.declared.schema, self._wanted),
            Limits(batch_rows, self.longest, self.on_bad_row == "fail"),
            position,
        )
