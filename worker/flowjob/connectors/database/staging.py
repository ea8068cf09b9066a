"""The transactions of a database sink. Blocking; called off the loop, one at a time.

Rows are staged in a table of their own as they come. A commit moves those of one epoch to the target and writes the
epoch's token, all in one transaction: whoever repeats it finds the token and does nothing. It must not know batches,
writers or snapshots."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from flowjob.connectors.database.dialect import Dialect
from flowjob.connectors.leftovers import Leftovers
from flowjob.errors import JobFailed, LostData, PlanError

REMEMBERED_EPOCHS = 1000
"""Tokens of older epochs of a writer are deleted: no snapshot that could repeat them is kept for so long."""


class Epoch(msgspec.Struct, frozen=True):
    """What one writer staged between two barriers: the sink's committable.

    writer  `<operator>/<run>/<attempt>/<subtask>`
    """

    table: str
    writer: str
    epoch: int
    rows: int

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @staticmethod
    def decode(data: bytes) -> Epoch:
        """Raises LostData for what is none."""
        try:
            return msgspec.msgpack.decode(data, type=Epoch)
        except (msgspec.MsgspecError, ValueError) as error:
            raise LostData(
                f"pending rows of the snapshot cannot be read: {error}; it is damaged, or of another sink"
            ) from error


class Staging:
    """One connection, made on first use. `label` is the sink's name in messages."""

    def __init__(
        self, connect: Callable[[], Any], dialect: Callable[[Any], Dialect], label: str
    ) -> None:
        self._connect = connect
        self._make_dialect = dialect
        self._label = label
        self._connection: Any = None
        self._dialect: Dialect | None = None

    def prepare(self, *, stages: bool) -> None:
        """Makes the two tables, where rows are staged; else only connects."""
        with self._transaction() as (cursor, dialect):
            if stages:
                cursor.execute(dialect.create_commits())
                cursor.execute(dialect.create_staging())

    def check_threads(self) -> None:
        """Raises PlanError for an SQLite connection that belongs to its thread: which thread is free next is chance, so
        that is told at once or may be told at any time. Call it from another thread than `prepare`."""
        if isinstance(self._connection, sqlite3.Connection):
            try:
                self._connection.cursor().close()
            except sqlite3.ProgrammingError as error:
                raise self._failed("cannot connect", error) from error

    def stage(self, writer: str, epoch: int, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._transaction() as (cursor, dialect):
            cursor.executemany(dialect.stage(), [(*row, writer, epoch) for row in rows])

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._transaction() as (cursor, dialect):
            cursor.executemany(dialect.insert(), rows)

    def commit(self, epoch: Epoch) -> None:
        """Idempotent. Raises LostData when the rows are neither staged nor committed."""
        token = (epoch.writer, epoch.epoch)
        with self._transaction() as (cursor, dialect):
            target = (epoch.table, *token)
            if _one(cursor, dialect.committed(), target):
                return
            cursor.execute(
                dialect.record(), target
            )  # its key makes a second committer wait, then fail
            staged = _one(cursor, dialect.count_staged(), token)
            if staged != epoch.rows:
                raise LostData(
                    f"{self._label}: {epoch.rows:,} rows were staged in {dialect.staging} when the snapshot was taken, "
                    f"now there are {staged:,}. Who deleted them? Restore from an older snapshot, whose rows are then "
                    "written again"
                )
            cursor.execute(dialect.move(), token)
            cursor.execute(dialect.unstage(), token)
            cursor.execute(
                dialect.forget(), (epoch.table, epoch.writer, epoch.epoch - REMEMBERED_EPOCHS)
            )

    def sweep(self, run: str, leftovers: Leftovers, keep: frozenset[tuple[str, int]]) -> None:
        """Deletes what earlier attempts of `run` (`<operator>/<run>`) staged, except what `keep` names by writer and
        epoch."""
        with self._transaction() as (cursor, dialect):
            cursor.execute(dialect.staged_tokens())
            for writer, epoch in cursor.fetchall():
                of_run, attempt, subtask = writer.rsplit("/", 2)
                left = of_run == run and leftovers.include(int(attempt), int(subtask))
                if left and (writer, epoch) not in keep:
                    cursor.execute(dialect.unstage(), (writer, epoch))

    def discard(self, writer: str, epoch: int) -> None:
        """Deletes what was staged in an epoch that no snapshot will know."""
        with self._transaction() as (cursor, dialect):
            cursor.execute(dialect.unstage(), (writer, epoch))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[tuple[Any, Dialect]]:
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._dialect = self._make_dialect(self._connection)
            cursor = self._connection.cursor()
        except Exception as error:
            raise self._failed("cannot connect", error) from error
        assert self._dialect is not None
        try:
            yield cursor, self._dialect
            self._connection.commit()
        except LostData:
            self._connection.rollback()
            raise
        except Exception as error:
            with contextlib.suppress(Exception):  # the first failure is the one to tell
                self._connection.rollback()
            raise self._failed("cannot write", error) from error
        finally:
            with contextlib.suppress(Exception):
                cursor.close()

    def _failed(self, what: str, error: Exception) -> JobFailed | PlanError:
        if isinstance(error, sqlite3.ProgrammingError) and "thread" in str(error):
            return PlanError(
                f"{self._label}: this SQLite connection can only be used by the thread that made it. Connect with "
                "sqlite3.connect(path, check_same_thread=False): it is used by one thread at a time"
            )
        said = f"{type(error).__name__}: {error}"
        return JobFailed(f"{self._label}: {what}: {said}")


def _one(cursor: Any, statement: str, values: tuple[Any, ...]) -> int:
    cursor.execute(statement, values)
    return int(cursor.fetchone()[0])
