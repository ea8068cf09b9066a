"""The source of simulated jobs: rows that follow from a seed, in splits with positions, given in pieces at odd times.

Splits ascend in time, so that no row is ever late however splits are dealt out. What a split holds is also what the
reference (reference.py) computes from. It must not know what becomes of the rows."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

import flowjob as fj
from flowjob.connectors.base import (
    Assignment,
    Discovery,
    Position,
    Read,
    Source,
    Split,
    SplitEnumerator,
    SplitReader,
)
from flowjob.connectors.options import row_type
from flowjob.plan.types import StreamType
from flowjob.watermarks import EventTime

if TYPE_CHECKING:
    from flowjob.runtime.env import Env

SPLIT_SPAN = 60_000_000
"""Event time covered by one split, µs."""

MAX_DELAY = 2_000_000
"""How far rows are out of order at most, µs."""

BEGIN = 1_600_000_000_000_000


class Passed(fj.Schema):
    """One row: its place (source, split, seq) is unique."""

    source: int
    split: int
    seq: int
    key: int
    value: int
    at: datetime


TYPE = row_type(Passed)


@dataclass(frozen=True)
class Content:
    """What a source holds."""

    seed: int
    number: int
    splits: int
    rows: int
    keys: int

    def rows_of(self, split: int) -> pa.RecordBatch:
        return _rows(self, split)

    def all_rows(self) -> Iterator[dict[str, int]]:
        """Every row, `at` as µs UTC; in order within a split."""
        for split in range(self.splits):
            batch = self.rows_of(split)
            at = batch.schema.get_field_index("at")
            yield from batch.set_column(at, "at", batch.column("at").cast(pa.int64())).to_pylist()


@lru_cache(maxsize=64)
def _rows(content: Content, split: int) -> pa.RecordBatch:
    chance = random.Random(f"{content.seed}:{content.number}:{split}")
    begin = BEGIN + split * SPLIT_SPAN + MAX_DELAY
    usable = SPLIT_SPAN - MAX_DELAY
    n = content.rows
    hot = chance.random() < 0.3
    keys = [
        0 if hot and chance.random() < 0.7 else int(chance.random() * content.keys)
        for _ in range(n)
    ]
    times = [begin + usable * i // max(n, 1) - int(chance.random() * MAX_DELAY) for i in range(n)]
    columns = [
        [content.number] * n,
        [split] * n,
        list(range(n)),
        keys,
        [int(chance.random() * 1000) - 500 for _ in range(n)],
        times,
    ]
    schema = TYPE.schema
    assert schema is not None
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema)]
    return pa.record_batch(arrays, schema=schema)


@dataclass(frozen=True, kw_only=True)
class SimSource(Source):
    """`waits`: the most virtual seconds between two reads; 0: reads never wait. `found_late`: splits are discovered
    one after the other. `dealt`: they are dealt out at once instead of being asked for."""

    content: Content
    waits: float = 0.0
    found_late: bool = False
    dealt: bool = False

    @property
    def name(self) -> str:
        return f"source {self.content.number}"

    @property
    def type(self) -> StreamType:
        return TYPE

    @property
    def bounded(self) -> bool:
        return True

    @property
    def assignment(self) -> Assignment:
        return Assignment.DEAL if self.dealt else Assignment.PULL

    def enumerator(self, env: Env) -> SplitEnumerator:
        return _Enumerator(self)

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return _Reader(self, env, split, 0 if position is None else position["row"], batch_rows)


def event_time(watermark_every: int | None) -> EventTime:
    """Of all simulated sources. Idleness is never assumed: processes may be stopped for longer than any limit."""
    return EventTime(
        "at",
        max_delay=timedelta(microseconds=MAX_DELAY),
        idle_after=None,
        watermark_every=watermark_every,
    )


def number_of(split: str) -> int:
    """Which split has that id."""
    return int(split.removeprefix("split-"))


class _Enumerator(SplitEnumerator):
    def __init__(self, source: SimSource) -> None:
        count = source.content.splits
        self._left = [Split(f"split-{n:03}", {"number": n}) for n in range(count)]
        self._step = 1 if source.found_late else max(count, 1)
        self.interval = 0.05 if source.found_late else None

    async def discover(self) -> Discovery:
        found, self._left = self._left[: self._step], self._left[self._step :]
        return Discovery(tuple(found), complete=not self._left)


class _Reader(SplitReader):
    def __init__(
        self, source: SimSource, env: Env, split: Split, row: int, batch_rows: int
    ) -> None:
        self.immediate = source.waits == 0
        self._rows = source.content.rows_of(split.data["number"])
        self._row = row
        self._env = env
        self._waits = source.waits
        self._most = batch_rows

    async def read(self) -> Read | None:
        chance = self._env.random
        if self._waits and chance.random() < 0.7:
            await self._env.clock.sleep(self._waits * chance.random())
        left = self._rows.num_rows - self._row
        if not left:
            return None
        count = min(left, 1 + int(chance.random() * self._most))
        rows = self._rows.slice(self._row, count)
        self._row += count
        return Read(rows)

    def position(self) -> Position:
        return {"row": self._row}
