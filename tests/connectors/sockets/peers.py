"""What sockets connect to in tests: asyncio servers on this machine, whose every step the test decides."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from flowjob.connectors.base import BadRow, Read, SinkContext, SinkWriter, Source, SplitReader
from flowjob.connectors.sockets.sink import SocketSink
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env

HOST = "127.0.0.1"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A listening server. `handlers` are those of all connections so far."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.handlers: list[asyncio.Task[None]] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[Peer]:
        server = await asyncio.start_server(self._serve, HOST, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self.handlers:
                task.cancel()
            await asyncio.gather(*self.handlers, return_exceptions=True)
            await server.wait_closed()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.append(asyncio.ensure_future(self._handle(reader, writer)))

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._handler(reader, writer)
        finally:
            writer.transport.abort() if reader.exception() else writer.close()

    async def done(self) -> None:
        """All connections were handled to their end."""
        await asyncio.gather(*self.handlers)


def peer(handler: Handler) -> Any:
    """A context manager of a listening Peer."""
    return Peer(handler).listening()


def sending(data: bytes) -> Any:
    """A peer that sends `data` to everyone and closes."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return peer(send)


class Taken:
    """What a peer has read, by connection."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        number = len(self.texts)
        self.texts.append(b"")
        self.texts[number] = await reader.read(-1)


def reader_of(source: Source, env: Env, batch_rows: int = 1000) -> SplitReader:
    enumerated = source.enumerator(env)
    (split,) = enumerated.splits  # type: ignore[attr-defined]  # of KnownSplits
    return source.reader(env, split, None, batch_rows)


def rows_of(read: Read | None) -> list[Any]:
    assert read is not None
    rows = read.columns.to_pylist()
    return [row["line"] for row in rows] if read.columns.schema.names == ["line"] else rows


async def read_to_end(reader: SplitReader) -> tuple[list[Any], list[BadRow]]:
    rows: list[Any] = []
    bad: list[BadRow] = []
    while (read := await reader.read()) is not None:
        rows += rows_of(read)
        bad += read.bad
    return rows, bad


async def writer_of(sink: SocketSink, env: Env, sample: Batch) -> SinkWriter:
    type_ = StreamType(sample.columns.schema)
    sink.check(type_)
    return sink.writer(SinkContext(env=env, type=type_, run_id="r", subtask=0, parallelism=1))


@contextmanager
def in_a_thread(handler: Handler) -> Iterator[Peer]:
    """A peer with a loop of its own, for tests whose thread is busy with a job."""
    loop = asyncio.new_event_loop()
    up, stop = threading.Event(), asyncio.Event()
    made = Peer(handler)

    async def main() -> None:
        async with made.listening():
            up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    try:
        assert up.wait(10)
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def turns(count: int = 20) -> None:
    """Lets everything that could happen without data or time happen."""
    for _ in range(count):
        await asyncio.sleep(0)
