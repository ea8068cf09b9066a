"""Lines over TCP: read to the peer's end, written whole, held back when somebody is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pyarrow as pa
import pytest

from flowjob import sockets
from flowjob.connectors.base import SinkContext
from flowjob.connectors.sockets import connection
from flowjob.connectors.sockets.endpoint import SocketEndpoint
from flowjob.errors import PlanError
from flowjob.plan.types import OBJECTS, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env
from tests.connectors.reading import read_everything, read_rows

SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False), ("s", pa.string())])
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[int]:
    """Listens on a free port of this machine."""
    listening = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


def sends(*parts: bytes) -> Handler:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    return handle


async def test_lines_are_rows_until_the_peer_closes(env: Env):
    async with server(sends("é\na".encode(), b"b\r\n\nlast")) as port:
        source = sockets.lines("127.0.0.1", port)
        assert (source.bounded, source.max_parallelism) == (False, 1)
        assert await read_rows(source, env) == [{"line": t} for t in ("é", "ab", "", "last")]


async def test_json_lines_are_rows_of_the_schema_and_bad_ones_are_set_apart(env: Env):
    async with server(sends(b'{"n":1,"s":"a"}\n{"n":"x"}\n{"n":2}\n')) as port:
        source = sockets.jsonl("127.0.0.1", port, SCHEMA, on_bad_row="skip")
        rows, bad = await read_everything(source, env)
    assert rows == [{"n": 1, "s": "a"}, {"n": 2, "s": None}]
    assert [(b.location, b.text) for b in bad] == [
        (f"socket 127.0.0.1:{port}: line 2", '{"n":"x"}')
    ]


async def test_a_cancelled_read_loses_no_line(env: Env):
    more = asyncio.Event()

    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await more.wait()
        await sends(b"1\n2\n")(_, writer)

    async with server(handle) as port:
        source = sockets.lines("127.0.0.1", port)
        [split] = (await source.enumerator(env).discover()).splits
        reader = source.reader(env, split, None, 1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.01)
        more.set()
        found = []
        while (read := await reader.read()) is not None:
            found += read.columns.to_pylist()
            assert read.columns.num_rows == 1
        await reader.close()
    assert found == [{"line": "1"}, {"line": "2"}]


async def test_with_reconnect_the_next_connection_goes_on(env: Env):
    async with server(sends(b"again\n")) as port:
        source = sockets.lines("127.0.0.1", port, reconnect=True)
        [split] = (await source.enumerator(env).discover()).splits
        reader = source.reader(env, split, None, 10)
        for _ in range(3):
            read = await reader.read()
            assert read is not None
            assert read.columns.to_pylist() == [{"line": "again"}]
        await reader.close()


async def test_nobody_listening_is_an_error_that_names_the_address(env: Env):
    async with server(sends()) as port:
        pass
    with pytest.raises(ConnectionError, match=f"nobody listens on 127.0.0.1:{port}"):
        await read_rows(sockets.lines("127.0.0.1", port), env)


async def write(endpoint: SocketEndpoint, env: Env, *batches: pa.RecordBatch) -> int:
    """How often the writer had to wait."""
    type_ = StreamType(batches[0].schema)
    endpoint.check(type_)
    writer = endpoint.writer(SinkContext(env=env, type=type_, run_id="r", subtask=0, parallelism=1))
    waits = 0
    await writer.open()
    for batch in batches:
        if (waiting := writer.write(Batch(batch))) is not None:
            waits += 1
            await waiting
    await writer.finish()
    await writer.close()
    return waits


def keeps(received: list[bytes], done: asyncio.Event) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())
        writer.close()
        done.set()

    return handle


async def test_rows_are_written_as_lines_and_as_json(env: Env):
    received: list[bytes] = []
    done = asyncio.Event()
    rows = pa.RecordBatch.from_pylist([{"n": 1, "s": "a"}, {"n": 2, "s": None}], SCHEMA)
    async with server(keeps(received, done)) as port:
        await write(sockets.jsonl("127.0.0.1", port), env, rows)
        await done.wait()
        done.clear()
        await write(sockets.lines("127.0.0.1", port), env, rows.select(["s"]))
        await done.wait()
    assert received == [b'{"n":1,"s":"a"}\n{"n":2,"s":null}\n', b"a\n\n"]


async def test_a_slow_peer_holds_the_writer_back_and_gets_everything(env: Env):
    received: list[bytes] = []
    done = asyncio.Event()
    batch = pa.RecordBatch.from_pydict({"line": ["x" * 999] * 1000})
    async with server(keeps(received, done)) as port:
        waits = await write(sockets.lines("127.0.0.1", port), env, *[batch] * 20)
        await done.wait()
    assert waits > 0
    assert len(received[0]) == 20_000_000


async def test_a_fast_peer_is_held_back_while_nobody_reads(
    env: Env, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "MOST_UNREAD", 1000)
    largest = 0
    received = connection.LineConnection.data_received

    def watch(self: Any, data: bytes) -> None:
        nonlocal largest
        received(self, data)
        largest = max(largest, len(self._unread))

    monkeypatch.setattr(connection.LineConnection, "data_received", watch)
    async with server(sends(*[b"y" * 99 + b"\n"] * 20_000, b"z" * 5000)) as port:
        rows = await read_rows(sockets.lines("127.0.0.1", port), env)
    assert len(rows) == 20_001
    assert largest < 1_000_000


def test_what_cannot_be_written_is_refused_when_planned():
    endpoint = sockets.lines("localhost", 1)
    with pytest.raises(PlanError, match=r"one text column, but the columns are n, s\. Use"):
        endpoint.check(StreamType(SCHEMA))
    with pytest.raises(PlanError, match="arbitrary objects"):
        endpoint.check(OBJECTS)
    with pytest.raises(PlanError, match="give their schema"):
        _ = sockets.jsonl("localhost", 1).type
