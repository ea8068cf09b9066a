"""Files, objects in a bucket and rows of a table that a whole job writes: exactly once, wherever it is struck."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import flowjob as fj
from flowjob.connectors.base import Sink
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.elements import Stop
from flowjob.errors import LostData
from flowjob.plan import compile_job
from flowjob.plan.job_graph import JobGraph
from flowjob.testing.virtual_time import run_virtually
from tests.buckets import bucket_named
from tests.connectors.database.postgres import postgres
from tests.runtime.jobmanager.whole_jobs import Run, Strikes, Struck, World

pytestmark = pytest.mark.slow

ROWS = 120
SETTINGS = CheckpointSettings(interval=0.2, min_pause=0.0, tolerable_failures=100, resend=0.5)
EVERY_ROW = Counter(range(ROWS))


class Number(fj.Schema):
    n: int


class Place:
    """Where sinks write to. `visible(name)`: what anybody can read there."""

    def sink(self, name: str) -> Sink:
        raise NotImplementedError

    def visible(self, name: str) -> Counter[int]:
        raise NotImplementedError

    def lose(self, name: str) -> None:
        """Deletes everything that is not visible yet."""
        raise NotImplementedError

    def take(self, name: str) -> Counter[int]:
        """What is visible, which then is there no more."""
        raise NotImplementedError


def numbers_of(text: str) -> Counter[int]:
    return Counter(int(row["n"]) for row in csv.DictReader(io.StringIO(text)))


class Directory(Place):
    def __init__(self, path: Path) -> None:
        self._path = path

    def sink(self, name: str) -> Sink:
        return fj.files.csv(self._path / name)

    def visible(self, name: str) -> Counter[int]:
        found: Counter[int] = Counter()
        for path in (self._path / name).glob("[!.]*"):
            found += numbers_of(path.read_text())
        return found

    def lose(self, name: str) -> None:
        for path in (self._path / name).glob(".*"):
            path.unlink()

    def take(self, name: str) -> Counter[int]:
        found = self.visible(name)
        for path in (self._path / name).glob("[!.]*"):
            path.unlink()
        return found


class Table(Place):
    """Connections as `connect` makes them."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect

    def _execute(self, statement: str) -> list[Any]:
        with contextlib.closing(self._connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            found = cursor.fetchall() if cursor.description else []
            connection.commit()
            return list(found)

    def sink(self, name: str) -> Sink:
        self._execute(f"CREATE TABLE IF NOT EXISTS {name} (n BIGINT)")
        return fj.database.table(self._connect, name, rows=5)

    def visible(self, name: str) -> Counter[int]:
        return Counter(n for (n,) in self._execute(f"SELECT n FROM {name}"))

    def lose(self, name: str) -> None:
        self._execute(f"DELETE FROM {name}_flowjob_staging")

    def take(self, name: str) -> Counter[int]:
        found = self.visible(name)
        self._execute(f"DELETE FROM {name}")
        return found


class Bucket(Place):
    def __init__(self, client: Any) -> None:
        self._client = client

    def sink(self, name: str) -> Sink:
        return fj.files.csv(f"s3://results/{name}")

    def visible(self, name: str) -> Counter[int]:
        found: Counter[int] = Counter()
        listed = self._client.list_objects_v2(Bucket="results", Prefix=f"{name}/")
        for entry in listed.get("Contents", ()):
            whole = self._client.get_object(Bucket="results", Key=entry["Key"])
            found += numbers_of(whole["Body"].read().decode())
        return found

    def lose(self, name: str) -> None:
        for upload in self._client.list_multipart_uploads(Bucket="results").get("Uploads", ()):
            self._client.abort_multipart_upload(
                Bucket="results", Key=upload["Key"], UploadId=upload["UploadId"]
            )

    def take(self, name: str) -> Counter[int]:
        found = self.visible(name)
        listed = self._client.list_objects_v2(Bucket="results", Prefix=f"{name}/")
        for entry in listed.get("Contents", ()):
            self._client.delete_object(Bucket="results", Key=entry["Key"])
        return found


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with bucket_named("results", monkeypatch) as client:
        yield client


def sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA synchronous = OFF")  # the machine does not fail here
    return connection


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as found:
        yield found


@pytest.fixture
def database(server: str) -> Iterator[Callable[[], Any]]:
    """Connections to a server without tables."""
    import psycopg

    connect = partial(psycopg.connect, server)
    yield connect
    with contextlib.closing(connect()) as connection:
        for name in ("out", "elsewhere"):
            connection.execute(f"DROP TABLE IF EXISTS {name}, {name}_flowjob_staging")
        connection.execute("DROP TABLE IF EXISTS flowjob_commits")
        connection.commit()


@pytest.fixture(
    params=[
        "directory",
        "table",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("bucket", marks=pytest.mark.s3),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    match request.param:
        case "directory":
            return Directory(tmp_path)
        case "table":
            return Table(partial(sqlite, tmp_path / "db"))
        case "postgres":
            return Table(request.getfixturevalue("database"))
        case _:
            return Bucket(request.getfixturevalue("bucket"))


def graph(sink: Sink) -> JobGraph:
    job = fj.Job("j")
    source = fj.datagen(Number, {"n": fj.values.sequence()}, rows=ROWS, rate=100, splits=3)
    job.write(job.read(source), sink)
    return compile_job(job, parallelism=2)


def run_of(world: World, sink: Sink, run_id: str = "one") -> Run:
    return Run(world, graph(sink), run_id, SETTINGS)


def virtually(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_virtually(main())


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("step", ["prepare", "prepared", "commit", "half", "committed"])
def test_a_job_that_is_struck_at_any_step_of_its_sinks_shows_every_row_once(
    tmp_path: Path, place: Place, step: str
) -> None:
    world = World(tmp_path)
    strikes = Strikes(lambda at, number: at == step and number in (1, 2, 4, 9))

    async def main() -> None:
        run = run_of(world, Struck(place.sink("out"), strikes))
        await run.live()
        assert 1 < len(run.failures) <= strikes.struck  # two may be struck at once

    virtually(main)
    assert place.visible("out") == EVERY_ROW


@pytest.mark.parametrize("step", ["prepared", "committed"])
def test_two_sinks_of_a_job_may_write_to_one_place(tmp_path: Path, place: Place, step: str) -> None:
    world = World(tmp_path)
    strikes = Strikes(lambda at, number: at == step and number in (2, 5))
    job = fj.Job("j")
    source = fj.datagen(Number, {"n": fj.values.sequence()}, rows=ROWS, rate=100, splits=3)
    rows = job.read(source)
    job.write(rows.filter(fj.col("n") < 60), Struck(place.sink("out"), strikes), name="first")
    job.write(rows.filter(fj.col("n") >= 50), Struck(place.sink("out"), strikes), name="second")
    graph = compile_job(job, parallelism=2)

    async def main() -> None:
        await Run(world, graph, "one", SETTINGS).live()

    virtually(main)
    assert strikes.struck == 2
    assert place.visible("out") == EVERY_ROW + Counter(range(50, 60))


@pytest.mark.parametrize(("step", "promised"), [("prepared", False), ("commit", True)])
def test_results_that_are_gone_before_they_were_published_are_lost_data_if_a_snapshot_promises_them(
    tmp_path: Path, place: Place, step: str, promised: bool
) -> None:
    world = World(tmp_path)
    strikes = Strikes(lambda at, number: at == step and number == 3, lambda: place.lose("out"))

    async def main() -> None:
        with pytest.raises(LostData) if promised else contextlib.nullcontext():
            await run_of(world, Struck(place.sink("out"), strikes)).live()

    virtually(main)
    assert strikes.struck == 1
    found = place.visible("out")
    assert max(found.values()) == 1
    assert (found == EVERY_ROW) is not promised


async def _going(run: Run, checkpoint: int) -> asyncio.Future[None]:
    """The run, once it has that checkpoint, and rows behind it."""
    living = asyncio.ensure_future(run.live())
    await until(lambda: living.done() or run.store.state.newest_id >= checkpoint)
    await asyncio.sleep(0.1)
    assert not living.done()
    return living


@pytest.mark.parametrize("then", ["goes on", "fails", "is cancelled"])
def test_a_job_that_begins_from_a_savepoint_has_what_the_first_one_had_not_shown_then(
    tmp_path: Path, place: Place, then: str
) -> None:
    world = World(tmp_path)
    strikes = Strikes()

    async def main() -> None:
        first = run_of(world, Struck(place.sink("out"), strikes))
        living = await _going(first, 2)
        answer = await first.savepoint("here")
        assert answer.failure is None
        shown = place.visible("out")
        point = await first.found("here")
        match then:
            case "goes on":
                await living
            case "fails":
                strikes.when = lambda step, number: step == "prepared" and not strikes.struck
                await living
                assert first.failures
            case _:
                living.cancel()
                await asyncio.gather(living, return_exceptions=True)
        second = run_of(world, place.sink("elsewhere"), "two")
        await second.live(point)
        behind = place.visible("elsewhere")
        before = EVERY_ROW - behind
        assert 0 < before.total() < ROWS
        assert before <= shown, "rows before the barrier were not visible when it was reported"
        assert max(behind.values()) == 1
        found = place.visible("out")
        assert max(found.values()) == 1
        assert before <= found
        if then != "is cancelled":
            assert found == EVERY_ROW

    virtually(main)


def test_where_both_jobs_write_to_one_place_only_what_is_behind_the_savepoint_is_there_twice(
    tmp_path: Path, place: Place
) -> None:
    world = World(tmp_path)

    async def main() -> None:
        first = run_of(world, place.sink("out"))
        living = await _going(first, 2)
        assert (await first.savepoint("here")).failure is None
        point = await first.found("here")
        await living
        assert place.visible("out") == EVERY_ROW
        await run_of(world, place.sink("out"), "two").live(point)
        doubled = place.visible("out") - EVERY_ROW
        assert 0 < doubled.total() < ROWS
        assert max(doubled.values()) == 1

    virtually(main)


def test_a_savepoint_that_tasks_fail_under_is_answered_so_and_costs_nothing(
    tmp_path: Path, place: Place
) -> None:
    world = World(tmp_path)
    strikes = Strikes()

    async def main() -> None:
        run = run_of(world, Struck(place.sink("out"), strikes))
        living = await _going(run, 2)
        strikes.when = lambda step, number: step == "half" and not strikes.struck
        answer = await run.savepoint("here")
        assert "killed at half" in (answer.failure or "")
        await living

    virtually(main)
    assert place.visible("out") == EVERY_ROW


@pytest.mark.parametrize("step", ["prepare", "prepared", "commit", "half", "committed"])
def test_a_job_that_is_stopped_with_a_savepoint_while_it_is_struck_is_continued_without_loss(
    tmp_path: Path, place: Place, step: str
) -> None:
    world = World(tmp_path)
    strikes = Strikes()

    async def main() -> None:
        first = run_of(world, Struck(place.sink("out"), strikes))
        living = await _going(first, 2)
        strikes.when = lambda at, number: at == step and not strikes.struck
        answer = await first.savepoint("end", Stop.SUSPEND)
        while answer.failure is not None and not living.done():
            await asyncio.sleep(0.05)
            answer = await first.savepoint("end again", Stop.SUSPEND)
        await living
        assert strikes.struck == 1
        stopped = answer.savepoint or "end"
        second = run_of(world, place.sink("out"), "two")
        await second.live(await first.found(stopped))

    virtually(main)
    assert place.visible("out") == EVERY_ROW


@pytest.mark.parametrize("struck", [False, True])
def test_results_may_be_moved_on_between_a_stop_and_what_continues_it(
    tmp_path: Path, place: Place, struck: bool
) -> None:
    world = World(tmp_path)
    strikes = Strikes()

    async def main() -> None:
        first = Run(world, graph(Struck(place.sink("out"), strikes)), "one", SETTINGS, "job")
        living = await _going(first, 2)
        strikes.when = lambda step, number: struck and step == "commit" and not strikes.struck
        assert (await first.savepoint("end", Stop.SUSPEND)).failure is None
        await living
        point = await first.found("end")
        assert any(s.committables for task in point.manifest.tasks for s in task.operators)
        taken = place.take("out")
        second = Run(world, graph(place.sink("out")), "two", SETTINGS, "job")
        await second.live(point)
        assert taken + place.visible("out") == EVERY_ROW

    virtually(main)


@pytest.mark.parametrize("step", ["commit", "half", "committed"])
def test_a_jobmanager_that_takes_a_stopped_job_over_publishes_what_is_left_and_no_more(
    tmp_path: Path, place: Place, step: str
) -> None:
    world = World(tmp_path)
    strikes = Strikes()

    async def main() -> None:
        first = Run(world, graph(Struck(place.sink("out"), strikes)), "one", SETTINGS, "job")
        living = await _going(first, 2)
        strikes.also = living.cancel  # the JobManager, and all with it
        strikes.when = lambda at, number: at == step and not strikes.struck
        asked = asyncio.ensure_future(first.savepoint("end", Stop.SUSPEND))
        await asyncio.gather(living, asked, return_exceptions=True)
        assert living.cancelled()
        heir = Run(world, graph(place.sink("out")), "one", SETTINGS, "job")
        await heir.take_over()
        stopped = place.take("out")
        assert 0 < stopped.total() < ROWS
        last = Run(world, graph(place.sink("out")), "two", SETTINGS, "job")
        await last.live(await heir.found("end"))
        assert stopped + place.visible("out") == EVERY_ROW

    virtually(main)


@pytest.mark.parametrize("step", ["prepare", "prepared", "commit", "half", "committed"])
def test_a_jobmanager_that_takes_a_run_over_gives_every_row_once(
    tmp_path: Path, place: Place, step: str
) -> None:
    world = World(tmp_path)
    strikes = Strikes()

    async def main() -> None:
        first = Run(world, graph(Struck(place.sink("out"), strikes)), "one", SETTINGS, "job")
        living = await _going(first, 2)
        strikes.also = living.cancel
        strikes.when = lambda at, number: at == step and not strikes.struck
        await asyncio.gather(living, return_exceptions=True)
        assert living.cancelled()
        await Run(world, graph(place.sink("out")), "one", SETTINGS, "job").take_over()

    virtually(main)
    assert place.visible("out") == EVERY_ROW
