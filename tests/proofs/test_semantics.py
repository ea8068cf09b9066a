"""The engine's promises about rows, keys and time, sentence by sentence, through the public API and whole jobs.

Each test is named for its sentence. Promises that one operator or kernel keeps by itself are tried beside it: filters
and changelogs in tests/runtime/operators, canonical keys and key groups in tests/kernels, combining watermarks in
tests/core, channels in tests/runtime/exchange. That results do not depend on batches: test_windows_against_model.py."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowjob as fj
from flowjob import triggers
from flowjob.connectors.base import Position, Read, Source, Split, SplitEnumerator, SplitReader
from flowjob.connectors.collect import collect
from flowjob.connectors.known_splits import KnownSplits
from flowjob.plan import compile_job, compile_plan
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Kind
from flowjob.runtime.env import Env
from flowjob.testing import run, watermark
from flowjob.testing.results import Results, TestOutput
from flowjob.testing.run import run_job
from flowjob.watermarks import EventTime

MICRO = timedelta(microseconds=1)
SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CUTS = [(p, b) for p in (1, 2, 4) for b in (1, 7, 16_384)]
"""(parallelism, rows in a batch)"""

INSERT, BEFORE, AFTER, DELETE = Kind.INSERT, Kind.UPDATE_BEFORE, Kind.UPDATE_AFTER, Kind.DELETE


def outputs_of(
    build: Callable[[fj.Job], Any], parallelism: int = 1, batch_rows: int = 16_384
) -> TestOutput:
    """What the streams that `build` makes gave, each as one sink got it."""
    job, results = fj.Job("semantics"), Results()
    given = build(job)
    streams = given if isinstance(given, tuple) else (given,)
    for number, stream in enumerate(streams):
        job.write(stream, collect(title=str(number)), parallelism=1)
        results.expect(f"collect {number}", number, None, stream.type)
    run_job(job, results.add, parallelism=parallelism, batch_rows=batch_rows)
    return results.output(len(streams))


def seconds(*times: float) -> list[datetime]:
    return [EPOCH + timedelta(seconds=t) for t in times]


class Reading(fj.Schema):
    sensor: str
    at: datetime
    value: int


def readings(*given: tuple[str, float, int]) -> list[Reading]:
    return [Reading(sensor, EPOCH + timedelta(seconds=at), value) for sensor, at, value in given]


# -- rows, kinds, order


def totals(job: fj.Job, rows: int = 12) -> fj.Stream:
    """A changelog: the running total per sensor."""
    given = readings(*((f"s{i % 3}", i, i) for i in range(rows)))
    stream = job.read(fj.from_rows(given)).key_by("sensor").agg(total=fj.sum("value"))
    return stream.changelog()


def test_modes_are_properties_of_the_plan_and_printed_by_explain() -> None:
    job = fj.Job("modes")
    job.write(totals(job), collect())
    assert "[retract" in job.explain()
    graph = compile_plan(job, parallelism=1).optimised
    assert {node.name: node.mode.value for node in graph}["aggregate"] == "retract"


def test_reduce_and_running_aggregates_give_one_appended_row_per_input_row() -> None:
    def build(job: fj.Job) -> tuple[fj.Stream, fj.Stream]:
        rows = job.read(fj.from_rows(readings(("a", 0, 1), ("a", 1, 2), ("b", 2, 5), ("a", 3, 3))))
        keyed = rows.key_by("sensor")
        latest = keyed.reduce(lambda a, b: Reading(b.sensor, b.at, a.value + b.value))
        return keyed.agg(total=fj.sum("value")), latest

    for parallelism, batch_rows in CUTS:
        output = outputs_of(build, parallelism, batch_rows)
        for number, column in ((0, "total"), (1, "value")):
            mine = [r[column] for r in output[number].rows if r["sensor"] == "a"]
            assert mine == [1, 3, 6]
            assert set(output[number].kinds) == {INSERT}


def test_stateless_operators_apply_to_every_row_and_keep_its_kind() -> None:
    def build(job: fj.Job) -> tuple[fj.Stream, fj.Stream]:
        changes = totals(job)
        doubled = (
            changes.with_columns(total=fj.col("total") * 2)
            .map(lambda row: Total(row.total + 1), returns=Total)
            .select("total")
        )
        return changes, doubled

    output = outputs_of(build, batch_rows=1)
    assert output[0].kinds == output[1].kinds
    assert BEFORE in output[0].kinds
    assert [r["total"] * 2 + 1 for r in output[0].rows] == [r["total"] for r in output[1].rows]


class Total(fj.Schema):
    total: int | None


@pytest.mark.parametrize("batch_rows", [1, 7, 16_384])
def test_a_filter_turns_an_orphaned_update_into_a_delete_or_an_insert(batch_rows: int) -> None:
    """A table kept from the filtered changelog holds exactly the rows that pass."""

    def build(job: fj.Job) -> fj.Stream:
        rows = job.read(
            fj.from_rows(readings(*(("a", i, v) for i, v in enumerate([1, 1, 5, -6, 3]))))
        )
        changes = rows.key_by("sensor").agg(total=fj.sum("value")).changelog()
        return changes.filter(fj.col("total") < 5)

    output = outputs_of(build, 1, batch_rows)
    table: list[int] = []
    for row, kind in zip(output.rows, output.kinds):
        if kind in (INSERT, AFTER):
            table.append(row["total"])
        else:
            table.remove(row["total"])
        assert len(table) <= 1 or kind is BEFORE
    assert table == [4]
    for before, after in pairwise([*output.kinds, None]):
        assert (before is BEFORE) == (after is AFTER), "an update has both its halves"


@dataclass(frozen=True)
class Seen:
    """Where a row was seen, and where it came from."""

    subtask: int
    origin: int
    number: int


class Where(fj.Process[Any, Any]):
    """Which subtask sees each row."""

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        ctx.emit(Seen(ctx.subtask, row.origin, row.number))


class Numbered(fj.Schema):
    origin: int
    number: int


class Origin(fj.Process[Any, Numbered]):
    """Numbers the rows that leave from each of its subtasks."""

    def open(self, ctx: fj.Context) -> None:
        self.given = 0

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        ctx.emit(Numbered(ctx.subtask, self.given))
        self.given += 1


class KeyedWhere(fj.KeyedProcess[Any, Any]):
    def on_row(self, row: Any, ctx: fj.Context) -> None:
        ctx.emit(Seen(ctx.subtask, row.origin, row.number))


EXCHANGES: dict[str, Callable[[fj.Stream], fj.Stream]] = {
    "forward": lambda s: s.process(Where()),
    "rebalance": lambda s: s.rebalance().process(Where()),
    "rescale": lambda s: s.rescale().process(Where()),
    "broadcast": lambda s: s.broadcast().process(Where()),
    "global": lambda s: s.global_().process(Where()),
    "custom": lambda s: s.partition_by(lambda n, count: n * 7 % count, "number").process(Where()),
    "hash": lambda s: s.key_by(k=fj.col("number") % 10).process(KeyedWhere()),
}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_rows_from_one_subtask_to_another_stay_in_order(exchange: str) -> None:
    rows = pa.table({"number": pa.array(range(400))})

    def build(job: fj.Job) -> fj.Stream:
        numbered = job.read(fj.collection(rows, splits=3)).process(Origin(), returns=Numbered)
        return EXCHANGES[exchange](numbered)

    for parallelism, batch_rows in CUTS:
        seen: list[Seen] = outputs_of(build, parallelism, batch_rows).rows
        assert len(seen) == 400 * (parallelism if exchange == "broadcast" else 1)
        for place in {(s.subtask, s.origin) for s in seen}:
            numbers = [s.number for s in seen if (s.subtask, s.origin) == place]
            assert numbers == sorted(set(numbers)), (place, parallelism, batch_rows)
        if exchange == "global":
            assert {s.subtask for s in seen} == {0}


KEEPING_PAIRS: dict[str, Callable[[fj.Stream], fj.Stream]] = {
    "forward": lambda s: s,
    "rebalance": lambda s: s.rebalance(),
    "rescale": lambda s: s.rescale(),
    "custom, by what stays": lambda s: s.partition_by(lambda v, n: int(v[1:]) % n, "sensor"),
}


@pytest.mark.parametrize("exchange", KEEPING_PAIRS)
def test_the_row_before_an_update_directly_precedes_the_row_after_it_on_the_same_subtask(
    exchange: str,
) -> None:
    def build(job: fj.Job) -> fj.Stream:
        return KEEPING_PAIRS[exchange](totals(job, 60)).with_columns(again=fj.col("total"))

    for parallelism, batch_rows in CUTS:
        changes = changes_of(build, parallelism, batch_rows)
        assert left(changes) == [570, 590, 610]
        for (kind, row), (next_kind, next_row) in pairwise(changes):
            assert (kind is BEFORE) == (next_kind is AFTER), (parallelism, batch_rows)
            if kind is BEFORE:
                assert row["sensor"] == next_row["sensor"]
        assert not {DELETE} & {kind for kind, _ in changes}


def test_where_the_target_changes_an_update_becomes_a_delete_and_an_insert() -> None:
    def build(job: fj.Job) -> fj.Stream:
        changes = totals(job, 60)
        return changes.partition_by(lambda v, n: v % n, "total").with_columns(again=fj.col("total"))

    for parallelism, batch_rows in CUTS:
        changes = changes_of(build, parallelism, batch_rows)
        assert left(changes) == [570, 590, 610]
        for (kind, row), (next_kind, next_row) in pairwise(changes):
            assert (kind is BEFORE) == (next_kind is AFTER), (parallelism, batch_rows)
            if kind is BEFORE:
                assert row["total"] % parallelism == next_row["total"] % parallelism
        if parallelism > 1 and batch_rows == 1:
            assert DELETE in [kind for kind, _ in changes]


def changes_of(
    build: Callable[[fj.Job], fj.Stream], parallelism: int, batch_rows: int
) -> list[tuple[Kind, Any]]:
    output = outputs_of(build, parallelism, batch_rows)
    return list(zip(output.kinds, output.rows))


def left(changes: Sequence[tuple[Kind, Any]]) -> list[int]:
    """The totals that a changelog leaves, whatever the order between its keys."""
    given = [row["total"] for kind, row in changes if kind in (INSERT, AFTER)]
    for kind, row in changes:
        if kind in (DELETE, BEFORE):
            given.remove(row["total"])
    return sorted(given)


def test_changing_the_event_time_column_does_not_change_timestamps_but_with_event_time_does() -> (
    None
):
    given = [*readings(("a", 5, 0)), watermark(EPOCH + timedelta(seconds=60))]
    later = fj.col("at") + fj.lit(timedelta(seconds=20))

    def windows(stream: fj.Stream) -> fj.Stream:
        return stream.key_by("sensor").window(fj.tumbling(timedelta(seconds=10))).agg(n=fj.count())

    moved = run(lambda s: windows(s.with_columns(at=later)), given)
    assert [r["window_start"] for r in moved.rows] == seconds(0)
    assigned = run(lambda s: windows(s.with_columns(at=later).with_event_time("at")), given)
    assert [r["window_start"] for r in assigned.rows] == seconds(20)


class Dated(fj.Schema):
    name: str
    at: datetime | None


def dated(directory: Path, policy: Any) -> Any:
    (directory / "in.csv").write_text(
        "name,at\na,1970-01-01T00:00:01Z\nb,\nc,1970-01-01T00:00:02Z\n"
    )
    return fj.files.csv(f"{directory}/in.csv", Dated, event_time="at", on_bad_row=policy)


def test_a_null_event_time_follows_the_policy_for_malformed_rows(tmp_path: Path) -> None:
    with pytest.raises(fj.FlowjobError, match="`at` is null"):
        outputs_of(lambda job: job.read(dated(tmp_path, "fail")))
    kept = outputs_of(lambda job: job.read(dated(tmp_path, "skip")))
    assert [r["name"] for r in kept.rows] == ["a", "c"]

    def divert(job: fj.Job) -> tuple[fj.Stream, fj.Stream]:
        rows = job.read(dated(tmp_path, "divert"))
        return rows, rows.bad_rows

    good, bad = (outputs_of(divert)[n].rows for n in (0, 1))
    assert [r["name"] for r in good] == ["a", "c"]
    assert ["null" in r["reason"] for r in bad] == [True]


def test_results_of_a_window_carry_its_end_less_a_microsecond() -> None:
    def build(job: fj.Job) -> fj.Stream:
        rows = job.read(fj.from_rows(readings(("a", 1, 1), ("a", 12, 1)), event_time="at"))
        windows = rows.key_by("sensor").window(fj.tumbling(timedelta(seconds=10)))
        return windows.agg(n=fj.count()).process(Times())

    assert outputs_of(build).rows == [10 * SECOND - 1, 20 * SECOND - 1]


class Times(fj.Process[Any, Any]):
    """The timestamp of each row, µs."""

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        assert ctx.timestamp is not None
        ctx.emit((ctx.timestamp - EPOCH) // MICRO)


def test_a_row_functions_type_is_its_annotation_or_returns_and_otherwise_objects_marked_in_explain() -> (
    None
):
    def annotated(row: Reading) -> Total:
        return Total(row.value)

    job = fj.Job("types")
    rows = job.read(fj.from_rows(readings(("a", 1, 1))))
    assert rows.map(annotated).type.columns == ("total",)
    assert rows.map(lambda r: Total(r.value), returns=Total).type.columns == ("total",)
    objects = rows.map(lambda r: r.value)
    assert objects.type.is_objects
    job.write(objects, collect())
    assert "Python objects" in job.explain()


def test_rows_are_frozen_structs_that_the_garbage_collector_does_not_track() -> None:
    (row,) = readings(("a", 1, 1))
    assert not gc.is_tracked(row)
    with pytest.raises(AttributeError):
        row.value = 2  # type: ignore[misc]


# -- keys


def test_the_sender_evaluates_keys_once_and_ships_them() -> None:
    called: list[int] = []

    def remainder(row: Numbered) -> int:
        called.append(row.number)
        return row.number % 5

    def build(job: fj.Job) -> fj.Stream:
        rows = job.read(fj.from_rows([Numbered(0, n) for n in range(50)]))
        return rows.key_by(remainder).agg(n=fj.count())

    for parallelism, batch_rows in CUTS:
        called.clear()
        output = outputs_of(build, parallelism, batch_rows)
        assert sorted(r["n"] for r in output.rows) == sorted(list(range(1, 11)) * 5)
        assert sorted(called) == list(range(50))
    job = fj.Job("keys")
    job.write(build(job), fj.discard())
    assert "ships" in job.explain()
    assert "__key0" in job.explain()


def test_keys_without_a_canonical_encoding_are_refused() -> None:
    job = fj.Job("keys")
    rows = job.read(fj.from_rows(readings(("a", 1, 1))))
    with pytest.raises(fj.TypeMismatch, match="annotate its return"):
        rows.key_by(lambda row: row)
    table = pa.table({"m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))})
    with pytest.raises(fj.TypeMismatch, match="no canonical encoding"):
        job.read(fj.collection(table)).key_by("m")


def uids(job: fj.Job, parallelism: int = 1) -> list[str]:
    """Of the stateful operators, in order."""
    return [n.uid for n in compile_plan(job, parallelism=parallelism).optimised if n.uid]


def test_uids_do_not_depend_on_the_jobs_name_stateless_operators_or_parallelism() -> None:
    def program(name: str, between: Callable[[fj.Stream], fj.Stream] = lambda s: s) -> fj.Job:
        job = fj.Job(name)
        rows = between(job.read(fj.from_rows(readings(("a", 1, 1)))))
        job.write(rows.key_by("sensor").agg(n=fj.count()), fj.discard())
        return job

    plain = uids(program("one"))
    assert len(plain) == 2
    assert uids(program("two")) == plain
    assert uids(program("one"), parallelism=4) == plain
    assert uids(program("one", lambda s: s.filter(fj.col("value") > 0).rebalance())) == plain


def test_state_that_cannot_be_told_apart_is_refused_until_named() -> None:
    def program(name: str | None) -> fj.Job:
        job = fj.Job("twins")
        rows = job.read(fj.from_rows(readings(("a", 1, 1))))
        for number in range(2):
            counted = rows.key_by("sensor").agg(n=fj.count())
            if number and name:
                counted = counted.named(name)
            job.write(counted, fj.discard())
        return job

    with pytest.raises(fj.AmbiguousState, match=r"\.named"):
        compile_job(program(None), parallelism=1)
    assert "twin" in uids(program("twin"))


# -- time


def test_a_row_is_judged_against_the_watermark_before_its_batch() -> None:
    given = readings(("a", 100, 1), ("a", 1, 2))

    def late(batch_rows: int) -> list[int]:
        def build(job: fj.Job) -> tuple[fj.Stream, fj.Stream]:
            rows = job.read(fj.from_rows(given, event_time="at", watermark_every=batch_rows))
            windows = rows.key_by("sensor").window(fj.tumbling(timedelta(seconds=10)))
            counted = windows.agg(n=fj.count())
            return counted, counted.late

        return [r["value"] for r in outputs_of(build)[1].rows]

    assert late(1) == [2], "the first row's watermark came before it"
    assert late(2) == [], "the batch as a whole came before its watermark"


class Marks(fj.Process[Any, Any]):
    """Each row's value with the watermark it is processed under, in s."""

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        mark = ctx.watermark
        ctx.emit((row.value, None if mark is None else (mark - EPOCH) // timedelta(seconds=1)))


def test_watermark_every_pins_the_positions_of_watermarks_whatever_the_batches() -> None:
    given = readings(*(("a", i + 0.5, i) for i in range(20)))
    expected = [(i, None if i < 4 else i // 4 * 4 - 1) for i in range(20)]

    def build(job: fj.Job) -> fj.Stream:
        rows = job.read(fj.from_rows(given, event_time="at", watermark_every=4))
        return rows.global_().process(Marks())

    for parallelism, batch_rows in CUTS:
        assert outputs_of(build, parallelism, batch_rows).rows == expected


class Alarm(fj.KeyedProcess[Any, Any]):
    """Sets a timer at `value` seconds for each row; says what it saw in order."""

    def on_row(self, row: Reading, ctx: fj.Context) -> None:
        ctx.set_timer(EPOCH + timedelta(seconds=row.value))
        ctx.emit(f"{row.sensor} row")

    def on_timer(self, at: datetime, ctx: fj.Context) -> None:
        ctx.emit(f"{ctx.key} at {(at - EPOCH) // timedelta(seconds=1)}")


class AfterAlarm(fj.Process[Any, Any]):
    """Each thing with the watermark under which it came."""

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        mark = ctx.watermark
        ctx.emit((row, mark is not None and mark >= EPOCH + timedelta(seconds=9)))


def test_due_timers_fire_between_batches_by_time_and_registration_before_the_watermark_goes_on() -> (
    None
):
    given = [
        *readings(("b", 0, 7), ("a", 0, 7), ("c", 0, 3)),
        watermark(EPOCH + timedelta(seconds=9)),
        *readings(("d", 10, 99)),
    ]
    out = run(
        lambda s: s.key_by("sensor").process(Alarm()).process(AfterAlarm()), given, ends=False
    )
    assert out.rows == [
        ("b row", False),
        ("a row", False),
        ("c row", False),
        ("c at 3", False),
        ("b at 7", False),
        ("a at 7", False),
        ("d row", True),
    ]


@settings(max_examples=25)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=50),
    n=st.integers(1, 4),
    purge=st.booleans(),
)
def test_a_count_trigger_fires_at_each_nth_row_per_key_and_window_whatever_the_batches(
    rows: list[tuple[str, int]], n: int, purge: bool
) -> None:
    given = readings(*((key, at, number) for number, (key, at) in enumerate(rows)))
    size = timedelta(seconds=20)
    trigger = triggers.purging(triggers.count(n)) if purge else triggers.count(n)
    expected: list[tuple[str, list[int]]] = []
    held: dict[tuple[str, int], list[int]] = {}
    for number, (key, at) in enumerate(rows):
        values = held.setdefault((key, at // 20), [])
        values.append(number)
        if len(values) % n == 0:
            expected.append((key, list(values)))
            if purge:
                values.clear()

    def build(job: fj.Job) -> fj.Stream:
        stream = job.read(
            fj.collection(given, Reading, event_time="at", max_delay=timedelta(seconds=60))
        )
        windows = stream.key_by("sensor").window(fj.tumbling(size), trigger=trigger)
        return windows.agg(rows=fj.collect("value"))

    for parallelism, batch_rows in CUTS:
        fired = [(r["sensor"], r["rows"]) for r in outputs_of(build, parallelism, batch_rows).rows]
        by_key = lambda pair: pair[0]
        assert sorted(fired, key=by_key) == sorted(expected, key=by_key)


@settings(max_examples=15)
@given(
    rows=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), max_size=40),
    every=st.integers(1, 6),
)
def test_time_triggers_fire_at_boundaries_so_that_pinned_watermarks_pin_their_results(
    rows: list[tuple[str, int]], every: int
) -> None:
    given = readings(*((key, at, number) for number, (key, at) in enumerate(rows)))

    def build(job: fj.Job) -> fj.Stream:
        stream = job.read(fj.collection(given, Reading, event_time="at", watermark_every=every))
        windows = stream.key_by("sensor").window(
            fj.tumbling(timedelta(seconds=30)),
            trigger=fj.continuous(timedelta(seconds=7), time="event"),
        )
        return windows.agg(rows=fj.collect("value"))

    def fired(parallelism: int, batch_rows: int) -> list[Any]:
        output = outputs_of(build, parallelism, batch_rows)
        return sorted(((r["sensor"], r["window_start"], r["rows"]) for r in output.rows), key=repr)

    wanted = fired(1, 1)
    for parallelism, batch_rows in CUTS:
        assert fired(parallelism, batch_rows) == wanted


class EveryThird(fj.Trigger):
    """A custom trigger: at each third row of a key, told from what it saw."""

    def on_row(self, row: Any, at: int, ctx: fj.TriggerContext) -> fj.TriggerResult:
        ctx.state.setdefault("saw", []).append(row.value)
        third = len(ctx.state["saw"]) % 3 == 0
        return fj.TriggerResult.FIRE if third else fj.TriggerResult.CONTINUE


def test_a_custom_trigger_sees_every_row_and_explain_says_that_its_window_runs_row_by_row() -> None:
    given = readings(*((f"s{i % 2}", i / 10, i) for i in range(20)))

    def build(job: fj.Job) -> fj.Stream:
        rows = job.read(fj.from_rows(given, event_time="at"))
        windows = rows.key_by("sensor").window(fj.global_window(), trigger=EveryThird())
        return windows.agg(rows=fj.collect("value"))

    for parallelism, batch_rows in CUTS:
        rows = outputs_of(build, parallelism, batch_rows).rows
        for sensor in ("s0", "s1"):
            mine = [i for i in range(20) if f"s{i % 2}" == sensor]
            assert [r["rows"] for r in rows if r["sensor"] == sensor] == [
                mine[:3],
                mine[:6],
                mine[:9],
            ]
    job = fj.Job("explained")
    job.write(build(job), fj.discard())
    assert "its trigger sees every row: this window runs row by row" in job.explain()


# -- idle and finished inputs


@dataclass(frozen=True, kw_only=True)
class Slow(Source):
    """Steps of (seconds to wait, rows to give)."""

    steps: Sequence[tuple[float, Sequence[Reading]]]
    title: str

    @property
    def name(self) -> str:
        return f"slow {self.title}"

    @property
    def type(self) -> StreamType:
        return StreamType(Reading.arrow_schema(), Reading)

    @property
    def bounded(self) -> bool:
        return True

    @property
    def max_parallelism(self) -> int | None:
        return 1

    def enumerator(self, env: Env) -> SplitEnumerator:
        return KnownSplits((Split("all"),))

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return SlowReader(env, iter(self.steps))


class SlowReader(SplitReader):
    def __init__(self, env: Env, steps: Iterator[tuple[float, Sequence[Reading]]]) -> None:
        self._env = env
        self._steps = steps

    async def read(self) -> Read | None:
        for wait, rows in self._steps:
            await self._env.clock.sleep(wait)
            table = fj.from_rows(rows, Reading).table
            return Read(
                pa.RecordBatch.from_arrays(
                    [c.combine_chunks() for c in table.columns], schema=table.schema
                )
            )
        return None

    def position(self) -> Position:
        return {}


def marks_beside(other: Slow, parallelism: int) -> list[Any]:
    """The watermarks under which rows at 0 s, 10 s … 40 s come, beside another input of the same operator."""
    steady = Slow(
        steps=[(10, readings(("a", i * 10, i))) for i in range(5)],
        title="steady",
        event_time=EventTime("at", idle_after=None),
    )

    def build(job: fj.Job) -> fj.Stream:
        both = job.read(steady).union(job.read(other)).global_()
        return both.process(Marks()).filter(lambda seen: seen[0] < 100)

    return [mark for _, mark in outputs_of(build, parallelism).rows]


@pytest.mark.parametrize("parallelism", [1, 4])
def test_an_idle_input_does_not_hold_time(parallelism: int) -> None:
    silent = [(0, readings(("b", 5, 100))), (1000, readings(("b", 6, 101)))]

    def beside(idle_after: timedelta | None) -> list[Any]:
        time = EventTime("at", idle_after=idle_after)
        return marks_beside(Slow(steps=silent, title="silent", event_time=time), parallelism)

    assert beside(None) == [None, -1, 4, 4, 4], "without idleness the silent input holds time back"
    assert beside(timedelta(seconds=12)) == [None, -1, 9, 19, 29]


@pytest.mark.parametrize("parallelism", [1, 4])
def test_a_finished_input_neither_holds_time_nor_drives_it_on(parallelism: int) -> None:
    time = EventTime("at", idle_after=None)
    short = Slow(steps=[(0, readings(("b", 5, 100)))], title="short", event_time=time)
    assert marks_beside(short, parallelism) == [None, -1, 9, 19, 29]
    empty = Slow(steps=[], title="empty", event_time=time)
    assert marks_beside(empty, parallelism) == [None, -1, 9, 19, 29]
