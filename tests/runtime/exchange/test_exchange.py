"""What tasks see of the exchange: rows and controls in order, at the right consumer, from any slot."""

from __future__ import annotations

import asyncio

import pytest

from flowjob.core.elements import END_OF_INPUT, Barrier, Status, Stop, Watermark
from flowjob.plan.job_graph import Exchange
from flowjob.runtime.batch import Batch
from tests.runtime.exchange import harness as h
from tests.runtime.exchange.harness import Run

BARRIER = Barrier(7, savepoint=True, stop=Stop.SUSPEND, directory="savepoints/ü")


@pytest.mark.parametrize("local", [False, True])
def test_rows_and_controls_arrive_in_the_order_they_were_written(run: Run, local: bool) -> None:
    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.FORWARD)], h.one_to_one(local=local)) as c:
            writer = c.writers[0, 0]
            writer.write(h.numbers(1, 2))
            writer.write(h.numbers(3))
            writer.control(Watermark(10))
            writer.write(h.numbers(4))
            writer.control(Status.IDLE)
            writer.control(Status.ACTIVE)
            writer.control(BARRIER)
            writer.write(h.numbers(5))
            writer.control(END_OF_INPUT)
            (elements,) = (await h.read_to_end(c.gates[0])).values()
            await c.slots["left"].drain()
            shown = [
                e.columns.column("n").to_pylist() if isinstance(e, Batch) else e for e in elements
            ]
            assert shown == [
                [1, 2, 3], Watermark(10), [4], Status.IDLE, Status.ACTIVE, BARRIER, [5], END_OF_INPUT,
            ]  # fmt: skip

    run(scenario())


def test_every_row_of_a_key_reaches_the_same_consumer_in_order(run: Run) -> None:
    placed = {(0, 0): "a", (0, 1): "b", (1, 0): "a", (1, 1): "b", (1, 2): "c"}

    async def scenario() -> None:
        async with h.cluster([h.edge(Exchange.HASH)], placed) as c:
            for i in range(20):
                for producer in (0, 1):
                    c.writers[0, producer].write(h.sequence(i * 100, 100))
            for producer in (0, 1):
                c.writers[0, producer].control(END_OF_INPUT)
            got = await asyncio.gather(*(h.read_to_end(c.gates[i]) for i in range(3)))
            seen = []
            for by_channel in got:
                first, second = (h.rows_of(e) for e in by_channel.values())
                assert first == second == sorted(first)
                assert first
                seen += first
            assert sorted(seen) == list(range(2000))
            assert not any(s.failed.done() for s in c.slots.values())

    run(scenario())
