"""Sockets as sinks: rows as lines, a slow peer holds the job back, and one that goes away fails it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pyarrow as pa
import pytest

from flowjob import sockets
from flowjob.connectors.base import SinkWriter
from flowjob.connectors.formats.csv_decode import CsvDecoder, CsvOptions
from flowjob.connectors.formats.json_decode import JsonLinesDecoder
from flowjob.errors import JobFailed, PlanError
from flowjob.plan.types import OBJECTS, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_sink
from tests.connectors.sockets.peers import HOST, Taken, peer, turns, writer_of
from tests.connectors.tables import everything


def words(*texts: str | None) -> Batch:
    return Batch(pa.RecordBatch.from_pydict({"word": pa.array(texts, pa.string())}))


@pytest.mark.parametrize("format", ["jsonl", "csv"])
async def test_every_type_comes_back_from_what_was_sent(env: Env, format: Any):
    schema = everything().schema
    options = CsvOptions(header=False)
    decoder = (
        JsonLinesDecoder(schema) if format == "jsonl" else CsvDecoder(schema.names, schema, options)
    )
    taken = Taken()
    async with peer(taken) as there:

        async def read_back() -> list[dict[str, Any]]:
            await turns()  # the last connection may just be on its way
            await there.done()
            decoded = [decoder.decode(t, stop_early=False) for t in taken.texts if t]
            assert not [d.bad for d in decoded if d.bad]
            return [row for d in decoded for row in d.columns.to_pylist()]

        batches = [
            Batch(everything()),
            Batch(everything().slice(1)),
            Batch(everything().slice(0, 1)),
        ]
        await check_sink(
            lambda: sockets.sink(HOST, there.port, format),
            batches,
            env,
            read_back,
            hides_until_finish=False,
        )
        assert len(there.handlers) == 5  # each subtask has a connection of its own


async def test_texts_are_sent_as_lines(env: Env):
    taken = Taken()
    async with peer(taken) as there:
        writer = await writer_of(sockets.sink(HOST, there.port, "lines"), env, words())
        await writer.open()
        for part in (words("a", None, "ü"), words(), Batch(words("x", "y", "z").columns.slice(1))):
            assert writer.write(part) is None
        await writer.finish()
        await writer.close()
        await there.done()
    assert taken.texts == ["a\n\nü\ny\nz\n".encode()]


async def test_a_peer_that_does_not_read_holds_the_job_back(env: Env):
    reading = asyncio.Event()
    sizes: list[int] = []

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cast(asyncio.Transport, writer.transport).pause_reading()
        await reading.wait()
        cast(asyncio.Transport, writer.transport).resume_reading()
        sizes.append(0)
        while data := await reader.read(1 << 20):
            sizes[0] += len(data)

    batch = words(*["x" * 1023] * 1024)
    async with peer(read_late) as there:
        writer = await writer_of(sockets.sink(HOST, there.port, "lines"), env, batch)
        await writer.open()
        written, waiting = 1, writer.write(batch)
        while waiting is None:
            written += 1
            assert written < 200, "the peer's unread bytes must be bounded"
            await turns(5)
            waiting = writer.write(batch)
        held = asyncio.ensure_future(waiting)
        await turns(200)
        assert not held.done()
        reading.set()
        await held
        await writer.finish()
        await writer.close()
        await there.done()
    assert sizes == [written << 20]


async def test_an_unreachable_peer_is_named_when_the_sink_opens(env: Env):
    with socket.socket() as held:
        held.bind((HOST, 0))  # bound, but nobody listens
        port = held.getsockname()[1]
        writer = await writer_of(sockets.sink(HOST, port), env, words("a"))
        with pytest.raises(JobFailed, match=f"cannot connect to {HOST}:{port}: "):
            await writer.open()
        await writer.close()


async def write_for_ever(writer: SinkWriter) -> None:
    while True:
        if (waiting := writer.write(words("x" * 10_000))) is not None:
            await waiting
        await asyncio.sleep(0)


@pytest.mark.parametrize("rudely", [False, True])
async def test_a_peer_that_goes_away_fails_the_job(env: Env, rudely: bool):
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if rudely:
            linger_not = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)

    async with peer(leave) as there:
        writer = await writer_of(sockets.sink(HOST, there.port, "lines"), env, words("a"))
        await writer.open()
        with pytest.raises(JobFailed, match=f"^{HOST}:{there.port} (closed|broke) the connection"):
            await write_for_ever(writer)
        with pytest.raises(JobFailed):
            await writer.finish()
        await writer.close()


async def test_a_waiting_write_ends_when_the_peer_goes_away(env: Env):
    leaving = asyncio.Event()

    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cast(asyncio.Transport, writer.transport).pause_reading()
        await leaving.wait()
        writer.transport.abort()

    batch = words(*["x" * 1023] * 1024)
    async with peer(leave) as there:
        writer = await writer_of(sockets.sink(HOST, there.port, "lines"), env, batch)
        await writer.open()
        while (waiting := writer.write(batch)) is None:
            await turns(5)
        held = asyncio.ensure_future(waiting)
        await turns()
        leaving.set()
        with pytest.raises(JobFailed, match="broke the connection"):
            await held
        await writer.close()


async def test_what_the_peer_says_does_no_harm(env: Env):
    heard: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(line)
            writer.write(line * 100)

    async with peer(echo) as there:
        writer = await writer_of(sockets.sink(HOST, there.port, "lines"), env, words("a"))
        await writer.open()
        for i in range(100):
            if (waiting := writer.write(words(str(i)))) is not None:
                await waiting
            await turns(2)
        await writer.finish()
        await writer.close()
        await there.done()
    assert heard == [b"%d\n" % i for i in range(100)]


async def test_a_writer_that_never_finishes_leaves_nothing_behind(env: Env):
    async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cast(asyncio.Transport, writer.transport).pause_reading()
        await asyncio.get_running_loop().create_future()

    batch = words(*["x" * 1023] * 1024)
    async with peer(ignore) as there:
        writer = await writer_of(sockets.sink(HOST, there.port, "lines"), env, batch)
        await writer.close()  # not even opened
        await writer.open()
        while (waiting := writer.write(batch)) is None:
            await turns(5)
        held = asyncio.ensure_future(waiting)
        await turns()
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        await writer.close()


def test_streams_that_have_no_lines_are_refused():
    two = StreamType(pa.schema([("a", pa.string()), ("b", pa.string())]))
    number = StreamType(pa.schema([("a", pa.int64())]))
    for kind in (two, number):
        with pytest.raises(PlanError, match="one `str` column"):
            sockets.sink("a", 1, "lines").check(kind)
        sockets.sink("a", 1).check(kind)
    with pytest.raises(PlanError, match="arbitrary objects"):
        sockets.sink("a", 1).check(OBJECTS)
    with pytest.raises(PlanError, match="format is one of jsonl, csv, lines"):
        sockets.sink("a", 1, cast(Any, "xml"))
