"""Nexmark queries over generated auctions: DuckDB computes the same from the same generator's rows.

The queries are those that the benchmarks measure. Most run as one job in real processes, cut and dealt in several ways;
the one in processing time runs in virtual time, under a clock that stamps each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import flowjob as fj
from bench import nexmark_queries
from bench.nexmark_queries import Auction
from flowjob import nexmark
from flowjob.connectors.collect import collect
from flowjob.testing.results import Results
from flowjob.testing.run import run_job

pytestmark = pytest.mark.slow

QUERIES = {q.__name__: q for q in nexmark_queries.QUERIES if q.__name__ != "q12"}

SQL = {
    "q0": "select auction, bidder, price, micros, extra from bid",
    "q1": "select auction, bidder, micros, extra, price * 0.908::decimal(4, 3) from bid",
    "q2": "select auction, price from bid where auction % 123 = 0",
    "q5": """
        with counts as (
            select auction, start, count(*) as bids from (
                select auction, unnest(range(micros // 2000000 * 2000000 - 8000000,
                                             micros // 2000000 * 2000000 + 1, 2000000)) as start from bid
            ) group by auction, start
        ), most as (select start, max(bids) as bids from counts group by start)
        select start + 10000000, list(auction order by auction), bids
        from counts join most using (start, bids) group by start, bids
    """,
    "q7": """
        with highest as (select micros // 10000000 as win, max(price) as price from bid group by win)
        select auction, bidder, bid.price, micros, extra, (win + 1) * 10000000
        from bid join highest on micros // 10000000 = win and bid.price = highest.price
    """,
    "q8": """
        select distinct person.id, name, person.micros // 10000000 * 10000000
        from person join auction
            on person.id = seller and person.micros // 10000000 = auction.micros // 10000000
    """,
    "q11": """
        with marked as (
            select bidder, micros,
                coalesce(micros - lag(micros) over (partition by bidder order by micros) > 10000000, true) as begins
            from bid
        ), numbered as (
            select bidder, micros, sum(begins::int) over (partition by bidder order by micros) as session from marked
        )
        select bidder, min(micros), max(micros) + 10000000, count(*) from numbered group by bidder, session
    """,
}
"""Columns in the order of SHOWN."""

SHOWN = {
    "q0": ["auction", "bidder", "price", "date_time", "extra"],
    "q1": ["auction", "bidder", "date_time", "extra", "price"],
    "q2": ["auction", "price"],
    "q5": ["window_end", "auctions", "bids"],
    "q7": ["auction", "bidder", "price", "date_time", "extra", "window_end"],
    "q8": ["person", "name", "window_start"],
    "q11": ["bidder", "window_start", "window_end", "bids"],
}


@dataclass(frozen=True)
class Cut:
    """How a run is cut and dealt, over how many events; `tps` so that they span some minutes."""

    parallelism: int
    batch_rows: int | None
    events: int = 120_000
    tps: int = 1_000

    @property
    def options(self) -> dict[str, Any]:
        return {"events": self.events, "tps": self.tps}

    def __str__(self) -> str:
        return f"p{self.parallelism}-batch{self.batch_rows or ''}"


CUTS = [
    Cut(1, None),
    Cut(4, None),
    Cut(2, 7, 8_000, 80),
    Cut(1, 1, 2_000, 20),
    Cut(4, 1, 2_000, 20),
]


@dataclass(frozen=True)
class Ran:
    """One run of all queries: what each gave, and the rows it was computed from in DuckDB."""

    outputs: dict[str, list[Any]]
    tables: duckdb.DuckDBPyConnection


def generated(kind: nexmark.Kind, options: dict[str, Any]) -> pa.Table:
    """All rows of a kind, straight from the generator; `micros` is their event time."""
    config = nexmark.NexmarkConfig(**options)
    batches = [
        nexmark.generate(config, kind, 0, config.events, generator=generator)
        for generator in range(config.generators)
    ]
    table = pa.Table.from_batches(batches)
    return table.append_column("micros", table.column("date_time").cast(pa.int64()))


def tables(options: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for kind in nexmark.Kind:
        connection.register(kind.name.lower(), generated(kind, options))
    return connection


@pytest.fixture(scope="module", params=CUTS, ids=str)
def ran(request: pytest.FixtureRequest) -> Iterator[Ran]:
    cut: Cut = request.param
    job, results = fj.Job("nexmark"), Results()
    auction = Auction(job, **cut.options)
    for number, (name, query) in enumerate(QUERIES.items()):
        stream = query(auction)
        job.write(stream, collect(title=name))
        results.expect(f"collect {name}", number, None, stream.type)
    options: dict[str, Any] = {}
    if cut.batch_rows is not None:
        options = {"batch_rows": cut.batch_rows}
    job.run(parallelism=cut.parallelism, run=options, on_report=results.add)
    output = results.output(len(QUERIES))
    with tables(cut.options) as connection:
        yield Ran({name: output[i].rows for i, name in enumerate(QUERIES)}, connection)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_agrees_with_duckdb(ran: Ran, query: str) -> None:
    got = sorted(shown(row, SHOWN[query]) for row in ran.outputs[query])
    want = sorted(tuple(row) for row in ran.tables.execute(SQL[query]).fetchall())
    assert len(got) == len(want) > 0
    assert got == want


class Stamped(fj.Schema):
    bidder: int
    micros: int


class Stamp(fj.Process[Any, Stamped]):
    """The wall clock's time at which a row comes by."""

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        ctx.emit(Stamped(row.bidder, round(ctx.now.timestamp() * 1_000_000)))


Q12 = """
    select bidder, micros // 10000000 * 10000000 as start, start + 10000000, count(*)
    from stamped group by bidder, start
"""


@pytest.mark.parametrize("batch_rows", [1, 7, 16_384])
@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_q12_agrees_with_duckdb_under_a_clock_that_stamps_each_row(
    parallelism: int, batch_rows: int
) -> None:
    """Bids come at the pace of the virtual clock, which stands still while a row is on its way: so what a row is
    stamped with is also what its window sees."""
    job, results = fj.Job("q12"), Results()
    auction = Auction(job, events=800, tps=10, real_time=True)
    streams = (nexmark_queries.q12(auction), auction.bids.process(Stamp(), returns=Stamped))
    for number, stream in enumerate(streams):
        job.write(stream, collect(title=str(number)))
        results.expect(f"collect {number}", number, None, stream.type)
    run_job(job, results.add, parallelism=parallelism, batch_rows=batch_rows)
    output = results.output(2)
    columns = ["bidder", "window_start", "window_end", "bids"]
    got = sorted(shown(row, columns) for row in output[0].rows)
    with duckdb.connect() as connection:
        connection.register("stamped", pa.Table.from_pylist(output[1].rows))
        want = connection.execute(Q12).fetchall()
    assert len({start for _, start, _, _ in want}) > 5, "time passes while bids come"
    assert got == sorted(want)


def shown(row: dict[str, Any], columns: list[str]) -> tuple[Any, ...]:
    """A result's columns as DuckDB gives them: times in µs, lists in order."""
    return tuple(plain(row[column]) for column in columns)


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000_000)
    return sorted(value) if isinstance(value, list) else value
