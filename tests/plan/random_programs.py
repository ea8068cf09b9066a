"""Programs made by chance: streams changed, united, keyed, windowed and written, any of them several times.

Only what does not depend on the order in which parallel subtasks are heard is said of a stream whose order is not
given; `Strand.ordered` tracks that. One seed is one program."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pyarrow as pa

import flowjob as fj

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Part(fj.Schema):
    size: int


class Row(fj.Schema):
    a: int
    b: str
    c: float | None
    at: datetime
    n: int | None
    many: list[int]
    part: Part | None
    color: Color


class Twice(fj.Process[Any, Any]):
    texts = fj.side_output("texts", object)

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        ctx.emit(row)
        ctx.emit_to(self.texts, repr(row))


class Nth(fj.KeyedProcess[Any, Any]):
    seen = fj.value_state(int, default=0)

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        self.seen.value += 1
        ctx.emit((repr(ctx.key), self.seen.value))


class Keys(fj.KeyedCoProcess[Any, Any, Any]):
    def on_first(self, row: Any, ctx: fj.Context) -> None:
        ctx.emit(("first", repr(ctx.key)))

    def on_second(self, row: Any, ctx: fj.Context) -> None:
        ctx.emit(("second", repr(ctx.key)))


@dataclass(frozen=True)
class Strand:
    """A stream, whether its rows come in one order whatever the parallelism, and whether they have event time."""

    stream: fj.Stream[Any]
    ordered: bool
    timed: bool

    def columns(self, test: Callable[[Any], bool]) -> list[str]:
        return [f.name for f in self.stream.type.schema or () if test(f.type)]


class RandomProgram:
    """Builds the program of a seed: the same one each time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, job: fj.Job) -> None:
        self._chance = chance = random.Random(self._seed)
        self._strands = [self._source(job, n) for n in range(chance.choice([1, 1, 2]))]
        for number in range(chance.randrange(2, 9)):
            strand = chance.choice(self._strands)
            typed = not strand.stream.type.is_objects
            steps = [self._spread, self._rows, self._union, self._process]
            steps += [
                self._columns,
                self._filter,
                self._window,
                self._per_key,
                self._connect,
            ] * typed
            made = chance.choice(steps)(strand)
            if made is not None:
                self._strands.append(made)
                if made.stream._input.partitioning is None:
                    made.stream.named(f"step {number}")
        for number, strand in enumerate(self._strands):
            if strand is self._strands[-1] or chance.random() < 0.3:
                job.write(
                    strand.stream, fj.show(f"{number}"), parallelism=chance.choice([None, 1, 2])
                )

    def _source(self, job: fj.Job, number: int) -> Strand:
        chance, time = self._chance, START
        rows = []
        for _ in range(chance.choice([0, 1, 40, 80])):
            time += timedelta(minutes=chance.choice([0, 1, 7, 30]))
            rows.append(
                Row(
                    chance.randrange(5),
                    chance.choice("xyz"),
                    chance.choice([None, chance.randrange(20) / 2]),
                    time,
                    chance.choice([None, 1]),
                    [1] * chance.randrange(3),
                    chance.choice([None, Part(2)]),
                    chance.choice(list(Color)),
                )
            )
        splits, timed = chance.choice([1, 1, 3]), chance.random() < 0.85
        options: dict[str, Any] = {"event_time": "at", "max_delay": 2 * timedelta(days=1)}
        source = fj.from_rows(rows, Row, splits=splits, **(options if timed else {}))
        return Strand(job.read(source).named(f"source {number}"), splits == 1, timed)

    def _after(self, strand: Strand, stream: fj.Stream[Any]) -> Strand:
        if strand.ordered and self._chance.random() < 0.7:
            return Strand(stream.parallelism(1), True, strand.timed)
        if self._chance.random() < 0.2:
            stream = stream.parallelism(self._chance.choice([1, 2, 3]))
        return Strand(stream, False, strand.timed)

    # -- steps

    def _spread(self, strand: Strand) -> Strand:
        name = self._chance.choice(["rebalance", "rescale", "global_", "partition_by"])
        if name == "partition_by":
            spread = strand.stream.partition_by(lambda row, n: len(repr(row)) % n)
        else:
            spread = getattr(strand.stream, name)()
        return Strand(spread, False, strand.timed)

    def _rows(self, strand: Strand) -> Strand:
        stream, returns = strand.stream, self._chance.choice([strand.stream.type, None])
        return self._after(
            strand,
            self._chance.choice(
                [
                    lambda: stream.map(lambda r: r, returns=returns),
                    lambda: stream.flat_map(lambda r: [r] * (len(repr(r)) % 3), returns=returns),
                    lambda: stream.filter(lambda r: len(repr(r)) % 3 > 0),
                ]
            )(),
        )

    def _union(self, strand: Strand) -> Strand:
        schema = strand.stream.type.schema
        alike = [s for s in self._strands if s.stream.type.schema == schema]
        others = self._chance.choices(alike, k=self._chance.choice([1, 1, 2]))
        united = strand.stream.union(*(o.stream for o in others))
        return Strand(united, False, strand.timed and all(o.timed for o in others))

    def _process(self, strand: Strand) -> Strand:
        processed = strand.stream.process(Twice(), returns=strand.stream.type)
        if self._chance.random() < 0.5:
            return Strand(processed.side("texts"), False, strand.timed)
        return self._after(strand, processed)

    def _columns(self, strand: Strand) -> Strand | None:
        stream, chance = strand.stream, self._chance
        names, integers = list(stream.type.columns), strand.columns(pa.types.is_int64)
        some = chance.sample(names, chance.randrange(1, len(names) + 1))
        twice = {"twice": fj.col(chance.choice(integers)) * 2} if integers else {}
        match chance.randrange(5):
            case 0:
                return self._after(
                    strand, stream.select(*some, **({} if "twice" in some else twice))
                )
            case 1:
                return self._after(strand, stream.with_columns(**twice))
            case 2 if len(some) < len(names):
                return self._after(strand, stream.drop(*some))
            case 3 if "other" not in names:
                return self._after(strand, stream.rename(**{some[0]: "other"}))
            case 4:
                schema = pa.schema([stream.schema.field(n) for n in some])
                return self._after(
                    strand, stream.map_batches(lambda b: b.select(some), returns=schema)
                )
        return None

    def _filter(self, strand: Strand) -> Strand | None:
        integers = strand.columns(pa.types.is_int64)
        if not integers:
            return None
        above = fj.col(self._chance.choice(integers)) > self._chance.randrange(3)
        return self._after(strand, strand.stream.filter(above))

    def _window(self, strand: Strand) -> Strand | None:
        if not strand.timed or "window_start" in strand.stream.type.columns:
            return None
        windows = [fj.tumbling(HOUR), fj.sliding(2 * HOUR, HOUR), fj.session(gap=HOUR / 3)]
        keyed = self._keyed(strand) if self._chance.random() < 0.8 else strand.stream
        lateness = self._chance.choice([timedelta(0), timedelta(0), HOUR])
        window = keyed.window(self._chance.choice(windows), allowed_lateness=lateness)
        return Strand(window.agg(**self._aggregates(strand)), False, True)

    def _per_key(self, strand: Strand) -> Strand | None:
        if not strand.ordered:
            return None
        keyed = self._keyed(strand)
        if self._chance.random() < 0.5:
            return Strand(keyed.process(Nth()), False, strand.timed)
        return Strand(keyed.agg(**self._aggregates(strand)), False, strand.timed)

    def _connect(self, strand: Strand) -> Strand | None:
        other = self._chance.choice(self._strands)
        mine, theirs = strand.columns(pa.types.is_int64), other.columns(pa.types.is_int64)
        if not mine or not theirs:
            return None
        both = strand.stream.key_by(mine[0]).connect(other.stream.key_by(theirs[-1]))
        return Strand(both.process(Keys()), False, strand.timed and other.timed)

    def _keyed(self, strand: Strand) -> Any:
        stream, chance = strand.stream, self._chance
        keys = strand.columns(lambda t: not pa.types.is_nested(t))
        integers = strand.columns(pa.types.is_int64)
        match chance.randrange(4):
            case 0 if keys:
                return stream.key_by(chance.choice(keys))
            case 1 if integers:
                return stream.key_by(k=fj.col(chance.choice(integers)) % 2)
            case 2 if keys and integers:
                return stream.key_by(chance.choice(keys), k=fj.col(integers[0]) + 1)
        return stream.key_by(lambda r: len(repr(r)) % 3, returns=int)

    def _aggregates(self, strand: Strand) -> dict[str, Any]:
        found: dict[str, Any] = {"r0": fj.count()}
        for number, column in enumerate(strand.columns(pa.types.is_int64)[:2]):
            of = self._chance.choice([fj.sum, fj.max, fj.mean, fj.count_distinct])
            found[f"i{number}"] = of(column)
            found[f"e{number}"] = fj.sum(fj.col(column) * 2)
        kept = self._chance.sample(sorted(found), self._chance.randrange(1, len(found) + 1))
        return {f"{name}_{len(strand.stream.type.columns)}": found[name] for name in kept}
