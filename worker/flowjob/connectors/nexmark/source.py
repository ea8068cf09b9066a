"""Nexmark as sources: persons, auctions, bids, or all events in one stream; one split per generator.

Splits are dealt to subtasks, so the rows and their timelines are the same at any parallelism. Reading never waits,
unless the pace of the wall clock was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flowjob.connectors.base import (
    Assignment,
    Left,
    Position,
    Read,
    Source,
    Split,
    SplitEnumerator,
    SplitReader,
)
from flowjob.connectors.known_splits import KnownSplits
from flowjob.connectors.nexmark.config import Kind, NexmarkConfig, row_range
from flowjob.connectors.nexmark.events import generate_events
from flowjob.connectors.nexmark.rows import generate
from flowjob.connectors.nexmark.schemas import EVENT_TYPE, TYPES
from flowjob.connectors.options import needed, projected
from flowjob.connectors.pacing import Pace
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    import pyarrow as pa

    from flowjob.runtime.env import Env


@dataclass(frozen=True, kw_only=True)
class NexmarkSource(Source):
    """`kind` None: all events in one stream. `real_time`: no faster than `tps` on the wall clock."""

    kind: Kind | None
    config: NexmarkConfig = field(default_factory=NexmarkConfig)
    real_time: bool = False
    columns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return f"nexmark {self.kind.name.lower()}s" if self.kind is not None else "nexmark events"

    @property
    def type(self) -> StreamType:
        whole = TYPES[self.kind] if self.kind is not None else EVENT_TYPE
        return whole if self.columns is None else StreamType(projected(whole.schema, self.columns))

    @property
    def bounded(self) -> bool:
        return self.config.events > 0

    @property
    def assignment(self) -> Assignment:
        return Assignment.DEAL

    @property
    def max_parallelism(self) -> int | None:
        return self.config.generators

    def project(self, columns: tuple[str, ...]) -> NexmarkSource:
        return replace(self, columns=needed(self, columns))

    def left(self, split: Split, position: Position | None) -> Left:
        if not self.bounded:
            return Left()
        return Left(rows=self.rows(split.data["generator"]) - (position or {}).get("rows", 0))

    def enumerator(self, env: Env) -> SplitEnumerator:
        return KnownSplits(
            tuple(Split(f"generator-{g}", {"generator": g}) for g in range(self.config.generators))
        )

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        given = (position or {}).get("rows", 0)
        pace = None
        if self.real_time:
            share = self.kind.share / 50 if self.kind is not None else 1.0
            pace = Pace(env.clock, self.config.tps * share / self.config.generators)
        return NexmarkReader(self, split.data["generator"], given, batch_rows, pace)

    def rows(self, generator: int) -> int:
        """How many rows a generator makes."""
        if self.kind is None:
            return len(self.config.range_of(generator))
        return len(row_range(self.config, self.kind, generator))

    def make(self, generator: int, first: int, count: int) -> pa.RecordBatch:
        """Rows first … first+count of a generator."""
        if self.kind is None:
            return generate_events(self.config, first, count, self.columns, generator=generator)
        return generate(self.config, self.kind, first, count, self.columns, generator=generator)


class NexmarkReader(SplitReader):
    """Position: how many rows were given."""

    def __init__(
        self, source: NexmarkSource, generator: int, given: int, batch_rows: int, pace: Pace | None
    ) -> None:
        self._source = source
        self._generator = generator
        self._given = given
        self._batch_rows = batch_rows
        self._pace = pace
        self.immediate = pace is None

    async def read(self) -> Read | None:
        count = min(self._batch_rows, self._source.rows(self._generator) - self._given)
        if count <= 0:
            return None
        if self._pace is not None:
            count = await self._pace.wait(count)
            self._pace.gave(count)
        batch = self._source.make(self._generator, self._given, count)
        self._given += count
        return Read(batch)

    def position(self) -> Position:
        return {"rows": self._given}
