"""Rows in a table exactly once: staged as they come, moved by the transaction that writes their token."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import flowjob as fj
from flowjob.connectors.base import SinkContext, SinkWriter
from flowjob.core.commits import CommitPermit
from flowjob.errors import JobFailed, LostData, PlanError
from flowjob.plan.types import OBJECTS, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_sink
from flowjob.testing.sink_conformance import check_exactly_once_sink
from tests.connectors.database.postgres import postgres

SCHEMA = pa.schema([("n", pa.int64()), ("select", pa.string())])
TABLE = 'CREATE TABLE results (n BIGINT, "select" TEXT)'
PERMIT = CommitPermit(1, 1)


def batch(*numbers: int) -> Batch:
    rows = [{"n": n, "select": str(n) if n % 2 else None} for n in numbers]
    return Batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))


BATCHES = [batch(1, 2, 3), batch(4), batch(5, 6)]

Connect = Callable[[], Any]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgres() as found:
        yield found


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connect]:
    """Connections to a database with an empty table."""
    if request.param == "sqlite":
        make: Connect = partial(sqlite3.connect, tmp_path / "db", check_same_thread=False)
        run(make, TABLE)
        yield make
        return
    import psycopg

    make = partial(psycopg.connect, request.getfixturevalue("server"))
    run(make, TABLE)
    yield make
    run(make, "DROP TABLE IF EXISTS results, results_flowjob_staging, flowjob_commits")


def run(connect: Connect, statement: str) -> list[tuple[Any, ...]]:
    connection = connect()
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        found = cursor.fetchall() if cursor.description else []
        connection.commit()
        return list(found)
    finally:
        connection.close()


def visible(connect: Connect) -> list[dict[str, Any]]:
    rows = run(connect, 'SELECT n, "select" FROM results ORDER BY n')
    return [{"n": n, "select": s} for n, s in rows]


async def test_rows_are_inserted_exactly_once(connect: Connect, env: Env) -> None:
    sink = fj.database.table(connect, "results", rows=2)
    await check_exactly_once_sink(lambda: sink, BATCHES, env, lambda: visible(connect))
    assert run(connect, "SELECT COUNT(*) FROM results_flowjob_staging") == [(0,)]


async def test_without_snapshots_rows_are_inserted_as_they_come(connect: Connect, env: Env) -> None:
    sink = fj.database.table(connect, "results", rows=1)
    await check_sink(lambda: sink, BATCHES, env, lambda: visible(connect), hides_until_finish=False)


async def test_the_token_is_written_with_the_rows_or_not_at_all(connect: Connect, env: Env) -> None:
    writer = await begun(connect, env)
    prepared = await writer.prepare(1)
    run(connect, "ALTER TABLE results RENAME TO elsewhere")
    with pytest.raises(JobFailed, match="table results: cannot write"):
        await writer.commit(prepared, PERMIT)
    assert run(connect, "SELECT COUNT(*) FROM flowjob_commits") == [(0,)]
    run(connect, "ALTER TABLE elsewhere RENAME TO results")
    await writer.commit(prepared, PERMIT)
    assert len(visible(connect)) == 3
    assert run(connect, "SELECT target, writer, epoch FROM flowjob_commits") == [
        ("results", "table/r/1/0", 1)
    ]
    await writer.close()


async def test_staged_rows_that_somebody_deleted_are_lost_data(connect: Connect, env: Env) -> None:
    writer = await begun(connect, env)
    prepared = await writer.prepare(1)
    run(connect, "DELETE FROM results_flowjob_staging WHERE n = 1")
    with pytest.raises(LostData, match=r"3 rows were staged .*, now there are 2"):
        await writer.commit(prepared, PERMIT)
    assert visible(connect) == []
    await writer.close()


async def test_tokens_are_forgotten_after_a_thousand_epochs(connect: Connect, env: Env) -> None:
    writer = await begun(connect, env)
    prepared = await writer.prepare(1)
    await writer.commit(prepared, PERMIT)
    run(connect, "UPDATE flowjob_commits SET epoch = -999")
    await write(writer, batch(7))
    await writer.commit(await writer.prepare(2), PERMIT)
    assert run(connect, "SELECT epoch FROM flowjob_commits") == [(2,)]
    await writer.close()


async def test_sqlite_in_other_threads_says_how_to_connect(tmp_path: Path, env: Env) -> None:
    made_here = sqlite3.connect(tmp_path / "db")
    sink = fj.database.table(lambda: made_here, "results")
    with pytest.raises(PlanError, match="check_same_thread=False"):
        await sink.writer(context(env)).open()
    made_here.close()


async def test_sqlite_bound_to_its_thread_is_refused_before_a_row_is_written(
    tmp_path: Path, env: Env
) -> None:
    """Whether the next use comes in the same thread is chance: it must not be tried and tried again."""
    connect = partial(sqlite3.connect, tmp_path / "db")
    with contextlib.closing(connect()) as made:
        made.execute("CREATE TABLE results (n INTEGER)")
    sink = fj.database.table(connect, "results")
    with pytest.raises(PlanError, match="check_same_thread=False"):
        await sink.writer(context(env)).open()


async def test_a_database_that_cannot_be_reached_says_so(tmp_path: Path, env: Env) -> None:
    sink = fj.database.table(partial(sqlite3.connect, tmp_path / "no" / "db"), "results")
    with pytest.raises(JobFailed, match="table results: cannot connect: OperationalError"):
        await sink.writer(context(env)).open()


def test_what_cannot_be_written_is_refused_when_the_job_is_planned() -> None:
    with pytest.raises(PlanError, match="write a plain name"):
        fj.database.table(sqlite3.connect, "results; DROP TABLE x")
    with pytest.raises(TypeError, match="a function that makes a connection"):
        fj.database.table(None, "results")  # type: ignore[arg-type]
    sink = fj.database.table(sqlite3.connect, "results")
    with pytest.raises(PlanError, match="arbitrary objects"):
        sink.check(OBJECTS)
    with pytest.raises(PlanError, match="tags would be lists"):
        sink.check(StreamType(pa.schema([("tags", pa.list_(pa.string()))])))


async def begun(connect: Connect, env: Env) -> SinkWriter:
    """A writer that has been given three rows."""
    writer = fj.database.table(connect, "results").writer(context(env))
    await writer.open()
    await write(writer, batch(1, 2, 3))
    return writer


def context(env: Env) -> SinkContext:
    return SinkContext(
        env=env,
        type=StreamType(SCHEMA),
        run_id="r",
        subtask=0,
        parallelism=1,
        commits=True,
        operator="table",
    )


async def write(writer: SinkWriter, rows: Batch) -> None:
    if (waiting := writer.write(rows)) is not None:
        await waiting
