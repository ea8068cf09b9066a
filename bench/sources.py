"""Sources of the benchmarks: rows computed from their number, so that what is measured is the engine.

A split is every n-th row, read by one subtask each, so that event time advances everywhere alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import flowjob as fj
from flowjob.connectors.base import Assignment, Position, Read, Source, Split, SplitReader
from flowjob.connectors.known_splits import KnownSplits
from flowjob.plan.types import StreamType
from flowjob.runtime.env import Clock, Env
from flowjob.watermarks import EventTime

START_US = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
US_PER_ROW = 10
"""100,000 rows per second of event time: a million in a window of ten seconds."""

TEN_SECONDS = timedelta(seconds=10)
VALUES = 10_007


class KeyedRow(fj.Schema):
    key: int
    value: int
    at: datetime


class NamedRow(fj.Schema):
    key: str
    value: int
    at: datetime


class NamedItem(fj.Schema):
    key: int
    name: str
    value: int
    ratio: float


def items_of(rows: int, parallelism: int) -> GeneratedRows:
    """`rows` rows of four fields, over 10,000 names."""
    return GeneratedRows(rows=rows, splits=parallelism, keys=10_000, row_class=NamedItem)


def repeated_rows(rows: int) -> GeneratedRows:
    """`rows` rows in one split, all batches alike."""
    return GeneratedRows(rows=rows, splits=1, keys=10_000, row_class=KeyedRow, repeated=True)


def keyed_rows(
    rows: int,
    parallelism: int,
    *,
    keys: int,
    text: bool = False,
    timed: bool = False,
    pace: Pace | None = None,
) -> GeneratedRows:
    """`rows` rows over `keys` keys in no order, with text keys of 16 characters or integers; with event time."""
    return GeneratedRows(
        rows=rows,
        splits=parallelism,
        keys=keys,
        row_class=NamedRow if text else KeyedRow,
        event_time=EventTime("at") if timed else None,
        pace=pace,
    )


def spread(numbers: npt.NDArray[np.uint64], factor: int, size: int) -> npt.NDArray[np.int64]:
    """Numbers to 0 … size - 1, as if by chance: a multiplicative hash, scaled without a division."""
    mixed = numbers * np.uint64(factor)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed >>= np.uint64(32)
    mixed *= np.uint64(size)
    mixed >>= np.uint64(32)
    return mixed.view(np.int64)


@dataclass(frozen=True)
class Pace:
    """From row `behind` on, `rate` rows a second, in small batches."""

    behind: int
    rate: int


@dataclass(frozen=True, kw_only=True)
class GeneratedRows(Source):
    """See keyed_rows. `repeated`: the first batch again and again, so that making it costs nothing. `pace`: how it goes
    on behind the first rows, which come as fast as they can."""

    rows: int
    splits: int
    keys: int
    row_class: type[fj.Schema]
    repeated: bool = False
    pace: Pace | None = None
    columns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return "generated rows"

    @property
    def type(self) -> StreamType:
        whole = self.row_class.arrow_schema()
        if self.columns is None:
            return StreamType(whole, self.row_class)
        return StreamType(pa.schema([whole.field(n) for n in whole.names if n in self.columns]))

    @property
    def bounded(self) -> bool:
        return True

    @property
    def assignment(self) -> Assignment:
        return Assignment.DEAL

    def project(self, columns: tuple[str, ...]) -> GeneratedRows:
        timed = ("at",) if self.event_time is not None else ()
        return replace(self, columns=(*columns, *timed))

    def enumerator(self, env: Env) -> KnownSplits:
        return KnownSplits(tuple(Split(f"every-{i}", {"first": i}) for i in range(self.splits)))

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        first = (position or split.data)["first"]
        if self.pace is not None:
            return PacedReader(self, first, batch_rows, env.clock, self.pace)
        return GeneratedReader(self, first, batch_rows)


class GeneratedReader(SplitReader):
    """Computes rows; never waits."""

    immediate = True

    def __init__(self, source: GeneratedRows, first: int, batch_rows: int) -> None:
        self._source = source
        self._schema = source.type.schema
        self._next = first
        self._batch_rows = batch_rows
        self._same: pa.RecordBatch | None = None
        self._names = names(source.keys) if source.row_class in (NamedRow, NamedItem) else None

    async def read(self) -> Read | None:
        source = self._source
        if self._next >= source.rows:
            return None
        stop = min(source.rows, self._next + self._batch_rows * source.splits)
        numbers = np.arange(self._next, stop, source.splits, dtype=np.int64)
        self._next += len(numbers) * source.splits
        if self._same is not None:
            return Read(self._same.slice(0, len(numbers)))
        arrays = [self._column(field, numbers) for field in self._schema]
        made = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        if source.repeated:
            self._same = made
        return Read(made)

    def _column(self, field: pa.Field, numbers: npt.NDArray[np.int64]) -> pa.Array:
        if field.name == "at":
            return pa.array(numbers * US_PER_ROW + START_US).cast(field.type)
        unsigned = numbers.view(np.uint64)
        if field.name == "value":
            return pa.array(spread(unsigned, 0x9E37_79B9_7F4A_7C15, VALUES))
        if field.name == "ratio":
            return pa.array(numbers * 0.25)
        keys = pa.array(spread(unsigned, 0xD6E8_FEB8_6659_FD93, self._source.keys))
        return keys if self._names is None or field.type != pa.string() else self._names.take(keys)

    def position(self) -> Position:
        return {"first": self._next}


class PacedReader(GeneratedReader):
    """In batches of two milliseconds, once it is behind the first rows."""

    immediate = False

    def __init__(
        self, source: GeneratedRows, first: int, batch_rows: int, clock: Clock, pace: Pace
    ) -> None:
        super().__init__(source, first, batch_rows)
        self._clock = clock
        self._pace = pace
        self._began: float | None = None

    async def read(self) -> Read | None:
        pace = self._pace
        if self._next >= pace.behind:
            now = self._clock.monotonic()
            if self._began is None:
                self._began = now
                self._batch_rows = max(1, pace.rate // 500 // self._source.splits)
            due = self._began + (self._next - pace.behind) / pace.rate
            if due > now:
                await self._clock.sleep(due - now)
        return await super().read()


def names(count: int) -> pa.Array:
    """Texts of 16 characters."""
    return pa.array([f"user-{number:011d}" for number in range(count)])


class StampedRow(fj.Schema):
    made_us: int


@dataclass(frozen=True, kw_only=True)
class StampedRows(Source):
    """`rows` rows at `rate` per second of wall time, each with the time at which it was made."""

    rows: int
    splits: int
    rate: float

    @property
    def name(self) -> str:
        return f"{self.rate:,.0f} rows/s"

    @property
    def type(self) -> StreamType:
        return StreamType(StampedRow.arrow_schema(), StampedRow)

    @property
    def bounded(self) -> bool:
        return True

    @property
    def assignment(self) -> Assignment:
        return Assignment.DEAL

    def enumerator(self, env: Env) -> KnownSplits:
        return KnownSplits(tuple(Split(f"part-{i}") for i in range(self.splits)))

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return StampedReader(env, self.rows // self.splits, self.rate / self.splits, batch_rows)


class StampedReader(SplitReader):
    """Waits a moment, then gives all rows that have become due."""

    TICK = 0.0005

    def __init__(self, env: Env, rows: int, rate: float, batch_rows: int) -> None:
        self._clock = env.clock
        self._rows = rows
        self._rate = rate
        self._batch_rows = batch_rows
        self._given = 0
        self._began: float | None = None

    async def read(self) -> Read | None:
        if self._given >= self._rows:
            return None
        if self._began is None:
            self._began = self._clock.monotonic()
        while (count := self._due()) == 0:
            await self._clock.sleep(self.TICK)
        self._given += count
        made: Any = np.full(count, self._clock.wall(), dtype=np.int64)
        return Read(pa.RecordBatch.from_arrays([pa.array(made)], schema=StampedRow.arrow_schema()))

    def _due(self) -> int:
        assert self._began is not None
        due = int((self._clock.monotonic() - self._began) * self._rate)
        return min(due, self._rows, self._given + self._batch_rows) - self._given

    def position(self) -> Position:
        return {"given": self._given}
