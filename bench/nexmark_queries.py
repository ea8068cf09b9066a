"""Nexmark queries as functions of the auction's streams: what the benchmarks measure and the proofs check.

Written after the benchmark's description. A query that reads only bids is given only bids, as projection push-down
would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

import flowjob as fj
from flowjob import nexmark

TEN_SECONDS = timedelta(seconds=10)
SLIDE = timedelta(seconds=2)
MICROS = 10_000_000
"""Of TEN_SECONDS."""


class Auction:
    """The generated auction as streams of a job, each read once. `options` are those of flowjob.nexmark.source."""

    def __init__(self, job: fj.Job, **options: Any) -> None:
        self._job = job
        self._options = options

    @cached_property
    def bids(self) -> fj.Stream:
        return self._job.read(nexmark.bids(**self._options))

    @cached_property
    def auctions(self) -> fj.Stream:
        return self._job.read(nexmark.auctions(**self._options))

    @cached_property
    def persons(self) -> fj.Stream:
        return self._job.read(nexmark.persons(**self._options))


Query = Callable[[Auction], fj.Stream]


def q0(auction: Auction) -> fj.Stream:
    """Pass through."""
    return auction.bids.select("auction", "bidder", "price", "date_time", "extra")


def q1(auction: Auction) -> fj.Stream:
    """The price in another currency, in decimal arithmetic."""
    price = fj.col("price") * fj.lit(Decimal("0.908"))
    return auction.bids.select("auction", "bidder", "date_time", "extra", price=price)


def q2(auction: Auction) -> fj.Stream:
    """Bids on some auctions."""
    return auction.bids.filter(fj.col("auction") % 123 == 0).select("auction", "price")


def q5(auction: Auction) -> fj.Stream:
    """Hot items: per sliding window the auctions with the most bids, all of them where several have."""
    counts = (
        auction.bids.key_by("auction").window(fj.sliding(TEN_SECONDS, SLIDE)).agg(bids=fj.count())
    )
    # Results of a window carry its end as their time: windows as long as the slide hold those of one window each.
    by_count = counts.key_by("bids").window(fj.tumbling(SLIDE)).agg(auctions=fj.collect("auction"))
    return by_count.window(fj.tumbling(SLIDE)).agg(
        auctions=fj.max_by("auctions", by="bids"), bids=fj.max("bids")
    )


def q7(auction: Auction) -> fj.Stream:
    """The highest bid of each window; all of them where several have its price."""
    candidates = auction.bids.select("auction", "bidder", "price", "date_time", "extra")
    return (
        candidates.map_batches(mark_highest, returns=MARKED)
        .filter(fj.col("highest"))
        .window(fj.tumbling(TEN_SECONDS))
        .apply(highest, returns=HighestBid)
    )


class HighestBid(fj.Schema):
    auction: int
    bidder: int
    price: int
    date_time: datetime
    extra: str
    window_end: datetime


MARKED = pa.schema(
    [*(f for f in HighestBid.arrow_schema() if f.name != "window_end"), ("highest", pa.bool_())]
)


def mark_highest(bids: pa.RecordBatch) -> pa.RecordBatch:
    """Only a bid that no other bid of its batch and window beats can be the highest of the window."""
    prices = bids.column("price").to_numpy()
    windows = bids.column("date_time").cast(pa.int64()).to_numpy() // MICROS
    first = windows.min() if len(windows) else 0
    best = np.zeros(int(windows.max() - first) + 1 if len(windows) else 1, np.int64)
    np.maximum.at(best, windows - first, prices)
    return bids.append_column("highest", pa.array(prices == best[windows - first]))


def highest(window: fj.Window, bids: list[Any]) -> Iterator[HighestBid]:
    price = max(bid.price for bid in bids)
    for bid in bids:
        if bid.price == price:
            yield HighestBid(bid.auction, bid.bidder, price, bid.date_time, bid.extra, window.end)


def q8(auction: Auction) -> fj.Stream:
    """New users: persons who opened an auction in the window in which they came."""
    came = auction.persons.select(person=fj.col("id"), name=fj.col("name"), opened=fj.lit(0))
    sold = auction.auctions.select(person=fj.col("seller"), name=fj.lit(""), opened=fj.lit(1))
    both = (
        came.union(sold)
        .key_by("person")
        .window(fj.tumbling(TEN_SECONDS))
        .agg(name=fj.max("name"), opened=fj.max("opened"))
    )
    return both.filter((fj.col("opened") == 1) & (fj.col("name") != "")).select(
        "person", "name", "window_start"
    )


def q11(auction: Auction) -> fj.Stream:
    """Bids of each bidder per session."""
    sessions = auction.bids.key_by("bidder").window(fj.session(gap=TEN_SECONDS))
    return sessions.agg(bids=fj.count())


def q12(auction: Auction) -> fj.Stream:
    """Bids of each bidder per ten seconds of processing time."""
    windows = fj.tumbling(TEN_SECONDS, time="processing")
    return auction.bids.key_by("bidder").window(windows).agg(bids=fj.count())


QUERIES: tuple[Query, ...] = (q0, q1, q2, q5, q7, q8, q11, q12)
