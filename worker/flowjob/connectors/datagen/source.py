"""Made-up rows as a source: any number of splits that share the row numbers out, at full speed or at a rate.

Row i of the stream is in split i % splits, so splits advance together and a time that grows with i grows in each."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

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
from flowjob.connectors.counter_random import field_key
from flowjob.connectors.datagen.values import Making, Values, default_for
from flowjob.connectors.known_splits import KnownSplits
from flowjob.connectors.options import (
    IDLE_AFTER,
    NO_DELAY,
    check_event_time,
    needed,
    projected,
    row_type,
)
from flowjob.connectors.options import event_time as _event_time
from flowjob.connectors.pacing import Pace
from flowjob.errors import PlanError, UnknownColumn
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    from flowjob.runtime.env import Env


def datagen(
    schema: Any,
    columns: Mapping[str, Values] | None = None,
    *,
    rows: int | None = None,
    rate: float | None = None,
    seed: int = 0,
    splits: int = 4,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
) -> DatagenSource:
    """A source of made-up rows.

    schema   a Schema class or Arrow schema, filled with random values by type unless `columns` says otherwise;
             or a dict from column names to fj.values
    columns  fj.values for some columns of the schema
    rows     how many; None: without end
    rate     rows per second of wall time over all splits; None: as fast as can be
    """
    if isinstance(schema, Mapping):
        type_ = StreamType(pa.schema([pa.field(n, v.type) for n, v in schema.items()]))
        columns = schema
    else:
        type_ = row_type(schema)
    if (rows is not None and rows < 0) or (rate is not None and rate <= 0) or splits < 1:
        raise ValueError("rows counts from 0, splits from 1, and rate is positive")
    check_event_time(type_.schema, event_time)
    return DatagenSource(
        declared=type_,
        values=_values(type_.schema, columns or {}),
        rows=rows,
        rate=rate,
        seed=seed,
        splits=splits,
        event_time=_event_time(
            event_time, max_delay=max_delay, idle_after=idle_after, watermark_every=watermark_every
        ),
    )


def _values(schema: pa.Schema, columns: Mapping[str, Values]) -> tuple[Values, ...]:
    for name in columns:
        if name not in schema.names:
            raise UnknownColumn(name, schema.names)
    found = []
    for field in schema:
        values = columns.get(field.name) or default_for(field.type)
        if values is None:
            raise PlanError(
                f"say how to make column `{field.name}` ({field.type}): "
                f'datagen(…, columns={{"{field.name}": fj.values.choice(…)}})'
            )
        found.append(values)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class DatagenSource(Source):
    """See `datagen`. `values` has one entry for each declared column."""

    declared: StreamType
    values: tuple[Values, ...]
    rows: int | None
    rate: float | None
    seed: int
    splits: int
    columns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return "datagen"

    @property
    def type(self) -> StreamType:
        if self.columns is None:
            return self.declared
        return StreamType(projected(self.declared.schema, self.columns))

    @property
    def bounded(self) -> bool:
        return self.rows is not None

    @property
    def assignment(self) -> Assignment:
        return Assignment.DEAL

    @property
    def max_parallelism(self) -> int | None:
        return self.splits

    def project(self, columns: tuple[str, ...]) -> DatagenSource:
        return replace(self, columns=needed(self, columns))

    def left(self, split: Split, position: Position | None) -> Left:
        rows = self.rows_of(split.data["index"])
        return Left(None if rows is None else rows - (position or {}).get("rows", 0))

    def rows_of(self, index: int) -> int | None:
        """How many rows a split has; None: without end."""
        return None if self.rows is None else (self.rows - index + self.splits - 1) // self.splits

    def enumerator(self, env: Env) -> SplitEnumerator:
        return KnownSplits(tuple(Split(f"rows-{i}", {"index": i}) for i in range(self.splits)))

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return DatagenReader(
            self, env, split.data["index"], (position or {}).get("rows", 0), batch_rows
        )

    def make(self, numbers: np.ndarray[Any, np.dtype[np.int64]], now: int) -> pa.RecordBatch:
        """The rows of the stream with these numbers."""
        assert self.declared.schema is not None
        wanted = projected(self.declared.schema, self.columns)
        arrays = []
        for field, values in zip(self.declared.schema, self.values):
            if field.name in wanted.names:
                # Keyed by name: a column keeps its values when others come and go.
                key = field_key(self.seed, zlib.crc32(field.name.encode()))
                array = values.make(Making(numbers, key, now))
                arrays.append(array if array.type == field.type else array.cast(field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=wanted)


class DatagenReader(SplitReader):
    """Position: how many rows of the split were given."""

    def __init__(
        self, source: DatagenSource, env: Env, index: int, given: int, batch_rows: int
    ) -> None:
        self._source = source
        self._clock = env.clock
        self._index = index
        self._given = given
        self._batch_rows = batch_rows
        self._pace = Pace(env.clock, source.rate / source.splits) if source.rate else None
        self.immediate = self._pace is None

    async def read(self) -> Read | None:
        source = self._source
        count = self._batch_rows
        mine = source.rows_of(self._index)
        if mine is not None:
            count = min(count, mine - self._given)
        if count <= 0:
            return None
        if self._pace is not None:
            count = await self._pace.wait(count)
            self._pace.gave(count)
        first = self._index + self._given * source.splits
        numbers = np.arange(first, first + count * source.splits, source.splits, dtype=np.int64)
        batch = source.make(numbers, self._clock.wall())
        self._given += count
        return Read(batch)

    def position(self) -> Position:
        return {"rows": self._given}
