"""Nexmark queries over the generated auction, each in a process per subtask, results discarded.

Written after the benchmark's description; rows count events of all kinds, as its published figures do. A query that
reads only bids is given only bids, as projection push-down would."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import flowjob as fj
from bench.runner import Benchmark
from flowjob import nexmark

EVENTS_PER_SECOND = 1_000_000
"""Of event time: ten million events are one window of ten seconds."""

TEN_SECONDS = timedelta(seconds=10)
SLIDE = timedelta(seconds=2)

Query = Callable[[fj.Job, int], fj.Stream]


def bids(job: fj.Job, events: int) -> fj.Stream:
    return job.read(nexmark.bids(events=events, tps=EVENTS_PER_SECOND))


def auctions(job: fj.Job, events: int) -> fj.Stream:
    return job.read(nexmark.auctions(events=events, tps=EVENTS_PER_SECOND))


def persons(job: fj.Job, events: int) -> fj.Stream:
    return job.read(nexmark.persons(events=events, tps=EVENTS_PER_SECOND))


def q0(job: fj.Job, events: int) -> fj.Stream:
    """Pass through."""
    return bids(job, events).select("auction", "bidder", "price", "date_time", "extra")


def q1(job: fj.Job, events: int) -> fj.Stream:
    """The price in another currency, in decimal arithmetic."""
    price = fj.col("price") * fj.lit(Decimal("0.908"))
    return bids(job, events).select("auction", "bidder", "date_time", "extra", price=price)


def q2(job: fj.Job, events: int) -> fj.Stream:
    """Bids on some auctions."""
    return bids(job, events).filter(fj.col("auction") % 123 == 0).select("auction", "price")


def q5(job: fj.Job, events: int) -> fj.Stream:
    """Hot items: per sliding window the auctions with the most bids, all of them where several have."""
    counts = (
        bids(job, events)
        .key_by("auction")
        .window(fj.sliding(TEN_SECONDS, SLIDE))
        .agg(bids=fj.count())
    )
    # Results of a window carry its end as their time: windows as long as the slide hold those of one window each.
    by_count = counts.key_by("bids").window(fj.tumbling(SLIDE)).agg(auctions=fj.collect("auction"))
    return by_count.window(fj.tumbling(SLIDE)).agg(
        auctions=fj.max_by("auctions", by="bids"), bids=fj.max("bids")
    )


def q7(job: fj.Job, events: int) -> fj.Stream:
    """The highest bid of each window; the first one, where several have its price."""
    bid = fj.struct(**{name: fj.col(name) for name in ("auction", "bidder", "date_time", "extra")})
    highest = bids(job, events).window(fj.tumbling(TEN_SECONDS))
    return highest.agg(price=fj.max("price"), bid=fj.max_by(bid, by="price"))


def q8(job: fj.Job, events: int) -> fj.Stream:
    """New users: persons who opened an auction in the window in which they came."""
    came = persons(job, events).select(
        person="id", name="name", opened=fj.lit(0), date_time="date_time"
    )
    sold = auctions(job, events).select(
        person="seller", name=fj.lit(""), opened=fj.lit(1), date_time="date_time"
    )
    both = (
        came.union(sold)
        .key_by("person")
        .window(fj.tumbling(TEN_SECONDS))
        .agg(name=fj.max("name"), opened=fj.max("opened"))
    )
    return both.filter((fj.col("opened") == 1) & (fj.col("name") != "")).select(
        "person", "name", "window_start"
    )


def q11(job: fj.Job, events: int) -> fj.Stream:
    """Bids of each bidder per session."""
    sessions = bids(job, events).key_by("bidder").window(fj.session(gap=TEN_SECONDS))
    return sessions.agg(bids=fj.count())


def q12(job: fj.Job, events: int) -> fj.Stream:
    """Bids of each bidder per ten seconds of processing time."""
    windows = fj.tumbling(TEN_SECONDS, time="processing")
    return bids(job, events).key_by("bidder").window(windows).agg(bids=fj.count())


def benchmark(query: Query, events: int) -> Benchmark:
    """A query as a benchmark."""

    def build(rows: int, parallelism: int) -> fj.Job:  # noqa: ARG001 - a generator's splits are its own
        job = fj.Job(f"nexmark_{query.__name__}")
        job.write(query(job, rows), fj.discard())
        return job

    return Benchmark(f"nexmark_{query.__name__}", events, build)


BENCHMARKS = tuple(benchmark(query, 20_000_000) for query in (q0, q1, q2, q5, q7, q8, q11, q12))
