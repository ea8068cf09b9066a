"""The Nexmark benchmark's stream: `fj.nexmark.bids(…)`, `.auctions(…)`, `.persons(…)`, `.events(…)`, and `generate`.

An online auction, generated: the same rows for the same parameters, on any machine and at any parallelism. `events`
counts events of all kinds, of which 46 in 50 are bids, 3 auctions and 1 a person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from flowjob.connectors.nexmark.config import Kind, NexmarkConfig
from flowjob.connectors.nexmark.events import generate_events
from flowjob.connectors.nexmark.rows import generate
from flowjob.connectors.nexmark.schemas import Auction, Bid, Event, Person
from flowjob.connectors.nexmark.source import NexmarkSource
from flowjob.connectors.options import IDLE_AFTER
from flowjob.connectors.options import event_time as _event_time

__all__ = [
    "Auction",
    "Bid",
    "Event",
    "Kind",
    "NexmarkConfig",
    "NexmarkSource",
    "Person",
    "auctions",
    "bids",
    "events",
    "generate",
    "generate_events",
    "persons",
    "source",
]

MAX_DELAY = timedelta(seconds=4)
"""What the benchmark's queries declare, though the events of a generator are in order."""


def source(
    kind: Kind | None = None,
    *,
    events: int = 0,
    tps: float = 10_000,
    generators: int = 4,
    base_time: datetime | int | None = None,
    seed: int = 0,
    bidder_ids: Literal["plain", "shifted"] = "plain",
    real_time: bool = False,
    max_delay: timedelta = MAX_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
) -> NexmarkSource:
    """The events of one kind, or of all in one stream.

    events      of all kinds together; 0: without end
    tps         events per second of event time; with `real_time` also the most per second of wall time
    generators  parallel timelines, each a split; part of the data, whatever the parallelism
    base_time   of the first event: a datetime with a zone, or µs UTC
    bidder_ids  "plain": `bidder` is the id of a person; "shifted": 1000 more, as the reference generator has it
    """
    options: dict[str, Any] = {}
    if isinstance(base_time, datetime):
        if base_time.tzinfo is None:
            raise ValueError("base_time needs a time zone: datetime(…, tzinfo=timezone.utc)")
        options["base_time"] = round(base_time.timestamp() * 1_000_000)
    elif base_time is not None:
        options["base_time"] = base_time
    config = NexmarkConfig(
        events=events, tps=tps, generators=generators, seed=seed, bidder_ids=bidder_ids, **options
    )
    time = _event_time(
        "date_time", max_delay=max_delay, idle_after=idle_after, watermark_every=watermark_every
    )
    return NexmarkSource(kind=kind, config=config, real_time=real_time, event_time=time)


def bids(**options: Any) -> NexmarkSource:
    """Rows of `Bid` only; options as for `source`."""
    return source(Kind.BID, **options)


def auctions(**options: Any) -> NexmarkSource:
    """Rows of `Auction` only; options as for `source`."""
    return source(Kind.AUCTION, **options)


def persons(**options: Any) -> NexmarkSource:
    """Rows of `Person` only; options as for `source`."""
    return source(Kind.PERSON, **options)


def events(**options: Any) -> NexmarkSource:
    """Rows of `Event`: everything that happens, in one stream; options as for `source`."""
    return source(None, **options)
