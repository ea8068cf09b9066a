"""A channel that waits for a barrier on the others: it gives nothing, costs its credit at most, and loses nothing."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from flowjob.core.elements import END_OF_INPUT, Barrier, Watermark
from flowjob.plan.job_graph import Exchange
from flowjob.runtime.exchange import InputGate
from flowjob.runtime.exchange.settings import KIB
from flowjob.runtime.exchange.spill import Spill
from tests.runtime.exchange import harness as h
from tests.runtime.exchange.harness import Run

TIMES = [False, True]
SMALL = replace(h.DEFAULTS, exclusive_bytes=64 * KIB, largest_window=64 * KIB, frame_bytes=8 * KIB)


def two_producers(local: bool) -> dict[tuple[int, int], str]:
    return {(0, 0): "right" if local else "left", (0, 1): "left", (1, 0): "right"}


async def poll_all(gate: InputGate) -> list[tuple[int, object]]:
    """What the gate gives until nothing comes for a while of turns."""
    got = []
    for _ in range(50):
        while (polled := gate.poll()) is not None:
            got.append((polled[0], polled[2]))
        await asyncio.sleep(0.001)
    return got


async def read_on(gate: InputGate) -> list[object]:
    """Everything up to the next END."""
    got = [e for _, e in await h.read(gate, 1)]
    while got[-1] is not END_OF_INPUT:
        got += [e for _, e in await h.read(gate, 1)]
    return got


@pytest.mark.parametrize("local", [False, True])
def test_a_blocked_channel_gives_nothing_and_then_everything_in_order(
    run: Run, local: bool
) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.GLOBAL)], two_producers(local)) as c:
            gate, first, second = c.gates[0], c.writers[0, 0], c.writers[0, 1]
            first.write(h.numbers(1))
            first.control(Barrier(1))
            first.write(h.numbers(2))
            (_, _), (channel, element) = await h.read(gate, 2)
            assert (channel, element) == (0, Barrier(1))
            gate.block(0)
            first.write(h.numbers(3))
            first.control(END_OF_INPUT)
            second.write(h.numbers(10))
            others = await poll_all(gate)
            assert [c for c, _ in others] == [1]
            gate.unblock(0)
            assert h.rows_of(await read_on(gate)) == [2, 3]

    run(scenario())


@pytest.mark.parametrize("local", [False, True])
def test_a_blocked_producer_gets_no_credit_while_others_go_on(run: Run, local: bool) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.GLOBAL)], two_producers(local), SMALL) as c:
            gate, blocked, free = c.gates[0], c.writers[0, 0], c.writers[0, 1]
            gate.block(0)
            written = 0
            while not blocked.blocked and written < 500_000:
                blocked.write(h.sequence(written, 500))
                written += 500
                await asyncio.sleep(0)
            assert gate.queued_bytes <= SMALL.exclusive_bytes

            async def produce() -> None:
                for start in range(0, 50_000, 500):
                    await free.writable()
                    free.write(h.sequence(start, 500))
                free.control(END_OF_INPUT)

            producing = asyncio.ensure_future(produce())
            got: list[object] = []
            while END_OF_INPUT not in got:
                ((channel, element),) = await h.read(gate, 1)
                assert channel == 1
                got.append(element)
            await producing
            assert h.rows_of(got) == list(range(50_000))
            assert blocked.blocked
            gate.unblock(0)
            blocked.control(END_OF_INPUT)
            assert h.rows_of(await read_on(gate)) == list(range(written))

    run(scenario())


@pytest.mark.parametrize("timestamps", TIMES)
def test_a_gate_whose_channels_are_all_blocked_waits_until_it_is_woken(
    run: Run, timestamps: bool
) -> None:
    async def scenario() -> None:
        edge = h.edge(Exchange.GLOBAL, timestamps=timestamps)
        async with h.cluster([edge], two_producers(False)) as c:
            gate = c.gates[0]
            gate.block(0)
            gate.block(1)
            waiting = asyncio.ensure_future(gate.wait())
            for writer in c.writers.values():
                writer.control(Watermark(5))
            await asyncio.sleep(0.02)
            assert not waiting.done()
            assert gate.poll() is None
            gate.wake()
            await waiting
            gate.unblock(1)
            await gate.wait()
            assert gate.poll() == (1, 0, Watermark(5))
            gate.unblock(0)
            assert gate.poll() == (0, 0, Watermark(5))

    run(scenario())


def test_blocking_twice_and_unblocking_what_is_not_blocked_change_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.GLOBAL)], two_producers(True)) as c:
            gate = c.gates[0]
            gate.block(0)
            c.writers[0, 0].control(Watermark(1))
            gate.block(0)
            gate.unblock(1)
            gate.unblock(0)
            gate.unblock(0)
            assert gate.poll() == (0, 0, Watermark(1))

    run(scenario())


@pytest.mark.parametrize("local", [False, True])
def test_a_blocked_producer_goes_on_while_there_is_room_on_disk(
    run: Run, local: bool, tmp_path: Path
) -> None:
    async def scenario() -> None:
        full: list[str] = []
        async with h.cluster([h.edge(Exchange.GLOBAL)], two_producers(local), SMALL) as c:
            gate, blocked = c.gates[0], c.writers[0, 0]
            gate.spill_to(Spill(tmp_path / "spill", 1 << 20, full.append))
            gate.block(0)
            for start in range(0, 100_000, 500):
                await blocked.writable()
                blocked.write(h.sequence(start, 500))
            blocked.control(Watermark(1))
            blocked.write(h.sequence(100_000, 500))
            blocked.control(END_OF_INPUT)
            await poll_all(gate)
            assert gate.queued_bytes == 0
            assert (tmp_path / "spill").stat().st_size >= 100_500 * 8
            gate.unblock(0)
            assert h.rows_of(await read_on(gate)) == list(range(100_500))
            assert (tmp_path / "spill").stat().st_size == 0
            assert full == []
        assert os.listdir(tmp_path) == []

    run(scenario())


def test_a_full_disk_file_is_said_once_and_credit_is_withheld_again(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        full: list[str] = []
        async with h.cluster([h.edge(Exchange.GLOBAL)], two_producers(False), SMALL) as c:
            gate, blocked = c.gates[0], c.writers[0, 0]
            gate.spill_to(Spill(tmp_path / "spill", 100_000, full.append))
            gate.block(0)
            written = 0
            for _ in range(3000):
                if not blocked.blocked:
                    blocked.write(h.sequence(written, 100))
                    written += 100
                await asyncio.sleep(0)
            assert gate.queued_bytes <= SMALL.exclusive_bytes
            assert [text[:23] for text in full] == ["more than 100,000 bytes"]
            gate.unblock(0)
            blocked.control(END_OF_INPUT)
            assert h.rows_of(await read_on(gate)) == list(range(written))

    run(scenario())


def test_a_file_that_cannot_be_written_is_full(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        full: list[str] = []
        async with h.cluster([h.edge(Exchange.GLOBAL)], two_producers(True)) as c:
            gate, blocked = c.gates[0], c.writers[0, 0]
            gate.spill_to(Spill(tmp_path / "missing" / "spill", 100_000, full.append))
            gate.block(0)
            blocked.write(h.numbers(1, 2))
            blocked.control(END_OF_INPUT)
            gate.unblock(0)
            assert h.rows_of(await read_on(gate)) == [1, 2]
            assert full[0].endswith("No such file or directory")

    run(scenario())
