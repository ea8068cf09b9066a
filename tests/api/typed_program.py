"""A program whose types a checker must know: read by mypy in test_types.py, and imported by nobody."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import assert_type

import flowjob as fj


class Flight(fj.Schema):
    origin: str
    delay: float | None


class Tagged(fj.Schema):
    slug: str


def tag(flight: Flight) -> Tagged:
    return Tagged(flight.origin.lower())


def tags(flight: Flight) -> Iterable[Tagged]:
    yield tag(flight)


def first(window: fj.Window, flights: list[Flight]) -> Tagged:
    return tag(flights[0])


class Count(fj.KeyedProcess[Flight, Tagged]):
    seen = fj.value_state(int, default=0)
    log = fj.side_output("log", str)

    def on_row(self, row: Flight, ctx: fj.Context) -> None:
        self.seen.value += 1
        ctx.emit(tag(row))


job = fj.Job("typed")
flights = job.read(fj.files.csv("flights.csv", Flight))
assert_type(flights, fj.Stream[Flight])
assert_type(job.read(fj.from_rows([Flight("JFK", None)])), fj.Stream[Flight])
assert_type(flights.filter(lambda f: f.delay is None), fj.Stream[Flight])
assert_type(flights.rebalance().union(flights).named("all"), fj.Stream[Flight])
assert_type(flights.map(tag), fj.Stream[Tagged])
assert_type(flights.map(lambda f: Tagged(f.origin), returns=Tagged), fj.Stream[Tagged])
assert_type(flights.flat_map(tags), fj.Stream[Tagged])
assert_type(flights.map_batches(lambda b: b, returns=Tagged), fj.Stream[Tagged])
assert_type(flights.key_by("origin").reduce(lambda a, b: b), fj.Stream[Flight])
counted = flights.key_by("origin").process(Count())
assert_type(counted, fj.Stream[Tagged])
assert_type(counted.side(Count.log), fj.Stream[str])
hourly = flights.key_by("origin").window(fj.tumbling(timedelta(hours=1)))
assert_type(hourly.apply(first, returns=Tagged), fj.Stream[Tagged])
flights.map(lambda f: f.orgin)  # error: `"Flight" has no attribute "orgin"`
flights.filter(lambda f: f.delay.is_integer())  # error: `Item "None" of "float | None"`


def delayed(of: fj.Stream[Flight]) -> fj.Stream:
    return of.select("origin")
