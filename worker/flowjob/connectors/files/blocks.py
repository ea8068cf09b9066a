"""Blocks of rows out of a file, one after the other, and a reader that gives them in batches.

Block streams block, on a worker thread; the reader keeps the next block coming while the current one is given out. A
position is where a block begins plus the rows given since, so the size of blocks may change between two runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from flowjob.connectors.base import BadRow, Position, Read, SplitReader

if TYPE_CHECKING:
    from flowjob.runtime.env import Env

Place = dict[str, Any]
"""Where a block begins; msgpack-able, the format's own."""


@dataclass(frozen=True, slots=True)
class Block:
    """The rows between two places of a file, and the bad rows among them."""

    start: Place
    end: Place
    columns: pa.RecordBatch
    bad: tuple[BadRow, ...] = ()


class BlockStream(Protocol):
    """Reads blocks in order. Blocking; used by one thread at a time."""

    def next(self) -> Block | None: ...

    def close(self) -> None: ...


class BlockReader(SplitReader):
    """Gives the blocks of one split as batches. Position: {"at": place, "rows": n, "bad": n}."""

    def __init__(
        self,
        env: Env,
        open_at: Callable[[Place | None], BlockStream],
        position: Position | None,
        batch_rows: int,
    ) -> None:
        self._run = env.run_blocking
        self._open_at = open_at
        self._batch_rows = batch_rows
        position = position or {}
        self._at: Place | None = position.get("at")
        self._rows: int = position.get("rows", 0)
        self._bad: int = position.get("bad", 0)
        self._stream: BlockStream | None = None
        self._block: Block | None = None
        self._ended = False
        self._pending: asyncio.Future[Block | None] | None = None

    async def read(self) -> Read | None:
        while not self._ended:
            if self._block is None:
                self._block = await self._next_block()
                if self._block is None:
                    self._ended = True
                    break
                self._at = self._block.start
            if (given := self._take()) is not None:
                return given
        return None

    def position(self) -> Position:
        return {"at": self._at, "rows": self._rows, "bad": self._bad}

    async def close(self) -> None:
        if self._pending is not None:
            # The thread cannot be stopped; the file must stay open until it is done with it.
            await asyncio.gather(self._pending, return_exceptions=True)
        if self._stream is not None:
            await self._run(self._stream.close)

    def _take(self) -> Read | None:
        """The next slice of the block; None when it has no more."""
        block = self._block
        assert block is not None
        total = block.columns.num_rows
        start = min(self._rows, total)
        bad = block.bad[self._bad :]
        count = min(self._batch_rows, total - start)
        if count or bad:
            self._rows = max(self._rows, start + count)
            self._bad += len(bad)
        if self._rows >= total and self._bad >= len(block.bad):
            self._block, self._at = None, block.end
            self._rows, self._bad = self._rows - total, self._bad - len(block.bad)
        return Read(block.columns.slice(start, count), bad=bad) if count or bad else None

    async def _next_block(self) -> Block | None:
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._run(self._fetch))
        # Shielded: a cancelled read loses nothing, the next one picks the block up.
        block = await asyncio.shield(self._pending)
        self._pending = None
        if block is not None:
            self._pending = asyncio.ensure_future(self._run(self._fetch))
        return block

    def _fetch(self) -> Block | None:
        if self._stream is None:
            self._stream = self._open_at(self._at)
        return self._stream.next()
