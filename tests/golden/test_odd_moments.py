"""Jobs that are killed and restored at odd moments: before anything was saved, twice from the same snapshot, after all
was read, over and over, at parallelisms far apart, with nothing to read, or while some of their sources are silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import flowjob as fj
from flowjob.connectors.base import Position, Read, Source, Split, SplitEnumerator, SplitReader
from flowjob.connectors.known_splits import KnownSplits
from flowjob.plan.types import StreamType
from flowjob.watermarks import EventTime
from tests.golden import golden as catalogue
from tests.golden.cluster import Life, Mode
from tests.golden.golden import Golden, golden_jobs
from tests.golden.jobs.functions import Everything
from tests.golden.jobs.rows import HOUR, MINUTE, Reading, golden, read, readings
from tests.golden.recovering import Recovered, expected, recover

if TYPE_CHECKING:
    from flowjob.runtime.env import Env

pytestmark = pytest.mark.slow

JOBS = golden_jobs()


def right(job: Golden, *lives: Life, mode: Mode | None = None) -> Recovered:
    recovered = recover(job, lives, mode or Mode())
    assert recovered.problems == [], "\n".join(recovered.problems)
    return recovered


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a job golden for one test."""

    def add(job: Golden) -> Golden:
        monkeypatch.setattr(catalogue, "golden_jobs", lambda: {**JOBS, job.name: job})
        monkeypatch.setattr("tests.golden.recovering.golden_jobs", lambda: {job.name: job})
        expected.cache_clear()
        return job

    return add


@pytest.mark.parametrize("name", ["reduced", "three_formats", "database"])
def test_before_the_first_snapshot_there_is_nothing_to_go_on_from_and_nothing_to_see(
    name: str,
) -> None:
    first = Life(2, killed=0, delay=0.007, since=None)
    right(JOBS[name], first, replace(first, parallelism=3), Life(1, since=None))


@pytest.mark.parametrize("name", ["everything", "three_formats", "database"])
def test_several_lives_may_begin_from_the_same_snapshot(name: str) -> None:
    nothing = Life(3, killed=0, delay=0.003)
    recovered = right(
        JOBS[name], Life(2, killed=2, since=None), nothing, replace(nothing, parallelism=1), Life(4)
    )
    first, *others = (lived.began.id for lived in recovered.lives if lived.began is not None)
    assert [first, *others] == [first] * 3


@pytest.mark.parametrize("name", ["trigger_event", "three_formats", "database"])
def test_killed_right_after_its_last_snapshot_a_job_only_publishes(name: str) -> None:
    """All its tasks had ended then; what its sinks had prepared waits for the next life."""
    whole = right(JOBS[name], Life(2, since=None))
    last = Life(2, killed=whole.lives[0].commits, delay=0.0, since=None)
    recovered = right(JOBS[name], last, Life(3))
    assert recovered.midway == 0
    assert recovered.lives[1].began is not None


def test_nothing_to_read_is_a_result_too(add: Any) -> None:
    def program(job: fj.Job) -> None:
        rows = read(job, count=0)
        job.write(rows.key_by("sensor").agg(n=fj.count()), fj.show("counts"))
        job.write(rows.window(fj.tumbling(HOUR)).agg(n=fj.count()), fj.show("hours"))

    job = add(golden("nothing", program))
    whole = right(job, Life(2, since=None))
    assert whole.rows == 0
    commits = whole.lives[0].commits
    right(job, Life(2, killed=commits, delay=0.0, since=None), Life(3))


def test_state_of_one_subtask_is_dealt_to_as_many_as_there_are_key_groups(add: Any) -> None:
    def build(directory: Path) -> fj.Job:
        job = fj.Job("wide", max_parallelism=12)
        rows = read(job, count=50)
        job.write(rows.key_by("sensor").process(Everything()).named("everything"), fj.show("out"))
        windows = rows.key_by("number").window(fj.sliding(HOUR, 20 * MINUTE))
        job.write(windows.agg(n=fj.count()), fj.show("windows"))
        return job

    recovered = right(
        add(Golden("wide", build)), Life(1, killed=1, since=None), Life(12, killed=1), Life(1)
    )
    assert recovered.with_state == 2


def test_sources_that_have_ended_are_not_read_again_while_others_go_on(add: Any) -> None:
    """The first snapshot comes when the short source is done; its rows wait in windows and in state."""

    def program(job: fj.Job) -> None:
        short, long = read(job, "short", 10), read(job, "long", 80)
        both = short.union(long)
        job.write(both.key_by("sensor").agg(n=fj.count()), fj.show("counts"))
        windows = both.key_by("sensor").window(fj.session(gap=30 * MINUTE))
        job.write(windows.agg(rows=fj.collect("number")), fj.show("sessions"))

    job = add(
        golden(
            "ended",
            program,
            timeless=frozenset({"collect counts"}),
            bags=frozenset({"collect sessions"}),
        )
    )
    mode = Mode(pause=0.003)
    for killed in (2, 3):
        right(job, Life(2, killed=killed, since=None), Life(3, killed=1), Life(1), mode=mode)


@dataclass(frozen=True, kw_only=True)
class Silent(Source):
    """Gives all its rows at once, and then nothing for `silence` seconds, after which it ends."""

    rows: Sequence[Reading]
    silence: float

    @property
    def name(self) -> str:
        return "silent"

    @property
    def type(self) -> StreamType:
        return StreamType(Reading.arrow_schema(), Reading)

    @property
    def bounded(self) -> bool:
        return True

    def enumerator(self, env: Env) -> SplitEnumerator:
        return KnownSplits((Split("all"),))

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        return _Silent(self, env, 0 if position is None else position["given"])


class _Silent(SplitReader):
    def __init__(self, source: Silent, env: Env, given: int) -> None:
        self._source = source
        self._env = env
        self._given = given

    async def read(self) -> Read | None:
        if not self._given:
            self._given = 1
            table: pa.Table = fj.from_rows(self._source.rows, Reading).table  # type: ignore[attr-defined]
            return Read(table.combine_chunks().to_batches()[0])
        await self._env.clock.sleep(self._source.silence)
        return None

    def position(self) -> Position:
        return {"given": self._given}


class When(fj.Process[Any, Any]):
    """The wall clock's time at which a row comes by."""

    def on_row(self, row: Any, ctx: fj.Context) -> None:
        ctx.emit((row.window_start, ctx.now))


def test_a_silent_source_holds_time_no_longer_after_a_restore_than_before(add: Any) -> None:
    """Windows of the lively one fire long before the silent one ends; in each life it has to turn idle anew."""
    silence = 1.0
    seen: list[Any] = []

    def program(job: fj.Job) -> None:
        idle = timedelta(milliseconds=50)
        lively = read(job, count=80)
        time = EventTime("at", max_delay=10 * MINUTE, idle_after=idle)
        silent = job.read(Silent(rows=readings(3), silence=silence, event_time=time))
        windows = lively.union(silent.named("silent")).window(fj.tumbling(HOUR))
        job.write(windows.agg(n=fj.count()).process(When()), fj.show("out"))

    def check(outputs: dict[str, list[Any]]) -> None:
        seen.extend(row["value"] for row in outputs["collect out"])

    job = add(golden("silent", program, check=check, clocked=True))
    mode = Mode(pause=0.006, batch_rows=5, interval=0.03)
    right(job, Life(2, killed=2, since=None), Life(3, killed=2), Life(1), mode=mode)
    assert sorted(start for start, _ in seen) == sorted({start for start, _ in seen})
    early = [
        at for _, at in seen if at < max(at for _, at in seen) - timedelta(seconds=silence / 2)
    ]
    assert len(early) >= 2
