"""A source that follows a script: rows, watermarks and the passing of time, exactly in the order they are written.

It only makes sense in virtual time (testing/virtual_time.py), where waiting lets everything else happen first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from flowjob.connectors.base import (
    Discovery,
    Position,
    Read,
    Source,
    Split,
    SplitEnumerator,
    SplitReader,
)
from flowjob.plan.types import StreamType

if TYPE_CHECKING:
    from flowjob.runtime.env import Env

DAY = date(2020, 1, 1)
"""The day of a time given as "09:10"."""


@dataclass(frozen=True)
class WatermarkStep:
    """Event time has come to `time`: µs UTC."""

    time: int


@dataclass(frozen=True)
class AdvanceStep:
    """The wall clock moves on."""

    by: timedelta


def at(text: str | datetime) -> datetime:
    """A point in time in UTC: "09:10", "09:10:30.5" on a fixed day, or an ISO date and time."""
    if isinstance(text, datetime):
        return text if text.tzinfo is not None else text.replace(tzinfo=UTC)
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?", text):
        text = f"{DAY.isoformat()}T{text.rjust(5, '0') if text[1] == ':' else text}"
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def watermark(time: str | datetime) -> WatermarkStep:
    """A step of a script: no row up to and including `time` follows, unless it is late."""
    return WatermarkStep(_micros(at(time)))


def advance(by: timedelta) -> AdvanceStep:
    """A step of a script: the wall clock moves on by so much, and what it makes due happens."""
    return AdvanceStep(by)


def _micros(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class ScriptedSource(Source):
    """Steps are one-row record batches, watermarks and advances. Unfinished scripts (`ends=False`) leave the stream
    open: what has not fired by then does not."""

    steps: Sequence[pa.RecordBatch | WatermarkStep | AdvanceStep]
    declared: StreamType

    @property
    def name(self) -> str:
        return "script"

    @property
    def type(self) -> StreamType:
        return self.declared

    @property
    def bounded(self) -> bool:
        return True

    @property
    def max_parallelism(self) -> int | None:
        return 1

    def enumerator(self, env: Env) -> SplitEnumerator:
        return _OneSplit()

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return _ScriptReader(self, env, 0 if position is None else position["step"])


class _OneSplit(SplitEnumerator):
    async def discover(self) -> Discovery:
        return Discovery((Split("script"),), complete=True)


class _ScriptReader(SplitReader):
    def __init__(self, source: ScriptedSource, env: Env, step: int) -> None:
        self._source = source
        self._env = env
        self._step = step
        schema = source.declared.schema
        assert schema is not None
        self._nothing = pa.RecordBatch.from_pylist([], schema=schema)

    async def read(self) -> Read | None:
        if self._step >= len(self._source.steps):
            return None
        step = self._source.steps[self._step]
        self._step += 1
        # Waiting, even for nothing, lets all that came before take its full effect: virtual time only moves on when
        # nothing else can happen.
        await self._env.clock.sleep(1e-6)
        if isinstance(step, WatermarkStep):
            return Read(self._nothing, watermark=step.time)
        if isinstance(step, AdvanceStep):
            await self._env.clock.sleep(step.by.total_seconds())
            return Read(self._nothing)
        return Read(step)

    def position(self) -> Position:
        return {"step": self._step}
