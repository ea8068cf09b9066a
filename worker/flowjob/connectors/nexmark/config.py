"""The parameters of the Nexmark stream, and the arithmetic of its event ids.

Which kind the event with id e is, and how many auctions existed then, are pure functions of e: so each kind's rows are
computed directly, without making the others. Rules and numbers follow the Nexmark generator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

PERSONS, AUCTIONS, BIDS = 1, 3, 46
EPOCH = PERSONS + AUCTIONS + BIDS
"""Events come in rounds of 50: one person, three auctions, 46 bids."""

FIRST_ID = 1000
"""Of persons and of auctions."""

_UNLIMITED = 2**63 - 1


class Kind(Enum):
    """What an event is. The value is the `event_type` column."""

    PERSON = 0
    AUCTION = 1
    BID = 2

    @property
    def first(self) -> int:
        """Its first place in a round."""
        return (0, PERSONS, PERSONS + AUCTIONS)[self.value]

    @property
    def share(self) -> int:
        """How many of a round are of this kind."""
        return (PERSONS, AUCTIONS, BIDS)[self.value]


@dataclass(frozen=True)
class NexmarkConfig:
    """One stream.

    events      of all kinds together, over all generators; 0: without end
    tps         events per second of event time, over all generators
    generators  parallel timelines with disjoint ids: part of the data, not of the parallelism
    base_time   the time of the first event, µs UTC
    bidder_ids  "plain": ids of persons; "shifted": 1000 more, as the reference generator gives them
    """

    events: int = 0
    tps: float = 10_000
    generators: int = 4
    base_time: int = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    seed: int = 0
    bidder_ids: Literal["plain", "shifted"] = "plain"
    hot_auction_ratio: int = 2
    hot_seller_ratio: int = 4
    hot_bidder_ratio: int = 4
    active_people: int = 1000
    in_flight_auctions: int = 100

    def __post_init__(self) -> None:
        if self.events < 0 or self.generators < 1 or self.tps <= 0:
            raise ValueError("events counts from 0, generators from 1, and tps is positive")
        if self.bidder_ids not in ("plain", "shifted"):
            raise ValueError(f'bidder_ids is "plain" or "shifted", not {self.bidder_ids!r}')

    @cached_property
    def delay(self) -> float:
        """µs of event time between two events of one generator."""
        return 1e6 / self.tps * self.generators

    def range_of(self, generator: int) -> range:
        """The event ids of one generator. Ids 0 and 1 never occur."""
        total = self.events or _UNLIMITED
        share = total // self.generators
        first = 2 + generator * share
        last = generator == self.generators - 1
        count = total - share * generator if last else share
        return range(first, min(first + count, _UNLIMITED))

    def times(self, numbers: Integers) -> Integers:
        """int64[n]: when the events with these numbers in their generator happen, in whole ms as µs UTC."""
        times = (numbers * self.delay).astype(np.int64)
        times //= 1000
        times *= 1000
        times += self.base_time // 1000 * 1000
        return times

    @property
    def auction_window(self) -> int:
        """Events until `in_flight_auctions` more auctions exist."""
        return self.in_flight_auctions * EPOCH // AUCTIONS


def rows_before(kind: Kind, event: int) -> int:
    """How many events with ids below `event` are of this kind."""
    rounds, place = divmod(event, EPOCH)
    return rounds * kind.share + min(max(place - kind.first, 0), kind.share)


def row_range(config: NexmarkConfig, kind: Kind, generator: int) -> range:
    """The rows of one kind that a generator makes, numbered over the whole stream."""
    events = config.range_of(generator)
    return range(rows_before(kind, events.start), rows_before(kind, events.stop))


class Slice:
    """Consecutive rows of one kind.

    ids     int64[n]: event ids
    rounds  int64[n]: the rounds they are in; the number of a round is that of its person"""

    def __init__(self, kind: Kind, rows: range) -> None:
        from flowjob.kernels.counter_random import number_events  # not in a program that only plans

        self.kind = kind
        self.first = rows.start
        self.ids: Integers = np.empty(len(rows), np.int64)
        self.rounds: Integers = np.empty(len(rows), np.int64)
        number_events(rows.start, kind.share, kind.first, EPOCH, self.ids, self.rounds)

    def auctions(self) -> Integers:
        """The auctions themselves, from 0; for rows of that kind."""
        return np.arange(self.first, self.first + len(self.ids), dtype=np.int64)
