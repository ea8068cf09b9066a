"""Sources that pause before each read, so that even a short job has a middle to be killed in.

Around any source, splits, positions and event time unchanged. It must not know why somebody should wait."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowjob.connectors.base import (
    Assignment,
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


@dataclass(frozen=True, kw_only=True)
class PacedSource(Source):
    """`pause`: virtual seconds for each read, on average."""

    inner: Source
    pause: float

    @classmethod
    def around(cls, inner: Source, pause: float) -> PacedSource:
        return cls(
            event_time=inner.event_time, on_bad_row=inner.on_bad_row, inner=inner, pause=pause
        )

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def type(self) -> StreamType:
        return self.inner.type

    @property
    def bounded(self) -> bool:
        return self.inner.bounded

    @property
    def assignment(self) -> Assignment:
        return self.inner.assignment

    @property
    def max_parallelism(self) -> int | None:
        return self.inner.max_parallelism

    def project(self, columns: tuple[str, ...]) -> Source | None:
        inner = self.inner.project(columns)
        return None if inner is None else replace(self, inner=inner)

    def enumerator(self, env: Env) -> SplitEnumerator:
        return self.inner.enumerator(env)

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return _Reader(self.inner.reader(env, split, position, batch_rows), env, self.pause)


class _Reader(SplitReader):
    """`immediate` is False: it waits."""

    def __init__(self, inner: SplitReader, env: Env, pause: float) -> None:
        self._inner = inner
        self._env = env
        self._pause = pause

    async def read(self) -> Read | None:
        await self._env.clock.sleep(self._pause * 2 * self._env.random.random())
        return await self._inner.read()

    def position(self) -> Position:
        return self._inner.position()

    async def close(self) -> None:
        await self._inner.close()
