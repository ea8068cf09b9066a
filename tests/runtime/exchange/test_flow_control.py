"""Back-pressure: what is in flight is bounded, a slow consumer slows its own producer only, nothing gets stuck."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pyarrow as pa
import pytest

from flowjob.core.elements import END_OF_INPUT, Watermark
from flowjob.plan.job_graph import Exchange
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.exchange import EdgeWriter, ExchangeSettings
from tests.runtime.exchange import harness as h
from tests.runtime.exchange.harness import Run

KIB = 1024
SMALL = ExchangeSettings(
    batch_rows=512,
    frame_bytes=8 * KIB,
    receive_budget=64 * KIB,
    exclusive_bytes=32 * KIB,
    largest_window=64 * KIB,
)
TEXTS = StreamType(pa.schema([("n", pa.string())]))


async def write_until_blocked(writer: EdgeWriter, start: int = 0, rows: int = 500) -> int:
    """How many rows it took; gives the loop turns so that what can be sent is."""
    written = start
    quiet = 0
    while quiet < 20:
        if writer.blocked:
            quiet += 1
        else:
            quiet = 0
            writer.write(h.sequence(written, rows))
            written += rows
            assert written < 10**6, "the writer never blocks"
        await asyncio.sleep(0.0005)
    return written - start


@pytest.mark.parametrize("local", [False, True])
def test_a_stopped_reader_bounds_what_is_written_and_then_gets_all_of_it(
    run: Run, local: bool
) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one(local=local), SMALL) as c:
            writer, gate = c.writers[0, 0], c.gates[0]
            written = await write_until_blocked(writer)
            assert writer.in_flight_bytes <= 32 * KIB
            assert gate.queued_bytes <= 32 * KIB
            assert writer.buffered_bytes <= 4 * SMALL.frame_bytes
            assert written * 8 <= 32 * KIB + 5 * SMALL.frame_bytes
            writer.control(END_OF_INPUT)
            (elements,) = (await h.read_to_end(gate)).values()
            assert h.rows_of(elements) == list(range(written))
            await writer.writable()
            await asyncio.sleep(0.01)
            assert writer.in_flight_bytes == 0
            assert c.slots["left"].in_flight_bytes == 0
            assert gate.queued_bytes == 0

    run(scenario())


@pytest.mark.parametrize("local", [False, True])
def test_a_blocked_writer_is_woken_when_its_reader_goes_on(run: Run, local: bool) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one(local=local), SMALL) as c:
            writer, gate = c.writers[0, 0], c.gates[0]
            total = 200_000

            async def produce() -> None:
                for start in range(0, total, 1000):
                    await writer.writable()
                    writer.write(h.sequence(start, 1000))
                    writer.control(Watermark(start))
                writer.control(END_OF_INPUT)

            producing = asyncio.ensure_future(produce())
            (elements,) = (await h.read_to_end(gate)).values()
            await producing
            assert h.rows_of(elements) == list(range(total))
            marks = [e.time for e in elements if isinstance(e, Watermark)]
            assert marks == sorted(set(marks))
            assert marks[-1] == total - 1000

    run(scenario())


def test_a_slow_channel_does_not_block_another_on_the_same_connection(run: Run) -> None:
    placed = {(0, 0): "left", (0, 1): "left", (1, 0): "right", (1, 1): "right"}

    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.FORWARD)], placed, SMALL) as c:
            stuck, free = c.writers[0, 0], c.writers[0, 1]
            await write_until_blocked(stuck)

            async def produce() -> None:
                for start in range(0, 50_000, 500):
                    await free.writable()
                    free.write(h.sequence(start, 500))
                free.control(END_OF_INPUT)

            await asyncio.gather(produce(), h.read_to_end(c.gates[1]))
            assert c.gates[1].rows == 50_000
            assert c.gates[0].rows == 0
            assert stuck.blocked

    run(scenario())


def test_controls_do_not_need_credit_but_keep_their_place(run: Run) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one(), SMALL) as c:
            writer = c.writers[0, 0]
            written = await write_until_blocked(writer)
            for time in range(1000):
                writer.control(Watermark(time))
            writer.control(END_OF_INPUT)
            (elements,) = (await h.read_to_end(c.gates[0])).values()
            # Watermarks with nothing between them are one.
            assert elements[-2:] == [Watermark(999), END_OF_INPUT]
            assert sum(isinstance(e, Watermark) for e in elements) == 1
            assert h.rows_of(elements) == list(range(written))

    run(scenario())


@pytest.mark.parametrize("local", [False, True])
def test_a_row_larger_than_every_window_goes_through(run: Run, local: bool) -> None:
    async def scenario() -> None:
        edge = h.edge(Exchange.FORWARD, TEXTS)
        async with h.cluster([edge], h.one_to_one(local=local), SMALL) as c:
            writer = c.writers[0, 0]
            values = ["a", "b" * 3_000_000, "c", "d" * 2_000_000, "e" * 2_000_000, "f"]
            for value in values:
                writer.write(Batch(pa.record_batch({"n": [value]})))
            writer.control(END_OF_INPUT)
            (elements,) = (await h.read_to_end(c.gates[0])).values()
            assert h.rows_of(elements) == values

    run(scenario())


def test_batches_fill_while_they_have_to_wait(run: Run) -> None:
    async def scenario() -> None:
        settings = replace(SMALL, batch_rows=1000, frame_bytes=64 * KIB)
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one(), settings) as c:
            writer = c.writers[0, 0]
            await write_until_blocked(writer, rows=10)
            writer.control(END_OF_INPUT)
            (elements,) = (await h.read_to_end(c.gates[0])).values()
            assert len(elements[0]) == 10
            assert len(elements[-2]) == 1000

    run(scenario())


def test_a_lone_row_does_not_wait_for_company(run: Run) -> None:
    async def scenario() -> None:
        settings = replace(h.DEFAULTS, flush_interval=3600.0)
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one(), settings) as c:
            c.writers[0, 0].write(h.numbers(1))
            assert h.rows_of([e for _, e in await h.read(c.gates[0], 1)]) == [1]

    run(scenario())


def test_flush_ships_what_would_wait(run: Run) -> None:
    async def scenario() -> None:
        settings = replace(h.DEFAULTS, flush_interval=3600.0)
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one(), settings) as c:
            writer = c.writers[0, 0]
            for n in range(10):
                writer.write(h.numbers(n))
                await asyncio.sleep(0)
            writer.flush()
            got: list[int] = []
            while len(got) < 10:
                got += h.rows_of([e for _, e in await h.read(c.gates[0], 1)])
            assert got == list(range(10))

    run(scenario())


def test_waiting_ends_at_its_deadline(run: Run) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one()) as c:
            gate, clock = c.gates[0], h.env().clock
            deadline = clock.monotonic() + 0.01
            async with asyncio.timeout(5):
                await gate.wait(deadline)
                await gate.wait(clock.monotonic() - 1)
            assert gate.poll() is None

    run(scenario())


def test_a_row_that_cannot_be_sent_fails_the_attempt_when_a_timer_finds_it(run: Run) -> None:
    async def scenario() -> None:
        edge = h.edge(Exchange.FORWARD, TEXTS)
        async with h.cluster([edge], h.one_to_one(), replace(SMALL, largest_row=1000)) as c:
            c.writers[0, 0].write(Batch(pa.record_batch({"n": ["x" * 2000]})))
            async with asyncio.timeout(5):
                error = await asyncio.shield(c.slots["left"].failed)
            assert "a single row takes" in str(error)

    run(scenario())


def test_small_batches_are_gathered_before_they_are_partitioned(run: Run) -> None:
    placed = {(0, 0): "left", (1, 0): "left", (1, 1): "right"}

    async def scenario() -> None:
        settings = replace(h.DEFAULTS, flush_interval=3600.0)
        async with h.cluster([h.edge(Exchange.HASH)], placed, settings) as c:
            writer = c.writers[0, 0]
            for start in range(0, 100, 2):
                writer.write(h.sequence(start, 2))
            assert writer.buffered_bytes >= 800
            writer.control(Watermark(1))
            writer.write(h.numbers(1000))
            writer.control(END_OF_INPUT)
            rows = []
            for gate in c.gates.values():
                (elements,) = (await h.read_to_end(gate)).values()
                assert len(elements[0]) > 2
                assert elements[1] == Watermark(1)
                assert sum(isinstance(e, Batch) for e in elements) <= 2
                rows += h.rows_of(elements)
            assert sorted(rows) == [*range(100), 1000]

    run(scenario())
