"""The row types of Nexmark, as users see them. Prices are cents.

Columns are named as the benchmark names them, in Python spelling; how rows are made is rows.py."""

from __future__ import annotations

from datetime import datetime

from flowjob.connectors.nexmark.config import Kind
from flowjob.plan.types import StreamType
from flowjob.schema import Schema, arrow_schema


class Person(Schema, frozen=True):
    id: int
    name: str
    email_address: str
    credit_card: str
    city: str
    state: str
    date_time: datetime
    extra: str


class Auction(Schema, frozen=True):
    id: int
    item_name: str
    description: str
    initial_bid: int
    reserve: int
    date_time: datetime
    expires: datetime
    seller: int
    category: int
    extra: str


class Bid(Schema, frozen=True):
    auction: int
    bidder: int
    price: int
    channel: str
    url: str
    date_time: datetime
    extra: str


class Event(Schema, frozen=True):
    """An event of any kind: `event_type` 0 person, 1 auction, 2 bid; exactly one of the three is there."""

    event_type: int
    person: Person | None
    auction: Auction | None
    bid: Bid | None
    date_time: datetime


TYPES = {
    Kind.PERSON: StreamType(arrow_schema(Person), Person),
    Kind.AUCTION: StreamType(arrow_schema(Auction), Auction),
    Kind.BID: StreamType(arrow_schema(Bid), Bid),
}
EVENT_TYPE = StreamType(arrow_schema(Event), Event)
