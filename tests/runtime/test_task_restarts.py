"""Jobs that are snapshot, killed and restored give what an undisturbed run gives: nothing lost, nothing twice."""

from __future__ import annotations

import pickle
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowjob as fj
from flowjob.connectors.collect import decode_report
from flowjob.core.elements import Stop
from flowjob.kernels.group_index import GroupIndex
from flowjob.plan.types import OBJECT_COLUMN
from flowjob.runtime.checkpoint import task_snapshot
from flowjob.testing import restarts
from flowjob.testing.restarts import PLAN, Life, Record, run_with_restarts
from flowjob.testing.run import run_job, script
from flowjob.testing.script import advance, watermark
from flowjob.testing.virtual_time import InlineFreezer
from tests.plan.random_programs import RandomProgram

Program = Callable[[fj.Job], None]
START = datetime(2024, 1, 1, tzinfo=UTC)


class Reading(fj.Schema):
    sensor: str
    value: int
    at: datetime


class Counting(fj.KeyedProcess[Any, Any]):
    seen = fj.value_state(int, default=0)

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        self.seen.value += row.value
        ctx.emit((row.sensor, row.value, self.seen.value))


def readings(job: fj.Job, count: int = 800, *, splits: int = 1) -> fj.Stream[Reading]:
    rows = [Reading(f"s{n % 5}", n, START + timedelta(minutes=n)) for n in range(count)]
    days = timedelta(days=2)
    return job.read(
        fj.from_rows(rows, event_time="at", watermark_every=10, splits=splits, max_delay=days)
    ).named(f"{count} readings")


def stateless(job: fj.Job) -> None:
    job.write(readings(job, splits=3).filter(fj.col("value") % 3 != 0), fj.show("kept"))


def keyed(job: fj.Job) -> None:
    job.write(readings(job).key_by("sensor").process(Counting()), fj.show("sums"))


def windows(job: fj.Job) -> None:
    hourly = readings(job, splits=4).key_by("sensor").window(fj.tumbling(timedelta(hours=1)))
    job.write(hourly.agg(n=fj.count(), total=fj.sum("value")), fj.show("hours"))


def two_inputs(job: fj.Job) -> None:
    both = readings(job, 420, splits=2).union(readings(job, 390, splits=3))
    window = both.key_by("sensor").window(fj.session(gap=timedelta(minutes=5)))
    job.write(window.agg(n=fj.count(), total=fj.sum("value")), fj.show("sessions"))
    job.write(both.map(lambda r: r.value), fj.show("values"))


PROGRAMS: dict[str, Program] = {p.__name__: p for p in (stateless, keyed, windows, two_inputs)}


def rows_of(run: Callable[[Callable[[str, bytes], None]], Any]) -> Counter[Any]:
    found: Counter[Any] = Counter()

    def add(sink: str, message: bytes) -> None:
        for row in decode_report(message).columns.to_pylist():
            values = {n: pickle.loads(v) if n == OBJECT_COLUMN else v for n, v in row.items()}
            found[sink, repr(values)] += 1

    run(add)
    return found


def undisturbed(program: Program) -> Counter[Any]:
    job = fj.Job("undisturbed")
    program(job)
    return rows_of(lambda add: run_job(job, add, parallelism=2, batch_rows=7))


def disturbed(
    program: Program, lives: Sequence[Life], **options: Any
) -> tuple[Counter[Any], Record]:
    records: list[Record] = []
    found = rows_of(lambda add: records.append(run_with_restarts(program, add, lives, **options)))
    return found, records[0]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_run_without_any_failure_commits_everything_with_its_last_snapshot(name: str) -> None:
    found, record = disturbed(PROGRAMS[name], [Life(parallelism=2)])
    assert found == undisturbed(PROGRAMS[name])
    assert len(record.complete) == 1
    assert all(s.ended for s in record.snapshots)
    assert record.declined == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_job_killed_and_restored_at_other_parallelisms_gives_each_row_once(name: str) -> None:
    lives = [
        Life(parallelism=2, snapshots=(20, 20), dies=30),
        Life(parallelism=3, snapshots=(20,), dies=30),
        Life(parallelism=1),
    ]
    found, record = disturbed(PROGRAMS[name], lives)
    assert found == undisturbed(PROGRAMS[name])
    assert record.restored[1] is not None
    assert record.declined == []


waits = st.integers(0, 60)
kills = st.builds(
    Life,
    parallelism=st.integers(1, 3),
    snapshots=st.lists(waits, max_size=3).map(tuple),
    dies=waits,
    batch_rows=st.sampled_from([1, 7, 50]),
)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), lives=st.lists(kills, max_size=3), last=st.integers(1, 3))
def test_programs_made_by_chance_give_the_same_however_often_they_are_killed(
    seed: int, lives: list[Life], last: int
) -> None:
    program = RandomProgram(seed)
    found, record = disturbed(program, [*lives, Life(parallelism=last)])
    assert found == undisturbed(program)
    assert record.declined == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_state_described_in_a_frozen_copy_is_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", 0)
    lives = [Life(parallelism=2, snapshots=(10,), dies=20), Life(parallelism=3)]
    found, record = disturbed(PROGRAMS[name], lives)
    assert found == undisturbed(PROGRAMS[name])
    assert record.restored[1] is not None


@pytest.mark.parametrize("name", [n for n in PROGRAMS if n not in ("stateless", "two_inputs")])
def test_a_frozen_copy_describes_state_without_the_tables_of_indexes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large ones are not there in a fork: whoever looked a key up would end it."""
    made: weakref.WeakSet[GroupIndex] = weakref.WeakSet()
    begin = GroupIndex._begin

    def noted(index: GroupIndex, entries: int) -> None:
        made.add(index)
        begin(index, entries)

    monkeypatch.setattr(GroupIndex, "_begin", noted)
    monkeypatch.setattr(WithoutTables, "made", made, raising=False)
    monkeypatch.setattr(task_snapshot, "FREEZE_FROM", 0)
    monkeypatch.setattr(restarts, "InlineFreezer", WithoutTables)
    _, record = disturbed(PROGRAMS[name], [Life(parallelism=2, snapshots=(10, 10))])
    assert record.declined == []
    assert record.complete
    assert made


class WithoutTables(InlineFreezer):
    made: weakref.WeakSet[GroupIndex]

    def freeze(self, work: Callable[[Path], bytes], *, deadline: float) -> Awaitable[bytes]:
        indexes = list(self.made)
        tables = [index._table for index in indexes]
        for index in indexes:
            index._table = np.empty(0, np.int64)
        try:
            return super().freeze(work, deadline=deadline)
        finally:
            for index, table in zip(indexes, tables, strict=True):
                index._table = table


def test_a_stop_that_suspends_fires_no_window_and_is_gone_on_from() -> None:
    lives = [Life(parallelism=2, snapshots=(10,), stop=Stop.SUSPEND)]
    before, record = disturbed(windows, lives)
    assert record.complete == [1]
    assert not any(s.ended for s in record.snapshots)
    assert not before
    found, _ = disturbed(windows, [*lives, Life(parallelism=3)])
    assert found == undisturbed(windows)


def test_a_stop_that_drains_fires_all_windows_and_leaves_the_unread_rows_for_later() -> None:
    lives = [Life(parallelism=2, snapshots=(10,), stop=Stop.DRAIN)]
    before, record = disturbed(stateless, lives)
    assert record.complete == [1]
    assert all(s.ended for s in record.snapshots)
    assert 0 < sum(before.values()) < sum(undisturbed(stateless).values())
    found, _ = disturbed(stateless, [*lives, Life(parallelism=3)])
    assert found == undisturbed(stateless)
    fired, _ = disturbed(windows, lives)
    assert fired


def test_at_least_once_loses_nothing() -> None:
    lives = [
        Life(parallelism=2, snapshots=(15, 10), dies=25),
        Life(parallelism=3, snapshots=(15,), dies=25),
        Life(parallelism=1),
    ]
    plan = msgspec.structs.replace(PLAN, exactly_once=False)
    found, record = disturbed(two_inputs, lives, plan=plan)
    assert record.restored[1] is not None
    assert {r for r in undisturbed(two_inputs) if "values" in r[0]} <= set(found)


def test_a_stop_that_is_given_up_lets_the_job_go_on() -> None:
    expected, given_up = undisturbed(two_inputs), 0
    for wait in range(0, 40, 3):
        stop = Life(parallelism=2, snapshots=(10,), stop=Stop.SUSPEND, aborted=wait)
        found, record = disturbed(two_inputs, [stop, Life()])
        assert found == expected
        given_up += record.complete[0] != 1
    assert 0 < given_up < 14  # in some it came too late


micros = st.integers(0, 150).map(lambda n: timedelta(microseconds=n))

OfHours = partial(Life, latency_interval=60.0)

timed_kills = st.builds(
    OfHours, parallelism=st.integers(1, 3), snapshots=st.lists(micros, max_size=3), dies=micros
)


def scripted(job: fj.Job) -> None:
    rows = [Reading(f"s{n % 3}", n, START + timedelta(minutes=n)) for n in range(60)]
    steps: list[Any] = [*rows[:20], watermark(rows[19].at), *rows[20:], advance(timedelta(hours=1))]
    stream = job.read(script(steps, "at", None, 1)).named("rows")
    job.write(stream.key_by("sensor").process(Counting()), fj.show("sums"))
    hourly = stream.key_by("sensor").window(fj.tumbling(timedelta(minutes=10)))
    job.write(hourly.agg(total=fj.sum("value")), fj.show("totals"))


@settings(deadline=None, max_examples=30)
@given(lives=st.lists(timed_kills, max_size=3), last=st.integers(1, 3))
def test_what_a_source_has_read_ahead_is_neither_lost_nor_doubled(
    lives: list[Life], last: int
) -> None:
    found, record = disturbed(scripted, [*lives, OfHours(parallelism=last)])
    assert found == undisturbed(scripted)
    assert record.declined == []


def test_a_source_that_waits_takes_part_at_once() -> None:
    """In the script's last hour nothing is read; the snapshot is complete before it is over."""
    lives = [
        OfHours(parallelism=2, snapshots=(timedelta(minutes=30),), dies=timedelta(seconds=1)),
        OfHours(parallelism=1),
    ]
    found, record = disturbed(scripted, lives)
    assert record.restored == [None, 1]
    assert found == undisturbed(scripted)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    lives=st.lists(kills, min_size=1, max_size=3),
    last=st.integers(1, 3),
    patience=st.sampled_from([0.0, 1e-9]),
)
def test_programs_made_by_chance_give_the_same_when_barriers_overtake_data(
    seed: int, lives: list[Life], last: int, patience: float
) -> None:
    program = RandomProgram(seed)
    plan = msgspec.structs.replace(PLAN, alignment_timeout=patience)
    found, record = disturbed(program, [*lives, Life(parallelism=last)], plan=plan)
    assert found == undisturbed(program)
    assert record.declined == []


@pytest.mark.parametrize("name", ["keyed", "two_inputs"])
def test_rows_on_their_way_are_dealt_anew_at_another_parallelism(name: str) -> None:
    plan = msgspec.structs.replace(PLAN, alignment_timeout=0.0)
    kept = 0
    for wait in range(2, 30, 4):
        lives = [
            Life(parallelism=2, snapshots=(wait, 10), dies=15),
            Life(parallelism=3, snapshots=(wait,), dies=15),
            Life(parallelism=1),
        ]
        found, record = disturbed(PROGRAMS[name], lives, plan=plan)
        assert found == undisturbed(PROGRAMS[name])
        assert record.declined == []
        kept += sum(s.figures.in_flight_bytes for s in record.snapshots)
    assert kept > 0


def test_what_waits_behind_barriers_on_disk_is_read_again_in_order() -> None:
    plan = msgspec.structs.replace(PLAN, spill_bytes=1 << 20)
    lives = [
        Life(parallelism=3, snapshots=(10, 5), dies=15),
        Life(parallelism=2, snapshots=(10, 5), dies=15),
        Life(parallelism=1),
    ]
    for program in PROGRAMS.values():
        found, record = disturbed(program, lives, plan=plan)
        assert found == undisturbed(program)
        assert record.declined == []


def test_more_behind_barriers_than_may_be_on_disk_declines_the_snapshot_and_not_the_job() -> None:
    plan = msgspec.structs.replace(PLAN, spill_bytes=1)
    lives = [Life(parallelism=3, snapshots=(5, 5, 5, 5)), Life(parallelism=2)]
    found, record = disturbed(two_inputs, lives, plan=plan)
    assert found == undisturbed(two_inputs)
    assert record.complete
    assert "more than 1 bytes came behind barriers" in record.declined[0]
