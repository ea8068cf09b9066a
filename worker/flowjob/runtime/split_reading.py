"""A source subtask's splits: those on their way from the JobManager, and those being read.

Why here: how far a split is read must be exact at any moment, also while a read is under way. It must not know event
time, chains' outputs or who asks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from flowjob.connectors.base import Left, Position, Read, Source, Split, SplitReader
from flowjob.core.elements import MIN_TIME
from flowjob.runtime.blame import EXITS
from flowjob.runtime.chain import Link
from flowjob.runtime.messages import SplitProgress, WireSplit


def left_of(source: Source, splits: Iterable[tuple[Split, Position | None]]) -> Left:
    """All of them together; not known where it is not of one. A source that fails to tell has said nothing."""
    rows: int | None = 0
    size: int | None = 0
    try:
        for split, position in splits:
            left = source.left(split, position)
            rows = None if rows is None or left.rows is None else rows + left.rows
            size = None if size is None or left.bytes is None else size + left.bytes
            if rows is None and size is None:
                break
    except EXITS:
        return Left()
    return Left(rows, size)


class SplitInbox:
    """Splits on their way from the JobManager. `request` asks for more; `deliver` is called with the answer.

    waiting   arrived, and not taken yet
    complete  there will be no more
    """

    def __init__(self, request: Callable[[], None]) -> None:
        self._request = request
        self._asked = False
        self._wake: Callable[[], None] = lambda: None
        self.waiting: deque[WireSplit] = deque()
        self.complete = False

    def on_arrival(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def ask(self) -> None:
        """Asks for splits unless an answer is still due."""
        if not self._asked and not self.complete:
            self._asked = True
            self._request()

    def deliver(self, splits: Iterable[WireSplit], complete: bool) -> None:
        self._asked = False
        self.waiting.extend(splits)
        self.complete = self.complete or complete
        self._wake()

    @property
    def exhausted(self) -> bool:
        return self.complete and not self.waiting


class ActiveSplit:
    """A split being read. A reader that may wait reads ahead in a task of its own.

    position      exactly behind the rows taken so far
    rows_to_mark  rows taken since the last pinned watermark
    largest       the largest timestamp of rows taken
    """

    def __init__(self, given: WireSplit, reader: SplitReader, head: Link) -> None:
        self.split = Split(given.id, given.data)
        self.reader = reader
        self._head = head
        progress = given.progress
        self.position: Position | None = given.position
        self.rows_to_mark = 0 if progress is None else progress.to_mark
        self.largest = MIN_TIME if progress is None else progress.largest
        self._pending: asyncio.Task[Read | None] | None = None

    def start(self, wake: Callable[[], None]) -> None:
        if self._pending is None:
            self._pending = asyncio.get_running_loop().create_task(self.read())
            self._pending.add_done_callback(lambda _: wake())

    async def read(self) -> Read | None:
        """What the reader gives; its failure is the source's."""
        try:
            return await self.reader.read()
        except EXITS as error:
            self._head.blame(error)

    @property
    def ready(self) -> bool:
        return self._pending is not None and self._pending.done()

    def take(self) -> Read | None:
        assert self._pending is not None
        pending, self._pending = self._pending, None
        read = pending.result()
        self.position = self.reader.position()
        return read

    @property
    def reached(self) -> Position | None:
        """Exactly behind the rows taken so far."""
        return self.reader.position() if self.reader.immediate else self.position

    def state(self, reached: int) -> WireSplit:
        """The split as it would have to be read on: what has been read ahead is read again. `reached`: what its
        watermark was made of."""
        if self.reader.immediate:
            self.position = self.reader.position()
        progress = SplitProgress(self.largest, self.rows_to_mark, reached)
        return WireSplit(self.split.id, self.split.data, self.position, progress)

    async def close(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
        try:
            await self.reader.close()
        except EXITS as error:
            self._head.blame(error)
