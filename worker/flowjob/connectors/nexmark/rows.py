"""Nexmark rows of one kind, any slice of them, only the columns that are wanted.

A pure function of (configuration, kind, generator, rows): what a job reads and what a test compares it with are the
same. Every draw is a function of seed, event id and field."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowjob.connectors.counter_random import Words, below, chance, field_key, unit, words
from flowjob.connectors.nexmark.config import (
    AUCTIONS,
    FIRST_ID,
    Integers,
    Kind,
    NexmarkConfig,
    Slice,
    row_range,
)
from flowjob.connectors.nexmark.pools import CHANNELS, HOT_CHANNELS, LONGEST, Pools, pools
from flowjob.connectors.nexmark.schemas import TYPES
from flowjob.connectors.options import projected

AHEAD = 10
"""Ids of so many persons and auctions that do not exist yet may be named."""

HOT_EVERY = 100
"""The hot auction, seller and bidder are the last one whose number is a multiple."""


def generate(
    config: NexmarkConfig,
    kind: Kind,
    first: int,
    count: int,
    columns: tuple[str, ...] | None = None,
    *,
    generator: int = 0,
) -> pa.RecordBatch:
    """Rows first … first+count of those of `kind` that a generator makes, cut at its end; `columns` in schema order,
    all by default."""
    available = row_range(config, kind, generator)
    start = min(available.start + first, available.stop)
    stop = min(start + count, available.stop)
    events = Events(config, Slice(kind, range(start, stop)), generator)
    schema = projected(TYPES[kind].schema, columns)
    makers = MAKERS[kind]
    return pa.RecordBatch.from_arrays(
        [_as(makers[f.name](events), f) for f in schema], schema=schema
    )


def _as(values: pa.Array | Integers, field: pa.Field) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    array = pa.array(values)
    return array.view(field.type) if array.type != field.type else array


def log_uniform(random: Words) -> Integers:
    """A price in cents: 100 … 100,000,000, evenly spread by magnitude."""
    power = unit(random)
    power *= 6 * math.log(10)
    power += math.log(100)
    np.exp(power, out=power)
    np.rint(power, out=power)
    return power.astype(np.int64)


@dataclass(eq=False)
class Events:
    """Events of one kind and the draws that several columns share; each is made when first asked for."""

    config: NexmarkConfig
    slice: Slice
    generator: int

    @cached_property
    def ids(self) -> Integers:
        return self.slice.ids()

    def draw(self, field: int) -> Words:
        """Random words for a field of this kind."""
        return words(self.ids, field_key(self.config.seed, self.slice.kind.value * 32 + field))

    @cached_property
    def numbers(self) -> Integers:
        """From 1, in their generator."""
        return self.ids - (self.config.range_of(self.generator).start - 1)

    @cached_property
    def times(self) -> Integers:
        return self.config.times(self.numbers)

    @cached_property
    def pools(self) -> Pools:
        return pools(self.config.seed)

    def person(self, field: int, hot_ratio: int, hot_offset: int) -> Integers:
        """The id of somebody who sells or bids."""
        random = self.draw(field)
        newest, spread = self.slice.rounds, self.slice.spread
        active = np.minimum(newest + 1, self.config.active_people)
        chosen = below(random, spread(active + AHEAD))
        chosen += spread(newest + 1 - active)
        hot = spread(newest // HOT_EVERY * HOT_EVERY + hot_offset)
        chosen = np.where(chance(random, hot_ratio), hot, chosen)
        chosen += FIRST_ID
        return chosen

    # -- text

    def text(self, field: int, longest: int) -> pa.Array:
        """Letters and blanks, 3 … longest-1 of them, without blanks at the ends."""
        random = self.draw(field)
        lengths = 3 + below(random, longest - 3)
        offsets = (random & np.uint64(0xFFFFF)).view(np.int64) % (self.pools.words.size - LONGEST)
        return pc.ascii_trim_whitespace(self.pools.words.slices(offsets, lengths))

    def extra(self, field: int, used: int | Integers, average: int) -> pa.Array:
        """Padding that brings a row of `used` bytes to about `average`."""
        random = self.draw(field)
        wanted = average - np.broadcast_to(np.asarray(used, np.int64), len(self.ids))
        spread = np.rint(np.maximum(wanted, 0) * 0.2).astype(np.int64)
        lengths = np.where(
            wanted > 0, wanted - spread + below(random, np.maximum(2 * spread, 1)), 0
        )
        offsets = (random & np.uint64(0xFFFFF)).view(np.int64) % (self.pools.extra.size - LONGEST)
        return self.pools.extra.slices(offsets, lengths)

    # -- persons

    @cached_property
    def name_index(self) -> Integers:
        return below(self.draw(0), len(self.pools.names))

    @cached_property
    def email(self) -> pa.Array:
        return pc.binary_join_element_wise(self.text(1, 7), "@", self.text(2, 5), ".com", "")

    @cached_property
    def city(self) -> pa.Array:
        return _pick(self.pools.cities, self.draw(3))

    def credit_card(self) -> pa.Array:
        groups = [_pick(self.pools.groups, self.draw(5 + i)) for i in range(4)]
        return pc.binary_join_element_wise(*groups, " ")

    def person_extra(self) -> pa.Array:
        card, state = 19, 2
        used = 8 + card + state + self.pools.name_lengths[self.name_index]
        return self.extra(9, used + _lengths(self.email) + _lengths(self.city), 200)

    # -- auctions

    @cached_property
    def item(self) -> pa.Array:
        return self.text(0, 20)

    @cached_property
    def description(self) -> pa.Array:
        return self.text(1, 100)

    @cached_property
    def initial_bid(self) -> Integers:
        return log_uniform(self.draw(2))

    def expires(self) -> Integers:
        end = self.config.times(self.numbers + self.config.auction_window)
        longest = np.maximum(2 * (end - self.times) // 1000, 1)
        return self.times + (1 + below(self.draw(3), longest)) * 1000

    # -- bids

    def auction(self) -> Integers:
        random = self.draw(0)
        spread = self.slice.spread
        newest = self.slice.rounds * AUCTIONS + (AUCTIONS - 1)  # bids come after a round's auctions
        oldest = np.maximum(newest - self.config.in_flight_auctions, 0)
        chosen = below(random, spread(newest - oldest + (1 + AHEAD)))
        chosen += spread(oldest)
        hot = spread(newest // HOT_EVERY * HOT_EVERY)
        chosen = np.where(chance(random, self.config.hot_auction_ratio), hot, chosen)
        chosen += FIRST_ID
        return chosen

    def bidder(self) -> Integers:
        person = self.person(1, self.config.hot_bidder_ratio, 1)
        return person + FIRST_ID if self.config.bidder_ids == "shifted" else person

    @cached_property
    def channel_index(self) -> pa.Array:
        random = self.draw(3)
        hot = below(random, len(HOT_CHANNELS))
        other = len(HOT_CHANNELS) + below(random, CHANNELS)
        return pa.array(np.where(chance(random, 2), hot, other))


def _pick(values: pa.Array, random: Words) -> pa.Array:
    return values.take(pa.array(below(random, len(values))))


def _lengths(text: pa.Array) -> Integers:
    lengths: Integers = pc.binary_length(text).to_numpy().astype(np.int64)
    return lengths


Maker = Callable[[Events], "pa.Array | Integers"]

MAKERS: dict[Kind, dict[str, Maker]] = {
    Kind.PERSON: {
        "id": lambda e: FIRST_ID + e.slice.spread(e.slice.rounds),
        "name": lambda e: e.pools.names.take(pa.array(e.name_index)),
        "email_address": lambda e: e.email,
        "credit_card": lambda e: e.credit_card(),
        "city": lambda e: e.city,
        "state": lambda e: _pick(e.pools.states, e.draw(4)),
        "date_time": lambda e: e.times,
        "extra": lambda e: e.person_extra(),
    },
    Kind.AUCTION: {
        "id": lambda e: FIRST_ID + e.slice.auctions(),
        "item_name": lambda e: e.item,
        "description": lambda e: e.description,
        "initial_bid": lambda e: e.initial_bid,
        "reserve": lambda e: e.initial_bid + log_uniform(e.draw(4)),
        "date_time": lambda e: e.times,
        "expires": lambda e: e.expires(),
        "seller": lambda e: e.person(5, e.config.hot_seller_ratio, 0),
        "category": lambda e: 10 + below(e.draw(6), 5),
        "extra": lambda e: e.extra(7, 48 + _lengths(e.item) + _lengths(e.description), 500),
    },
    Kind.BID: {
        "auction": lambda e: e.auction(),
        "bidder": lambda e: e.bidder(),
        "price": lambda e: log_uniform(e.draw(2)),
        "channel": lambda e: e.pools.channels.take(e.channel_index),
        "url": lambda e: e.pools.urls.take(e.channel_index),
        "date_time": lambda e: e.times,
        "extra": lambda e: e.extra(4, 32, 100),
    },
}
"""How each column is made."""
