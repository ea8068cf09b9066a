"""Python per row: plain functions, and a process function with state per key.

The rows are Schema instances; what is measured is conversion, the loop and the calls."""

from __future__ import annotations

import flowjob as fj
from bench.runner import Benchmark
from bench.sources import KeyedRow, NamedItem, items_of, keyed_rows


class Pair(fj.Schema):
    key: int
    value: int


def scaled(row: KeyedRow) -> Pair:
    return Pair(row.key, row.value * 2)


def is_even(row: Pair | Item) -> bool:
    return row.value % 4 == 0


class Item(fj.Schema):
    key: int
    name: str
    value: int
    ratio: float


def scaled_item(row: NamedItem) -> Item:
    return Item(row.key, row.name, row.value * 2, row.ratio)


def python_map_filter(rows: int, parallelism: int) -> fj.Job:
    """One `map` and one `filter` per row, two fields."""
    job = fj.Job("python_map_filter")
    pairs = job.read(keyed_rows(rows, parallelism, keys=10_000)).select("key", "value")
    job.write(pairs.map(scaled, returns=Pair).filter(is_even), fj.discard())
    return job


def four_fields(rows: int, parallelism: int) -> fj.Job:
    """The same with four fields, one of them a string."""
    job = fj.Job("python_map_filter")
    items = job.read(items_of(rows, parallelism))
    job.write(items.map(scaled_item, returns=Item).filter(is_even), fj.discard())
    return job


class Increases(fj.KeyedProcess[KeyedRow, Pair]):
    """Remembers the largest value per key and emits each increase."""

    largest = fj.value_state(int, default=-1)

    def on_row(self, row: KeyedRow, ctx: fj.Context) -> None:
        if row.value > self.largest.value:
            self.largest.value = row.value
            ctx.emit(Pair(row.key, row.value))


def keyed_process(rows: int, parallelism: int) -> fj.Job:
    """A process function with value state, 10 k keys."""
    job = fj.Job("keyed_process")
    job.write(
        job.read(keyed_rows(rows, parallelism, keys=10_000)).key_by("key").process(Increases()),
        fj.discard(),
    )
    return job


BENCHMARKS = (
    Benchmark(
        "python_map_filter",
        20_000_000,
        python_map_filter,
        variants={"4_fields": Benchmark("four_fields", 20_000_000, four_fields)},
    ),
    Benchmark("keyed_process", 5_000_000, keyed_process),
)
