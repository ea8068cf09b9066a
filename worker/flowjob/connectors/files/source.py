"""Files as a source: the declaration that ties paths, a format and a schema together.

It opens nothing, except a file's metadata when Parquet is read without a schema: a plan must know what the rows are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from flowjob.connectors.base import Left, Position, Source, Split, SplitEnumerator, SplitReader
from flowjob.connectors.files.blocks import BlockReader, BlockStream, Place
from flowjob.connectors.files.enumerator import FileEnumerator
from flowjob.connectors.files.formats import FileFormat, Part
from flowjob.connectors.files.left import left_of
from flowjob.connectors.files.listing import find
from flowjob.connectors.files.parquet_blocks import file_schema
from flowjob.connectors.options import needed, projected
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    from flowjob.runtime.env import Env

SPLIT_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """`given` is the declared type, or None to take it from the first file; `follow` seconds between looks."""

    patterns: tuple[str, ...]
    format: FileFormat
    given: StreamType | None
    follow: float | None = None
    split_bytes: int = SPLIT_BYTES
    columns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        more = f" and {len(self.patterns) - 1} more" if len(self.patterns) > 1 else ""
        return f"{self.format.name} {self.patterns[0]}{more}"

    @cached_property
    def declared(self) -> StreamType:
        """What whole rows are."""
        return self.given or StreamType(file_schema(find(self.patterns)[0].path))

    @property
    def type(self) -> StreamType:
        if self.columns is None:
            return self.declared
        return StreamType(self._wanted)

    @property
    def bounded(self) -> bool:
        return self.follow is None

    @property
    def _wanted(self) -> pa.Schema:
        assert self.declared.schema is not None
        return projected(self.declared.schema, self.columns)

    def project(self, columns: tuple[str, ...]) -> FileSource:
        return replace(self, columns=needed(self, columns))

    def left(self, split: Split, position: Position | None) -> Left:
        return left_of(split.data, position)

    def enumerator(self, env: Env) -> SplitEnumerator:
        return FileEnumerator(env, self.patterns, self.format, self.split_bytes, self.follow)

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        assert self.declared.schema is not None
        part = Part(split.data, self.declared.schema, self._wanted, self.on_bad_row == "fail")

        def open_at(place: Place | None) -> BlockStream:
            return self.format.open(part, place)

        return BlockReader(env, open_at, position, batch_rows)
