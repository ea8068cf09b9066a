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

from flowjob.connectors.counter_random import (
    Words,
    below,
    chance,
    field_key,
    odds,
    unit,
    words,
)
from flowjob.connectors.nexmark.config import (
    AUCTIONS,
    FIRST_ID,
    PERSONS,
    Integers,
    Kind,
    NexmarkConfig,
    Slice,
    row_range,
)
from flowjob.connectors.nexmark.pools import (
    CHANNELS,
    HOT_CHANNELS,
    LONGEST,
    POOL_BYTES,
    Pools,
    pools,
)
from flowjob.connectors.nexmark.schemas import TYPES
from flowjob.connectors.options import projected
from flowjob.connectors.text_pool import TextPool

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


@dataclass(frozen=True)
class Recent:
    """Persons or auctions to choose from: so many per round, the last `active` of them, and a hot one."""

    per_round: int
    active: int
    hot_ratio: int
    hot_offset: int = 0


@dataclass(eq=False)
class Events:
    """Events of one kind and the draws that several columns share; each is made when first asked for."""

    config: NexmarkConfig
    slice: Slice
    generator: int

    @property
    def ids(self) -> Integers:
        return self.slice.ids

    def key(self, field: int) -> np.uint64:
        """What the random words of a field of this kind begin with."""
        return np.uint64(field_key(self.config.seed, self.slice.kind.value * 32 + field))

    def draw(self, field: int) -> Words:
        """Random words for a field of this kind."""
        return words(self.ids, int(self.key(field)))

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

    def recent(self, field: int, things: Recent) -> Integers:
        """Ids of things that exist at each row's time, or will soon."""
        from flowjob.kernels.counter_random import choose_recent

        chosen: Integers = np.empty(len(self.ids), np.int64)
        choose_recent(
            self.ids, self.slice.rounds, self.key(field), things.per_round, things.active, AHEAD,
            HOT_EVERY, things.hot_offset, np.uint64(odds(things.hot_ratio)), chosen,
        )  # fmt: skip
        chosen += FIRST_ID
        return chosen

    # -- text

    def text(self, field: int, longest: int) -> pa.Array:
        """Letters and blanks, 3 … longest-1 of them, without blanks at the ends."""
        pool = self.pools.words
        starts, lengths = self._places(pool, field, 3, longest - 3)
        pool.trim(starts, lengths)
        return pool.slices(starts, lengths)

    def extra(self, field: int, used: int | Integers, average: int) -> pa.Array:
        """Padding that brings a row of `used` bytes to about `average`."""
        wanted = np.maximum(average - np.asarray(used, np.int64), 0)
        spread = np.rint(wanted * 0.2).astype(np.int64)
        pool = self.pools.extra
        return pool.slices(*self._places(pool, field, wanted - spread, np.maximum(2 * spread, 1)))

    def _places(
        self, pool: TextPool, field: int, least: int | Integers, spans: int | Integers
    ) -> tuple[Integers, Integers]:
        """Where in a pool the rows' texts begin, and their lengths: least + 0 … span-1."""
        from flowjob.kernels.counter_random import place_texts

        count = len(self.ids)
        starts: Integers = np.empty(count, np.int64)
        lengths: Integers = np.empty(count, np.int64)
        place_texts(
            self.ids, self.key(field), _each(least, count), _each(spans, count),
            np.uint64(POOL_BYTES - 1), pool.size - LONGEST, starts, lengths,
        )  # fmt: skip
        return starts, lengths

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

    def seller(self) -> Integers:
        config = self.config
        return self.recent(5, Recent(PERSONS, config.active_people, config.hot_seller_ratio))

    def expires(self) -> Integers:
        end = self.config.times(self.numbers + self.config.auction_window)
        longest = np.maximum(2 * (end - self.times) // 1000, 1)
        return self.times + (1 + below(self.draw(3), longest)) * 1000

    # -- bids

    def auction(self) -> Integers:
        config = self.config
        # Bids come after a round's auctions.
        return self.recent(
            0, Recent(AUCTIONS, config.in_flight_auctions + 1, config.hot_auction_ratio)
        )

    def bidder(self) -> Integers:
        bidders = self.recent(
            1, Recent(PERSONS, self.config.active_people, self.config.hot_bidder_ratio, 1)
        )
        if self.config.bidder_ids == "shifted":
            bidders += FIRST_ID
        return bidders

    @cached_property
    def channel_index(self) -> pa.Array:
        random = self.draw(3)
        hot = below(random, len(HOT_CHANNELS))
        other = len(HOT_CHANNELS) + below(random, CHANNELS)
        return pa.array(np.where(chance(random, 2), hot, other))


def _each(value: int | Integers, count: int) -> Integers:
    """A value per row."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    return np.full(count, value, np.int64)


def _pick(values: pa.Array, random: Words) -> pa.Array:
    return values.take(pa.array(below(random, len(values))))


def _lengths(text: pa.Array) -> Integers:
    lengths: Integers = pc.binary_length(text).to_numpy().astype(np.int64)
    return lengths


Maker = Callable[[Events], "pa.Array | Integers"]

MAKERS: dict[Kind, dict[str, Maker]] = {
    Kind.PERSON: {
        "id": lambda e: FIRST_ID + e.slice.rounds,
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
        "seller": lambda e: e.seller(),
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
