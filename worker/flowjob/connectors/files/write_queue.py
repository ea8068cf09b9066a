"""Batches on their way to a worker thread, in order, behind a bound. Small ones wait a moment for company.

Why: a slow stream comes as hundreds of batches of a few rows a second, and encoding costs by the batch, not by the row.
Nobody sees a file before it is complete, so nothing is late. It must not know what is done with the batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

if TYPE_CHECKING:
    from flowjob.runtime.env import Env

QUEUE_BYTES = 16 << 20
"""How much may wait for the disk before the job is held back."""

HELD_BYTES = 256 << 10
"""So much need not wait for company."""

HELD_FOR = 200_000
"""µs that the first of them waits."""

JOINED_ROWS = 16_384
"""Batches are joined up to so many rows."""

ROLL = None
"""A command in the queue: finish the current file."""

Command: TypeAlias = "pa.RecordBatch | None"


class WriteQueue:
    """`carry_out(commands, now)` is called on a worker thread, never twice at once; `now` in µs of the wall clock."""

    def __init__(self, env: Env, carry_out: Callable[[list[Command], int], None]) -> None:
        self._env = env
        self._carry_out = carry_out
        self._commands: deque[Command] = deque()
        self._bytes = 0
        self._since: int | None = None
        self._urgent = False
        self._work: asyncio.Future[None] | None = None

    @property
    def due(self) -> int | None:
        """When the batches that are held have waited long enough, in µs of the wall clock; None: none are held."""
        return None if self._since is None else self._since + HELD_FOR

    @property
    def is_full(self) -> bool:
        """Whoever has put something has to `wait`: there is too much of it, or it cannot be written."""
        return self._bytes > QUEUE_BYTES or self._has_failed()

    def put(self, batch: pa.RecordBatch) -> None:
        self._commands.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= HELD_BYTES:
            self.flush()
        elif self._since is None and not self._is_at_work():
            self._since = self._env.clock.wall()

    def roll(self) -> None:
        """Behind all that was put."""
        self._commands.append(ROLL)
        self.flush()

    def flush(self) -> None:
        """What is here waits for company no more."""
        self._since, self._urgent = None, True
        if not self._is_at_work() and not self._has_failed():
            self._work = asyncio.ensure_future(self._drain())

    async def wait(self, until: int) -> None:
        """Until no more than `until` bytes are queued (0: all is done); raises what went wrong."""
        while self._work is not None:
            if self._work.done():
                self._work.result()
                return
            if until and self._bytes <= until:
                return
            await asyncio.shield(self._work)

    async def abandon(self) -> None:
        """What waits is dropped, what is being done is done."""
        self._commands.clear()
        self._since, self._urgent = None, False
        if self._work is not None:
            await asyncio.gather(self._work, return_exceptions=True)

    def _is_at_work(self) -> bool:
        return self._work is not None and not self._work.done()

    def _has_failed(self) -> bool:
        return self._work is not None and self._work.done() and self._work.exception() is not None

    async def _drain(self) -> None:
        while self._urgent:
            commands = list(self._commands)
            self._commands.clear()
            self._bytes, self._urgent = 0, False
            await self._env.run_blocking(self._carry_out, commands, self._env.clock.wall())
        if self._commands:  # they came meanwhile
            self._since = self._env.clock.wall()


def joined(commands: Iterable[Command], most_bytes: int) -> Iterator[Command]:
    """The same rows in the same order, in fewer batches: none of them joined beyond JOINED_ROWS and `most_bytes`."""
    together: list[pa.RecordBatch] = []
    rows = size = 0
    for command in commands:
        if command is not None:
            rows, size = rows + command.num_rows, size + command.nbytes
        if together and (command is None or rows > JOINED_ROWS or size > most_bytes):
            yield from _one_of(together)
            together.clear()
            rows, size = (0, 0) if command is None else (command.num_rows, command.nbytes)
        if command is None:
            yield command
        else:
            together.append(command)
    yield from _one_of(together)


def _one_of(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    if len(batches) < 2:
        return list(batches)
    found: list[pa.RecordBatch] = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return found
