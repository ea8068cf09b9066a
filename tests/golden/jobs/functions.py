"""Golden jobs of keyed functions: running aggregates, reduce, changelogs, process functions, state, timers, joins.

Where timers of the wall clock matter, what is certain is that each fires once."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import flowjob as fj
from tests.golden.golden import Row
from tests.golden.jobs.rows import DAY, HOUR, MINUTE, Reading, golden, read, readings, spread

AGGREGATES: dict[str, Any] = {
    "n": fj.count(),
    "priced": fj.count("price"),
    "total": fj.sum("price"),
    "mean": fj.mean("level"),
    "least": fj.min("level"),
    "most": fj.max("value"),
    "first": fj.first("number"),
    "last": fj.last("number"),
    "kinds": fj.count_distinct("value"),
    "cheapest": fj.min_by("number", by="price"),
    "dearest": fj.max_by("number", by="price"),
    "values": fj.collect("value"),
}


class Spread(fj.Aggregate[int, list[int], int]):
    """The largest value less the smallest."""

    def create(self) -> list[int]:
        return []

    def add(self, acc: list[int], value: int) -> list[int]:
        return [min([*acc, value]), max([*acc, value])]

    def merge(self, a: list[int], b: list[int]) -> list[int]:
        both = [*a, *b]
        return [min(both), max(both)] if both else []

    def result(self, acc: list[int]) -> int:
        return acc[-1] - acc[0] if acc else 0


class Range(fj.Schema):
    low: int
    names: list[str]


class Everything(fj.KeyedProcess[Any, Any]):
    """State of every kind, and timers that are set, set again and deleted."""

    last = fj.value_state(Reading)
    ranges = fj.value_state(Range, ttl=1000 * DAY)
    recent = fj.list_state(int)
    by_hour = fj.map_state(int, float)
    largest = fj.reducing_state(int, max)
    spread = fj.aggregating_state(Spread("value"))
    anything = fj.value_state(object)
    timer = fj.value_state(datetime)
    odd = fj.side_output("odd", str)

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        self.by_hour[row.at.hour] = self.by_hour.get(row.at.hour, 0.0) + (row.level or 0.0)
        self.largest.add(row.value)
        self.spread.add(row.value)
        self.recent.append(row.number)
        seen = self.anything.value or frozenset()
        last, range = self.last.value, self.ranges.value
        ctx.emit(
            (row.sensor, row.number, last and last.number, range and (range.low, tuple(range.names)),
             [*self.recent][-3:], sorted(self.by_hour), self.largest.value, self.spread.value, len(seen))
        )  # fmt: skip
        if row.value % 2:
            ctx.emit_to(self.odd, f"{row.sensor} {row.number}")
        self.last.value = row
        self.ranges.value = Range(row.value if range is None else range.low, [row.sensor, "x"])
        self.anything.value = seen | {row.value % 5}
        if self.timer.value is not None and row.value % 3 == 0:
            ctx.delete_timer(self.timer.value)
        self.timer.value = row.at + 40 * MINUTE
        ctx.set_timer(self.timer.value)
        if len(self.recent) > 9:
            self.recent.clear()

    def on_timer(self, at: datetime, ctx: fj.Context) -> None:
        ctx.emit((ctx.key, at, len(self.recent), self.largest.value, ctx.timestamp))
        if self.timer.value is not None and at >= self.timer.value:
            self.timer.clear()


class Quiet(fj.KeyedProcess[Any, Any]):
    """Every row sets a timer of the wall clock; what fires says which row it was for."""

    waiting = fj.map_state(int, int)
    ticket = fj.value_state(int, default=0)

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        at = ctx.now + timedelta(milliseconds=5 + row.value % 7)
        ctx.set_processing_timer(at)
        self.waiting[row.number] = round(at.timestamp() * 1e6)

    def on_processing_timer(self, at: datetime, ctx: fj.Context) -> None:
        micros = round(at.timestamp() * 1e6)
        for number, due in [*self.waiting.items()]:
            if due <= micros:
                del self.waiting[number]
                ctx.emit((ctx.key, number))


def each_fired_once(outputs: dict[str, list[Row]]) -> None:
    """At the end of all input timers of the wall clock that are not due are dropped."""
    fired = Counter(repr(row["value"]) for row in outputs["collect out"])
    known = {repr((r.sensor, r.number)) for r in readings()}
    assert set(fired) <= known
    assert set(fired.values()) <= {1}
    assert len(fired) > len(known) * 0.6


class Pair(fj.Schema):
    sensor: str
    left: int
    right: int


class Join(fj.KeyedCoProcess[Reading, Reading, Pair]):
    """Every left row with every right one of its sensor less than an hour apart; what is too old is forgotten."""

    left = fj.map_state(int, Reading)
    right = fj.map_state(int, Reading)

    def on_first(self, row: Reading, ctx: fj.Context) -> None:
        self.left[row.number] = row
        self._keep(row, ctx)
        for other in self.right.values():
            self._pair(row, other, ctx)

    def on_second(self, row: Reading, ctx: fj.Context) -> None:
        self.right[row.number] = row
        self._keep(row, ctx)
        for other in self.left.values():
            self._pair(other, row, ctx)

    def _pair(self, a: Reading, b: Reading, ctx: fj.Context) -> None:
        if abs(a.at - b.at) < HOUR:
            ctx.emit(Pair(ctx.key, a.number, b.number))

    def _keep(self, row: Reading, ctx: fj.Context) -> None:
        ctx.set_timer(row.at + 3 * HOUR)

    def on_timer(self, at: datetime, ctx: fj.Context) -> None:
        for side in (self.left, self.right):
            for number, row in [*side.items()]:
                if row.at + 3 * HOUR <= at:
                    del side[number]


class Both(fj.CoProcess[Reading, Reading, Any]):
    """Without keys, and without state."""

    def on_first(self, row: Reading, ctx: fj.Context) -> None:
        ctx.emit(("first", row.number))

    def on_second(self, row: Reading, ctx: fj.Context) -> None:
        ctx.emit(("second", row.number))


class Rule(fj.Schema):
    name: str
    least: int


class Rules(fj.BroadcastProcess[Reading, Rule, Any]):
    """Rows wait in state until both rules are known, so it does not matter which come first."""

    rules = fj.map_state(str, int)
    waiting = fj.list_state(Reading)

    def on_row(self, row: Reading, ctx: fj.Context) -> None:
        self.waiting.append(row)
        if len(self.rules) == 2:
            for each in self.waiting:
                for name, least in self.rules.items():
                    if each.value >= least:
                        ctx.emit((each.sensor, each.number, name))
            self.waiting.clear()

    def on_broadcast(self, rule: Rule, ctx: fj.Context) -> None:
        self.rules[rule.name] = rule.least


def rules_seen(outputs: dict[str, list[Row]]) -> None:
    """A row that came before the rules is said when the next of its sensor comes, or not at all, if none does."""
    said = Counter(row["value"] for row in outputs["collect out"])
    whole = {(r.sensor, r.number, n) for r in readings() for n, least in RULES if r.value >= least}
    assert set(said.values()) <= {1}
    assert set(said) <= whole
    assert len(said) > len(whole) // 2


RULES = [("some", 3), ("much", 10)]


def running(job: fj.Job) -> None:
    job.write(read(job).key_by("sensor").agg(**AGGREGATES, spread=Spread("value")), fj.show("out"))


def running_spread(job: fj.Job) -> None:
    """Several sources' rows meet: what is certain is what does not depend on their order."""
    keyed = spread(job).key_by(odd=fj.col("value") % 2)
    job.write(keyed.agg(n=fj.count()), fj.show("out"))


def changelog(job: fj.Job) -> None:
    keyed = read(job).key_by("sensor")
    job.write(
        keyed.agg(n=fj.count(), total=fj.sum("value")).changelog().named("sums"), fj.show("out")
    )
    few = keyed.agg(total=fj.sum("value")).changelog().named("few").filter(fj.col("total") < 20)
    job.write(few, fj.show("few"))


def reduced(job: fj.Job) -> None:
    keyed = read(job).key_by("sensor")
    later = lambda a, b: b if b.value % 3 else a
    job.write(keyed.reduce(later).named("later"), fj.show("out"))
    job.write(keyed.reduce(later).changelog().named("kept"), fj.show("kept"))


def everything(job: fj.Job) -> None:
    given = read(job).key_by("sensor").process(Everything()).named("everything")
    job.write(given, fj.show("out"))
    job.write(given.side(Everything.odd), fj.show("odd"))


def by_function(job: fj.Job) -> None:
    def kind(row: Reading) -> str:
        return f"{row.sensor}{row.value % 2}"

    job.write(read(job).key_by(kind).agg(n=fj.count(), last=fj.last("number")), fj.show("out"))


def wall_timers(job: fj.Job) -> None:
    job.write(read(job).key_by("sensor").process(Quiet()), fj.show("out"))


def join(job: fj.Job) -> None:
    left, right = read(job, "left", 60), read(job, "right", 50)
    pairs = left.key_by("sensor").connect(right.key_by("sensor")).process(Join())
    job.write(pairs, fj.show("out"))


def side_by_side(job: fj.Job) -> None:
    both = spread(job, "first", 60).connect(read(job, "second", 40)).process(Both())
    job.write(both, fj.show("out"))


def rules(job: fj.Job) -> None:
    given = job.read(fj.from_rows([Rule(*r) for r in RULES])).parallelism(1).named("rules")
    ruled = read(job).key_by("sensor").connect(given.broadcast()).process(Rules())
    job.write(ruled, fj.show("out"))


OUT = frozenset({"collect out"})
SENSOR = {"collect out": ("sensor",)}

JOBS = [
    golden("running", running, order=SENSOR),
    golden("running_spread", running_spread, order={"collect out": ("odd",)}, timeless=OUT),
    golden("changelog", changelog),
    golden("reduced", reduced, order=SENSOR),
    golden("everything", everything),
    golden("by_function", by_function),
    golden("wall_timers", wall_timers, check=each_fired_once, clocked=True),
    golden("join", join, timeless=OUT),
    golden("side_by_side", side_by_side),
    golden("rules", rules, check=rules_seen, clocked=True),
]
