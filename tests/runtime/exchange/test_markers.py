"""Markers measure how long rows take, and change nothing about them: neither batches, nor order, nor snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from flowjob.core.elements import Barrier, Control, Marker, Watermark
from flowjob.plan.job_graph import Exchange
from flowjob.runtime.batch import Batch
from flowjob.runtime.exchange.channels import MOST_MARKERS, OutputChannel, Shippable
from flowjob.runtime.exchange.overtaking import CONTROL, Capture, InFlight
from flowjob.runtime.exchange.partitioners import partitioner_for
from flowjob.runtime.exchange.serialization import WireFormat
from flowjob.runtime.exchange.settings import ExchangeSettings
from flowjob.runtime.exchange.staging import Stage
from flowjob.runtime.exchange.writer import EdgeWriter
from tests.runtime.exchange.harness import edge, numbers

ONE, TWO = Marker(0, 1), Marker(0, 2)


class Line:
    """Takes what a channel gives, at once; `sent` has rows as their number."""

    ready = True

    def __init__(self) -> None:
        self.sent: list[int | Control] = []

    def frames(self, channel: OutputChannel, batch: Batch) -> Iterator[tuple[int, Any, int]]:
        yield 0, batch, 10

    def send_data(self, number: int, flags: int, body: Any, size: int) -> None:
        self.sent.append(len(body))

    def send_control(self, number: int, element: Control) -> None:
        self.sent.append(element)

    def wait(self, channel: OutputChannel) -> None: ...


class Patient:
    """A flusher that has all the time in the world."""

    def now(self) -> float:
        return 0.0

    def schedule(self, waiting: Shippable) -> None: ...

    def failed(self, error: Exception) -> None:
        raise error


def channel(consumer: int = 0, credit: int = 1000) -> tuple[OutputChannel, Line]:
    wire, line = WireFormat(edge(Exchange.REBALANCE)), Line()
    made = OutputChannel(0, consumer, wire, ExchangeSettings(), Patient())
    made.link = line
    made.credit.add(0, credit)
    return made, line


def test_a_marker_with_nothing_before_it_goes_at_once() -> None:
    made, line = channel()
    made.mark(ONE)
    assert line.sent == [ONE]


def test_a_marker_hurries_no_rows_and_goes_behind_them() -> None:
    made, line = channel()
    made.append(numbers(1), 1)
    made.mark(ONE)
    made.append(numbers(2, 3), 2)
    assert line.sent == []
    made.ship()
    assert line.sent == [3, ONE]


def test_a_marker_keeps_its_place_before_a_barrier_behind_it() -> None:
    made, line = channel()
    made.append(numbers(1), 1)
    made.mark(ONE)
    made.control(Barrier(1))
    assert line.sent == [1, ONE, Barrier(1)]


def test_only_a_few_markers_wait_for_credit_and_the_oldest_tell_most() -> None:
    made, line = channel(credit=0)
    made.append(numbers(1), 1)
    made.control(Watermark(5))
    many = [Marker(0, time) for time in range(100)]
    for marker in many:
        made.mark(marker)
    assert not made.stalled
    made.credited(0, 100)
    assert line.sent == [1, Watermark(5), *many[:MOST_MARKERS]]


def test_only_a_few_markers_wait_with_rows_that_wait() -> None:
    made, line = channel()
    made.append(numbers(1), 1)
    for time in range(100):
        made.mark(Marker(0, time))
    made.ship()
    assert len(line.sent) == 1 + MOST_MARKERS


def test_a_barrier_overtakes_markers_and_no_snapshot_has_them() -> None:
    made, line = channel(credit=0)
    made.append(numbers(1), 1)
    made.mark(ONE)
    made.ship()
    made.control(Watermark(5))
    overtaken = made.overtake(Barrier(7, unaligned=True))
    assert [flags for flags, _, _ in overtaken] == [0]
    assert line.sent == [Barrier(7, unaligned=True)]


def test_what_is_kept_of_an_input_for_a_snapshot_has_no_markers() -> None:
    async def captured() -> list[InFlight]:
        found = InFlight("u", edge(), 0, 0, received=True, format=WireFormat(edge()))
        capture = Capture(1, {0: found})
        capture.add(0, CONTROL, ONE, 0)
        capture.add(0, 0, b"", 3)
        capture.add(0, CONTROL, Barrier(1), 0)
        return await capture.done

    assert asyncio.run(captured())[0].frames == [(0, b"", 3)]


def test_each_consumer_gets_markers_in_its_turn() -> None:
    made = [channel(i) for i in range(3)]
    wire = WireFormat(edge(Exchange.REBALANCE))
    writer = EdgeWriter(1, [c for c, _ in made], wire, None, None)
    for time in range(6):
        writer.mark(Marker(0, time))
    assert [[m.time for m in line.sent if isinstance(m, Marker)] for _, line in made] == [
        [2, 5], [0, 3], [1, 4],
    ]  # fmt: skip


def test_a_marker_waits_for_rows_that_are_not_dealt_yet() -> None:
    made = [channel(i) for i in range(2)]
    channels = [c for c, _ in made]
    hashed = edge(Exchange.HASH)
    partitioner = partitioner_for(hashed, 0, [0, 1], max_parallelism=128)
    assert partitioner is not None
    stage = Stage(channels, partitioner, Patient())
    writer = EdgeWriter(0, channels, WireFormat(hashed), None, stage)
    writer.write(numbers(*range(50)))
    writer.mark(TWO)
    line = made[0][1]
    assert line.sent == []
    writer.flush()
    assert line.sent[-1] == TWO
    assert sum(n for _, each in made for n in each.sent if isinstance(n, int)) == 50
