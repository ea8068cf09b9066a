"""The jobs that are simulated: small pipelines of every shape, each with a state that shows any row lost or doubled.

A job follows from its JobSpec alone, in every process. What it must give is reference.py's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import flowjob as fj
from flowjob.connectors.base import Sink, Source
from flowjob.connectors.datagen.source import DatagenSource
from flowjob.testing.simulation import shipped
from flowjob.testing.simulation.ledger import LedgerSink
from flowjob.testing.simulation.source import MAX_DELAY, Content, Passed, SimSource, event_time
from flowjob.testing.simulation.world import current_world

WINDOW = timedelta(seconds=20)
GAP = timedelta(seconds=1)

KINDS = (
    "numbered",
    "windows",
    "sessions",
    "timers",
    "running",
    "union",
    "stateless",
    "connected",
    "reduced",
    "cascade",
)


class InjectedFailure(Exception):
    """A user function fails because the scenario says so."""


class JobSpec(fj.Args):
    """Everything that decides what a job is.

    fail_at       the map function fails when it sees the row of this number (of all rows it sees, in all attempts)
    sink_width    parallelism of the sink; 0: that of what comes before it, so that rows of a key keep their order
    reads, writes one of shipped.READS, of shipped.WRITES
    """

    seed: int = 0
    kind: str = "numbered"
    splits: int = 2
    rows: int = 50
    keys: int = 5
    waits: float = 0.0
    found_late: bool = False
    dealt: bool = False
    watermark_every: int | None = None
    slow_sink: float = 0.0
    slow_commit: float = 0.0
    sink_width: int = 0
    source_width: int = 0
    groups: int = 128
    edge: str = "direct"
    fail_at: int = 0
    reads: str = "simulated"
    writes: str = "ledger"

    @property
    def inputs(self) -> int:
        return 2 if self.kind in ("union", "connected") else 1

    def content(self, number: int) -> Content:
        return Content(self.seed, number, self.splits, self.rows, self.keys)

    def generated(self, number: int) -> DatagenSource:
        return shipped.generated(self.content(number), self.waits, **self._event_time())

    def given(self, number: int) -> Iterator[dict[str, Any]]:
        """Every row that input has, `at` as µs UTC."""
        if self.reads == "generated":
            return shipped.rows_of(self.generated(number))
        return self.content(number).all_rows()

    def source(self, number: int) -> Source:
        """Of that input."""
        match self.reads:
            case "files":
                content, world = self.content(number), current_world()
                return shipped.files(world, content, self.waits, **self._event_time())
            case "generated":
                return self.generated(number)
        return SimSource(
            content=self.content(number),
            waits=self.waits,
            found_late=self.found_late,
            dealt=self.dealt,
            event_time=event_time(self.watermark_every),
        )

    def sink(self) -> Sink:
        if self.writes == "files":
            return shipped.file_sink(current_world(), self.seed)
        return LedgerSink(title="out", slow=self.slow_sink, slow_commit=self.slow_commit)

    def _event_time(self) -> dict[str, Any]:
        """As options of sources that users have."""
        return {
            "event_time": "at",
            "max_delay": timedelta(microseconds=MAX_DELAY),
            "idle_after": None,
            "watermark_every": self.watermark_every,
        }


class Numbered(fj.Schema):
    """n: which row of its key it is. gap: whether an earlier row of its split and key comes after it."""

    source: int
    split: int
    seq: int
    key: int
    n: int
    disordered: bool


class Bucket(fj.Schema):
    key: int
    begin: int
    rows: int
    total: int


class MayFail:
    """Passes rows on, and fails where the scenario says so."""

    def __init__(self, fail_at: int) -> None:
        self._fail_at = fail_at

    def __call__(self, row: Passed) -> Passed:
        if self._fail_at and current_world().count("mapped") == self._fail_at:
            raise InjectedFailure(f"as the scenario wants at row {self._fail_at}")
        return row


class Number(fj.KeyedProcess[Passed, Numbered]):
    """Counts the rows of each key, and watches the order of those of one split."""

    count = fj.value_state(int, default=0)
    last = fj.map_state(str, int)

    def on_row(self, row: Passed, ctx: fj.Context) -> None:
        self.count.value += 1
        place = f"{row.source}/{row.split}"
        before = self.last.get(place, -1)
        self.last[place] = row.seq
        ctx.emit(
            Numbered(row.source, row.split, row.seq, row.key, self.count.value, row.seq <= before)
        )


class Both(fj.KeyedCoProcess[Passed, Passed, Numbered]):
    """The same with two inputs that share their state."""

    count = fj.value_state(int, default=0)

    def on_first(self, row: Passed, ctx: fj.Context) -> None:
        self._count(row, ctx)

    def on_second(self, row: Passed, ctx: fj.Context) -> None:
        self._count(row, ctx)

    def _count(self, row: Passed, ctx: fj.Context) -> None:
        self.count.value += 1
        ctx.emit(Numbered(row.source, row.split, row.seq, row.key, self.count.value, False))


class Buckets(fj.KeyedProcess[Passed, Bucket]):
    """Tumbling windows by hand: a timer at the end of each, a map of what is in them."""

    rows = fj.map_state(int, int)
    totals = fj.map_state(int, int)

    def on_row(self, row: Passed, ctx: fj.Context) -> None:
        size = WINDOW // timedelta(microseconds=1)
        micros = (row.at - _EPOCH) // timedelta(microseconds=1)
        begin = micros // size * size
        self.rows[begin] = self.rows.get(begin, 0) + 1
        self.totals[begin] = self.totals.get(begin, 0) + row.value
        ctx.set_timer(_EPOCH + timedelta(microseconds=begin + size - 1))

    def on_timer(self, at: datetime, ctx: fj.Context) -> None:
        size = WINDOW // timedelta(microseconds=1)
        begin = (at - _EPOCH) // timedelta(microseconds=1) // size * size
        ctx.emit(Bucket(ctx.key, begin, self.rows[begin], self.totals[begin]))
        del self.rows[begin]
        del self.totals[begin]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def build(spec: JobSpec) -> fj.Job:
    """The job of a spec."""
    job = fj.Job(f"simulated {spec.kind}", max_parallelism=spec.groups)
    inputs = [_input(job, spec, number) for number in range(spec.inputs)]
    result = _SHAPES[spec.kind](inputs)
    job.write(result, spec.sink(), parallelism=spec.sink_width or None, name="ledger")
    return job


def _input(job: fj.Job, spec: JobSpec, number: int) -> fj.Stream[Any]:
    stream: Any = job.read(spec.source(number), parallelism=spec.source_width or None)
    stream = stream.named(f"source {number}")
    match spec.edge:
        case "rebalance":
            stream = stream.rebalance()
        case "rescale":
            stream = stream.rescale()
        case _:
            pass
    if spec.fail_at or spec.edge != "direct":
        stream = stream.map(MayFail(spec.fail_at), returns=Passed).named(f"map {number}")
    return stream  # type: ignore[no-any-return]


def _numbered(inputs: list[Any]) -> Any:
    return inputs[0].key_by("key").process(Number(), returns=Numbered).named("number")


def _windows(inputs: list[Any]) -> Any:
    windows = inputs[0].key_by("key").window(fj.tumbling(WINDOW))
    return windows.agg(rows=fj.count(), total=fj.sum("value")).named("windows")


def _sessions(inputs: list[Any]) -> Any:
    windows = inputs[0].key_by("key").window(fj.session(gap=GAP))
    return windows.agg(rows=fj.count(), total=fj.sum("value")).named("sessions")


def _timers(inputs: list[Any]) -> Any:
    return inputs[0].key_by("key").process(Buckets(), returns=Bucket).named("buckets")


def _running(inputs: list[Any]) -> Any:
    return inputs[0].key_by("key").agg(n=fj.count()).named("running")


def _union(inputs: list[Any]) -> Any:
    return inputs[0].union(inputs[1]).key_by("key").process(Number(), returns=Numbered).named("n")


def _stateless(inputs: list[Any]) -> Any:
    return inputs[0].filter(fj.col("value") > 0)


def _connected(inputs: list[Any]) -> Any:
    both = inputs[0].key_by("key").connect(inputs[1].key_by("key"))
    return both.process(Both(), returns=Numbered).named("both")


def _later(one: Passed, other: Passed) -> Passed:
    return Passed(
        other.source, other.split, other.seq, other.key, one.value + other.value, other.at
    )


def _reduced(inputs: list[Any]) -> Any:
    return inputs[0].key_by("key").reduce(_later).named("sums")


class Twice(fj.KeyedProcess[Passed, Passed]):
    """Passes on what it has not seen, and what it has seen never again."""

    seen = fj.map_state(str, int)

    def on_row(self, row: Passed, ctx: fj.Context) -> None:
        place = f"{row.source}/{row.split}/{row.seq}"
        self.seen[place] = self.seen.get(place, 0) + 1
        ctx.emit(row)


class Summed(fj.Schema):
    """`windows` of the key so far, with so many rows."""

    key: int
    windows: int
    rows: int
    total: int


def _summed(one: Summed, other: Summed) -> Summed:
    return Summed(
        one.key, one.windows + other.windows, one.rows + other.rows, one.total + other.total
    )


def _cascade(inputs: list[Any]) -> Any:
    """Keyed state, then windows, then keyed state again."""
    passed = inputs[0].key_by("key").process(Twice(), returns=Passed).named("twice")
    windows = passed.key_by("key").window(fj.tumbling(WINDOW))
    found = windows.agg(rows=fj.count(), total=fj.sum("value")).named("windows")
    ones = found.map(_one_window, returns=Summed).named("ones")
    return ones.key_by("key").reduce(_summed).named("summed")


def _one_window(row: Any) -> Summed:
    return Summed(row.key, 1, row.rows, row.total)


_SHAPES = dict(
    zip(
        KINDS,
        (
            _numbered,
            _windows,
            _sessions,
            _timers,
            _running,
            _union,
            _stateless,
            _connected,
            _reduced,
            _cascade,
        ),
    )
)
