"""Databases: `fj.database.table` writes into a table through any DB-API driver (sqlite3, psycopg, PyMySQL, …).

With snapshots each row is inserted exactly once; docs/connectors.md says how, and what it needs of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowjob.connectors.database.dialect import check_table
from flowjob.connectors.database.sink import TableSink

__all__ = ["table"]


def table(
    connect: Callable[[], Any], name: str, *, rows: int = 5000, paramstyle: str | None = None
) -> TableSink:
    """A sink that inserts into table `name`, whose columns are called as the stream's.

    connect     makes a connection; called in the workers: `functools.partial(psycopg.connect, "dbname=shop")`
    rows        so many are sent at a time
    paramstyle  of the driver, where its module does not say it
    Raises PlanError for what is no table name."""
    check_table(name)
    if not callable(connect):
        raise TypeError(
            f"connect must be a function that makes a connection, e.g. functools.partial(psycopg.connect, …), "
            f"not {connect!r}: a connection cannot be sent to the workers"
        )
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    return TableSink(connect=connect, table=name, rows=rows, paramstyle=paramstyle)
