"""Sockets as sources: lines as they come, bad ones set apart, memory bounded, and ends that say what happened."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

import flowjob as fj
from flowjob import sockets
from flowjob.connectors.base import SplitReader
from flowjob.connectors.sockets import line_connection
from flowjob.connectors.sockets.reader import SocketReader
from flowjob.errors import JobFailed, PlanError, UnknownColumn
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_source
from tests.connectors.sockets.peers import (
    HOST,
    peer,
    read_to_end,
    reader_of,
    rows_of,
    sending,
    turns,
)
from tests.runtime.operators.harness import MockClock

UTC_ZONE = ZoneInfo("UTC")


class Reading(fj.Schema):
    n: int
    name: str | None = None
    at: datetime | None = None


async def test_a_line_is_given_before_the_next_one_is_sent(env: Env):
    taken = asyncio.Event()

    async def converse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for word in (b"one\n", b"two\r\n", b"\n", "vier ü\n".encode()):
            writer.write(word)
            await taken.wait()
            taken.clear()

    async with peer(converse) as there:
        reader = reader_of(sockets.lines(HOST, there.port), env)
        for word in ("one", "two", "", "vier ü"):
            assert rows_of(await reader.read()) == [word]
            taken.set()
        assert await reader.read() is None
        await reader.close()


async def test_half_a_line_waits_for_its_other_half(env: Env):
    going_on = asyncio.Event()

    async def halves(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"whole\nha")
        await going_on.wait()
        writer.write(b"lf\nunfinished")

    async with peer(halves) as there:
        reader = reader_of(sockets.lines(HOST, there.port), env)
        assert rows_of(await reader.read()) == ["whole"]
        going_on.set()
        assert await read_to_end(reader) == (["half", "unfinished"], [])
        await reader.close()


FORMS: dict[str, tuple[Any, bytes, list[dict[str, Any]]]] = {
    "lines": (sockets.lines, b"a\n\nb c\r\n", [{"line": "a"}, {"line": ""}, {"line": "b c"}]),
    "jsonl": (
        lambda h, p: sockets.jsonl(h, p, Reading, event_time="at"),
        b'{"n": 1, "at": "2024-01-01"}\n\n{"n": 2, "name": "x", "more": 3}',
        [
            {"n": 1, "name": None, "at": datetime(2024, 1, 1, tzinfo=UTC_ZONE)},
            {"n": 2, "name": "x", "at": None},
        ],
    ),
    "csv": (
        lambda h, p: sockets.csv(h, p, Reading, delimiter=";", time_format="epoch_s"),
        b'1;"a;b";0\n2;c;\n',
        [
            {"n": 1, "name": "a;b", "at": datetime(1970, 1, 1, tzinfo=UTC_ZONE)},
            {"n": 2, "name": "c", "at": None},
        ],
    ),
}


@pytest.mark.parametrize("name", FORMS)
async def test_every_format_keeps_the_promises_of_a_source(env: Env, name: str):
    make, data, rows = FORMS[name]
    async with sending(data) as there:
        source = make(HOST, there.port)
        await check_source(source, rows, env, resumable=False)  # its bytes come once
        names = [n for n in rows[0] if n in ("line", "n", "at")]
        smaller = source.project(tuple(names))
        assert smaller.type.schema.names == names
        expected = [{n: row[n] for n in names} for row in rows]
        await check_source(smaller, expected, env, resumable=False)
        assert source.max_parallelism == 1
        assert source.name == f"{name} {HOST}:{there.port}"


async def test_blank_lines_alone_are_no_rows(env: Env):
    for make in (sockets.jsonl, sockets.csv):
        async with sending(b"\n\r\n\n") as there:
            reader = reader_of(make(HOST, there.port, Reading), env)
            assert await read_to_end(reader) == ([], [])
            await reader.close()


async def test_bad_rows_are_set_apart_with_their_line(env: Env):
    async with sending(b'{"n": 1}\nno\n\n{"n": 2}\n{"n": "x"}\n{"n": 3}\n') as there:
        source = sockets.jsonl(HOST, there.port, Reading, on_bad_row="divert")
        for batch_rows in (1, 2, 100):
            reader = reader_of(source, env, batch_rows)
            rows, bad = await read_to_end(reader)
            await reader.close()
            assert [row["n"] for row in rows] == [1, 2, 3]
            place = f"{HOST}:{there.port} line"
            assert [(b.location, b.text) for b in bad] == [
                (f"{place} 2", "no"),
                (f"{place} 5", '{"n": "x"}'),
            ]


async def test_few_lines_at_once_and_many_give_the_same_rows(env: Env):
    line = b'{"n": %d, "name": "\\u00fc", "at": "2024-01-01T00:00:00.5"}\n'
    data = b"".join((line % i) if i % 90 else b"[]\n" for i in range(1, 200))
    async with sending(data) as there:
        source = sockets.jsonl(HOST, there.port, Reading, on_bad_row="skip")
        found = []
        for batch_rows in (3, 1000):  # less than FEW_BYTES, and more
            reader = reader_of(source, env, batch_rows)
            found.append(await read_to_end(reader))
            await reader.close()
    assert found[0] == found[1]
    assert len(found[0][0]) == 197


async def test_lines_that_are_no_utf_8_are_bad_rows(env: Env):
    async with sending(b"a\n\xff\xfe\nb\r\n\xc3\nc") as there:
        reader = reader_of(sockets.lines(HOST, there.port, on_bad_row="skip"), env)
        rows, bad = await read_to_end(reader)
        await reader.close()
    assert rows == ["a", "b", "c"]
    assert [(b.location[-6:], b.text, b.reason) for b in bad] == [
        ("line 2", "\\xff\\xfe", "invalid UTF-8"),
        ("line 4", "\\xc3", "invalid UTF-8"),
    ]


@pytest.mark.parametrize("length", [11, 3_000_000])
async def test_a_line_beyond_the_bound_is_a_bad_row_and_not_kept(env: Env, length: int):
    data = b"0123456789\n" + b"x" * length + b"\nshort\n"
    async with sending(data) as there:
        source = sockets.lines(HOST, there.port, on_bad_row="skip", max_line_bytes=10)
        reader = reader_of(source, env)
        rows, bad = await read_to_end(reader)
        await reader.close()
    assert rows == ["0123456789", "short"]
    assert [(b.text, b.reason) for b in bad] == [("x" * 11, "the line has more than 10 bytes")]
    assert bad[0].location.endswith("line 2")


async def test_reads_have_no_more_rows_than_asked_for(env: Env):
    async with sending(b"".join(b"%d\n" % i for i in range(50_000))) as there:
        reader = reader_of(sockets.lines(HOST, there.port), env, 777)
        rows: list[str] = []
        while (read := await reader.read()) is not None:
            assert read.columns.num_rows <= 777
            rows += rows_of(read)
        await reader.close()
    assert rows == [str(i) for i in range(50_000)]


async def test_a_slow_reader_holds_the_sender_back(env: Env):
    line, count = b"x" * 999 + b"\n", 20_000
    async with sending(line * count) as there:
        reader = cast(SocketReader, reader_of(sockets.lines(HOST, there.port), env, 100))
        rows, fullest, paused = 0, 0, False
        while (read := await reader.read()) is not None:
            rows += read.columns.num_rows
            connection = reader._connection
            assert connection is not None
            fullest = max(fullest, connection.waiting_bytes)
            paused = paused or connection._paused
            await turns(3)
        await reader.close()
    assert rows == count
    assert paused
    one_more_piece = 256 << 10
    assert fullest <= line_connection.HIGH_WATER + one_more_piece


async def test_a_cancelled_read_loses_nothing(env: Env):
    go = asyncio.Event()

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for i in range(20):
            await go.wait()
            go.clear()
            writer.write(b"%d\n" % i)

    async with peer(send) as there:
        reader = reader_of(sockets.lines(HOST, there.port), env)
        rows: list[str] = []
        for i in range(20):
            for wait in range(i):  # cancelled at each stage of connecting, and of waiting for data
                doomed = asyncio.ensure_future(reader.read())
                await turns(wait)
                if not doomed.cancel():
                    rows += rows_of(doomed.result())
                await asyncio.gather(doomed, return_exceptions=True)
            go.set()
            rows += rows_of(await reader.read())
        assert await reader.read() is None
        await reader.close()
        assert len(there.handlers) == 1
    assert rows == [str(i) for i in range(20)]


@pytest.mark.parametrize("progress", range(6))
async def test_a_reader_is_closed_at_any_stage(env: Env, progress: int):
    async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(wait) as there:
        reader = reader_of(sockets.lines(HOST, there.port), env)
        if progress:
            doomed = asyncio.ensure_future(reader.read())
            await turns(progress - 1)
            doomed.cancel()
            await asyncio.gather(doomed, return_exceptions=True)
        await reader.close()
        await turns()
        await asyncio.gather(*there.handlers, return_exceptions=True)


# -- connections that do not come about, or break


def free_port() -> int:
    with socket.socket() as held:
        held.bind((HOST, 0))
        port: int = held.getsockname()[1]
        return port


class Network:
    """Attempts end as the script says: an exception, or the number of a port to connect to."""

    def __init__(self, *script: Exception | int) -> None:
        self.script = list(script)
        self.attempts = 0

    async def connect(self, host: str, port: int, factory: Any, *, deadline: float) -> Any:
        self.attempts += 1
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(factory, HOST, step))[1]


def through(env: Env, network: Network) -> Env:
    return dataclasses.replace(env, network=cast(Any, network))


async def fails(reader: SplitReader) -> str:
    with pytest.raises(JobFailed) as failed:
        await read_to_end(reader)
    await reader.close()
    return str(failed.value)


async def test_a_refused_connection_is_named(env: Env):
    port = free_port()
    message = await fails(reader_of(sockets.lines(HOST, port), env))
    assert message.startswith(f"cannot connect to {HOST}:{port}: ")
    assert "[Errno 111]" in message
    assert "must listen there" in message


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (TimeoutError(), "no answer in time"),
    ],
)
async def test_an_unknown_host_and_a_silent_one_are_named(env: Env, error: Exception, told: str):
    message = await fails(reader_of(sockets.lines("ho.st", 7), through(env, Network(error))))
    assert message.startswith("cannot connect to ho.st:7: ")
    assert told in message


async def test_a_name_that_can_be_none_is_named(env: Env):
    assert "cannot connect to a..b:7: " in await fails(reader_of(sockets.lines("a..b", 7), env))


async def test_a_broken_connection_fails_after_the_lines_that_came(env: Env):
    seen = asyncio.Event()

    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"one\ntwo\nthr")
        await seen.wait()
        linger_not = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)

    async with peer(break_off) as there:
        reader = reader_of(sockets.lines(HOST, there.port), env)
        rows: list[str] = []
        while len(rows) < 2:
            rows += rows_of(await reader.read())
        seen.set()
        message = await fails(reader)
        assert f"the connection to {HOST}:{there.port} was lost at line 3: " in message
        assert await reader.read() is None


# -- connecting again


async def test_a_source_that_reconnects_goes_on_with_the_next_connection(
    env: Env, clock: MockClock
):
    began = clock.monotonic()
    sent = iter([b"1\n2\n", b"", b"3\n", b"4"])

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (data := next(sent, None)) is not None:
            writer.write(data)
        else:
            await asyncio.get_running_loop().create_future()

    async with peer(send) as there:
        refused = ConnectionRefusedError("refused")
        port = there.port
        network = Network(refused, refused, port, refused, port, port)
        source = sockets.lines(HOST, port, reconnect=sockets.Reconnect())
        assert not source.bounded
        reader = reader_of(source, through(env, network))
        rows: list[str] = []
        while len(rows) < 4:
            rows += rows_of(await reader.read())
        await reader.close()
    assert rows == ["1", "2", "3", "4"]
    paused = clock.monotonic() - began
    assert paused == pytest.approx(0.1 + 0.2 + 0.1 + 0.2)  # before, and after, the first lines


async def test_a_line_cut_off_by_a_break_is_a_bad_row_when_the_source_reconnects(env: Env):
    seen = asyncio.Event()
    calls: list[int] = []

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(1)
        if len(calls) > 1:
            writer.write(b"again\n")
            return
        writer.write(b"one\ntw")
        await seen.wait()
        linger_not = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)

    async with peer(send) as there:
        source = sockets.lines(HOST, there.port, reconnect=sockets.Reconnect(), on_bad_row="skip")
        reader = reader_of(source, env)
        assert rows_of(await reader.read()) == ["one"]
        seen.set()
        lost = await reader.read()
        assert lost is not None
        assert [(b.location[-6:], b.text) for b in lost.bad] == [("line 2", "tw")]
        assert "in the middle of this line" in lost.bad[0].reason
        assert rows_of(await reader.read()) == ["again"]
        await reader.close()


async def test_a_source_that_reconnects_gives_up_at_its_deadline(env: Env, clock: MockClock):
    network = Network(ConnectionRefusedError("refused"))
    again = sockets.Reconnect(
        timedelta(seconds=1), timedelta(seconds=4), give_up_after=timedelta(seconds=16)
    )
    began = clock.monotonic()
    reader = reader_of(sockets.lines("ho.st", 7, reconnect=again), through(env, network))
    message = await fails(reader)
    assert message.startswith("ho.st:7 gave no data for 0:00:16 since")
    assert message.endswith("the last attempt: refused")
    assert clock.monotonic() - began == pytest.approx(16)
    assert network.attempts == 7  # at 0, 1, 3, 7, 11, 15 and 16 s


async def test_a_peer_that_closes_at_once_is_not_called_in_a_tight_loop(env: Env):
    async with sending(b"") as there:
        again = sockets.Reconnect(give_up_after=timedelta(seconds=3))
        reader = reader_of(sockets.lines(HOST, there.port, reconnect=again), env)
        assert "closed at once" in await fails(reader)
        assert len(there.handlers) == 6  # at 0, 0.1, 0.3, 0.7, 1.5 and 3 s


# -- words that cannot be


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sockets.lines("", 1), "host"),
        (lambda: sockets.lines("a", 0), "port"),
        (lambda: sockets.lines("a", 65_536), "port"),
        (lambda: sockets.lines("a", cast(Any, "1")), "port"),
        (lambda: sockets.lines("a", 1, max_line_bytes=0), "max_line_bytes"),
        (lambda: sockets.lines("a", 1, on_bad_row=cast(Any, "shout")), "on_bad_row"),
        (lambda: sockets.lines("a", 1, connect_timeout=timedelta(0)), "connect_timeout"),
        (lambda: sockets.jsonl("a", 1, Reading, time_format="soon"), "time_format"),
        (lambda: sockets.csv("a", 1, Reading, delimiter="::"), "delimiter"),
        (lambda: sockets.jsonl("a", 1, Reading, max_delay=timedelta(1)), "event_time"),
        (lambda: sockets.Reconnect(timedelta(2), timedelta(1)), "first <= most"),
        (lambda: sockets.Reconnect(give_up_after=timedelta(0)), "give_up_after"),
    ],
)
def test_words_that_cannot_be_are_refused_before_anything_runs(make: Any, message: str):
    with pytest.raises(PlanError, match=message):
        make()


def test_an_event_time_that_is_no_column_is_refused():
    with pytest.raises(UnknownColumn):
        sockets.jsonl("a", 1, Reading, event_time="when")


def test_an_ipv6_address_is_shown_in_brackets():
    assert sockets.lines("::1", 80).name == "lines [::1]:80"


def test_an_arrow_schema_is_as_good_as_a_class():
    schema = pa.schema([("n", pa.int64())])
    assert sockets.jsonl("a", 1, schema).type.schema == schema
