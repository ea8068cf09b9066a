"""Whole jobs between sockets: rows go in at one and come out at another."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

import flowjob as fj
from flowjob.errors import JobFailed, MalformedInput
from tests.connectors.sockets.peers import HOST, Taken, in_a_thread
from tests.connectors.sockets.test_socket_sources import free_port

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("scratch")]


class Reading(fj.Schema):
    sensor: str
    value: int
    at: datetime


def sender(data: bytes) -> Any:
    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return in_a_thread(send)


def test_rows_go_from_socket_to_socket():
    rows = [
        {
            "sensor": f"s{i % 7}",
            "value": i,
            "at": f"2024-01-01T00:{i // 60 % 60:02d}:{i % 60:02d}Z",
        }
        for i in range(3600)
    ]
    data = "".join(json.dumps(r) + "\n" for r in rows).encode()
    windows, large = Taken(), Taken()
    with (
        sender(b"not a row\n" + data) as there,
        in_a_thread(windows) as out,
        in_a_thread(large) as names,
    ):
        job = fj.Job("between sockets")
        readings = job.read(
            fj.sockets.jsonl(HOST, there.port, Reading, event_time="at", on_bad_row="skip")
        )
        sums = (
            readings.key_by("sensor")
            .window(fj.tumbling(timedelta(minutes=10)))
            .agg(total=fj.sum("value"))
        )
        job.write(sums, fj.sockets.sink(HOST, out.port))
        job.write(
            readings.filter(fj.col("value") >= 3590).select("sensor"),
            fj.sockets.sink(HOST, names.port, "lines"),
        )
        job.run(parallelism=2)
    expected: dict[tuple[str, int], int] = {}
    for row in rows:
        window = row["sensor"], row["value"] // 600
        expected[window] = expected.get(window, 0) + row["value"]
    results = [json.loads(line) for text in windows.texts for line in text.splitlines()]
    assert sorted((r["sensor"], r["total"]) for r in results) == sorted(
        (sensor, total) for (sensor, _), total in expected.items()
    )
    sensors = b"".join(large.texts).decode().split()
    assert sorted(sensors) == sorted(f"s{i % 7}" for i in range(3590, 3600))


def test_a_row_is_passed_on_while_the_source_stays_open():
    """The sender waits for the answer to each line before it sends the next one."""
    answers: list[str] = []
    answered = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def ask(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loops.append(asyncio.get_running_loop())
        for i in range(20):
            writer.write(b"%d\n" % i)
            await answered.wait()
            answered.clear()

    async def hear(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            answers.append(line.decode())
            loops[0].call_soon_threadsafe(answered.set)

    with in_a_thread(ask) as there, in_a_thread(hear) as out:
        job = fj.Job("answers")
        lines = job.read(fj.sockets.lines(HOST, there.port))
        job.write(lines, fj.sockets.sink(HOST, out.port, "lines"))
        job.run(parallelism=2)
    assert answers == [f"{i}\n" for i in range(20)]


def test_nobody_there_fails_the_job_with_the_address():
    port = free_port()
    job = fj.Job("alone")
    job.write(job.read(fj.sockets.lines(HOST, port)), fj.discard())
    with pytest.raises(JobFailed, match=f"cannot connect to {HOST}:{port}") as failed:
        job.run()
    assert type(failed.value) is JobFailed


def test_a_bad_row_fails_the_job_with_its_line():
    with sender(b'{"sensor": "a"}\n') as there:
        job = fj.Job("bad")
        job.write(job.read(fj.sockets.jsonl(HOST, there.port, Reading)), fj.discard())
        with pytest.raises(JobFailed, match=f"{HOST}:{there.port} line 1") as failed:
            job.run()
    assert isinstance(failed.value.__cause__, MalformedInput)
