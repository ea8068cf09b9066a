"""process on two streams: shared keyed state, and a broadcast stream that configures the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowjob.errors import StateError
from flowjob.functions import BroadcastProcess, Context, CoProcess, KeyedCoProcess
from flowjob.plan.specs import ConnectedProcessSpec
from flowjob.plan.types import OBJECTS, KeyField
from flowjob.runtime.batch import Batch
from flowjob.runtime.instants import datetime_of
from flowjob.runtime.operators.connected_process import ConnectedProcessOperator
from flowjob.runtime.operators.failures import RowFailed
from flowjob.schema import Schema
from flowjob.state import map_state, value_state
from tests.runtime.operators.harness import OperatorHarness, batch


class Order(Schema):
    id: int
    item: str


class Paid(Schema):
    order: int


class Rule(Schema):
    name: str
    item: str


FIRST = (KeyField("id", "id", pa.int64()),)
SECOND = (KeyField("order", "order", pa.int64()),)


def orders(*rows: tuple[int, str], at: int | None = None) -> Batch:
    times = None if at is None else np.full(len(rows), at)
    return batch([{"id": i, "item": x} for i, x in rows], Order.arrow_schema(), timestamps=times)


def paid(*ids: int) -> Batch:
    return batch([{"order": i} for i in ids], Paid.arrow_schema())


def rule(name: str, item: str) -> Batch:
    return batch([{"name": name, "item": item}], Rule.arrow_schema())


def harness_of(
    function: Any, second: type[Schema], *, keyed: bool = True, broadcast: bool = False
) -> OperatorHarness:
    spec = ConnectedProcessSpec(
        input=Order.stream_type(),
        second_input=second.stream_type(),
        output=OBJECTS,
        keys=FIRST if keyed else (),
        second_keys=SECOND if keyed and not broadcast else (),
        broadcast=broadcast,
        function=function,
    )
    return OperatorHarness(ConnectedProcessOperator(spec))


class Match(KeyedCoProcess[Order, Paid, str]):
    item = value_state(str)
    was_paid = value_state(bool, default=False)

    def on_first(self, row: Order, ctx: Context) -> None:
        if self.was_paid.value:
            ctx.emit(f"{ctx.key} {row.item}")
        else:
            self.item.value = row.item
            ctx.set_timer(datetime_of(100))

    def on_second(self, row: Paid, ctx: Context) -> None:
        if self.item.value is None:
            self.was_paid.value = True
        else:
            ctx.emit(f"{ctx.key} {self.item.value}")
            ctx.delete_timer(datetime_of(100))

    def on_timer(self, at: Any, ctx: Context) -> None:
        ctx.emit(f"{ctx.key} unpaid")


def test_two_keyed_streams_share_state_and_timers_of_a_key() -> None:
    harness = harness_of(Match(), Paid)
    harness.feed(orders((1, "book"), (2, "pen"), (4, "cup"), at=5), port=0)
    harness.feed(paid(2, 3), port=1)
    harness.feed(orders((3, "ink"), at=6), port=0)
    harness.watermark(100)
    assert harness.rows == ["2 pen", "3 ink", "1 unpaid", "4 unpaid"]


def test_two_plain_streams_meet_in_one_function() -> None:
    class Both(CoProcess[Order, Paid, Any]):
        def on_first(self, row: Order, ctx: Context) -> None:
            ctx.emit(row.item)

        def on_second(self, row: Paid, ctx: Context) -> None:
            ctx.emit(row.order)

    harness = harness_of(Both(), Paid, keyed=False)
    harness.feed(orders((1, "book")), port=0)
    harness.feed(paid(7), port=1)
    assert harness.rows == ["book", 7]


class ApplyRules(BroadcastProcess[Order, Rule, Any]):
    rules = map_state(str, Rule)

    def on_row(self, row: Order, ctx: Context) -> None:
        for r in self.rules.values():
            if r.item == row.item:
                ctx.emit((row.id, r.name))

    def on_broadcast(self, rule: Rule, ctx: Context) -> None:
        self.rules[rule.name] = rule


@pytest.mark.parametrize("keyed", [True, False])
def test_broadcast_rules_are_seen_by_every_key(keyed: bool) -> None:
    harness = harness_of(ApplyRules(), Rule, keyed=keyed, broadcast=True)
    harness.feed(orders((1, "gun")), port=0)
    harness.feed(rule("weapons", "gun"), port=1)
    harness.feed(orders((2, "gun"), (3, "pen")), port=0)
    harness.feed(rule("weapons", "pen"), port=1)
    harness.feed(orders((4, "gun"), (3, "pen")), port=0)
    assert harness.rows == [(2, "weapons"), (3, "weapons")]


@pytest.mark.parametrize(
    "write",
    [
        lambda rules: rules.__setitem__("x", None),
        lambda rules: rules.__delitem__("weapons"),
        lambda rules: rules.pop("weapons"),
        lambda rules: rules.clear(),
    ],
)
def test_broadcast_state_is_read_only_for_rows_and_timers(write: Any) -> None:
    class Writes(ApplyRules):
        def on_row(self, row: Order, ctx: Context) -> None:
            ctx.set_timer(datetime_of(1))
            if row.item != "quiet":
                write(self.rules)

        def on_timer(self, at: Any, ctx: Context) -> None:
            write(self.rules)

    harness = harness_of(Writes(), Rule, broadcast=True)
    harness.feed(rule("weapons", "gun"), port=1)
    harness.feed(orders((1, "quiet")), port=0)
    for action in (lambda: harness.feed(orders((1, "loud")), port=0), lambda: harness.watermark(1)):
        with pytest.raises(RowFailed) as caught:
            action()
        assert isinstance(caught.value.__cause__, StateError)
        assert "`rules`" in str(caught.value.__cause__)
        assert "only be written in on_broadcast" in str(caught.value.__cause__)


def test_a_broadcast_function_may_have_keyed_state_beside_its_rules() -> None:
    class Counts(ApplyRules):
        seen = value_state(int, default=0)

        def on_row(self, row: Order, ctx: Context) -> None:
            self.seen.value += 1
            if row.item in self.rules:
                ctx.emit((ctx.key, self.seen.value))

    harness = harness_of(Counts(), Rule, broadcast=True)
    harness.feed(rule("gun", "gun"), port=1)
    harness.feed(orders((1, "pen"), (2, "gun"), (1, "gun")), port=0)
    assert harness.rows == [(2, 1), (1, 2)]


def test_keyed_state_in_on_broadcast_says_that_there_is_no_key() -> None:
    class Confused(ApplyRules):
        seen = value_state(int, default=0)

        def on_broadcast(self, rule: Rule, ctx: Context) -> None:
            self.seen.value += 1

    harness = harness_of(Confused(), Rule, broadcast=True)
    with pytest.raises(RowFailed) as failed:
        harness.feed(rule("a", "b"), port=1)
    assert "there is no key" in str(failed.value.__cause__)


def test_what_a_stream_without_event_time_emits_takes_the_others_time() -> None:
    class Echo(ApplyRules):
        def on_row(self, row: Order, ctx: Context) -> None:
            ctx.emit(row.item)

        def on_broadcast(self, rule: Rule, ctx: Context) -> None:
            ctx.emit(rule.name)

    harness = harness_of(Echo(), Rule, broadcast=True)
    harness.feed(orders((1, "gun"), at=50), port=0)
    harness.feed(rule("weapons", "gun"), port=1)
    harness.watermark(60)
    harness.feed(rule("tools", "saw"), port=1)
    assert harness.rows == ["gun", "weapons", "tools"]
    assert harness.timestamps == [50, 50, 61]
