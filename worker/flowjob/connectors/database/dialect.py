"""How a DB-API driver wants its parameters, and the few statements the sink needs, in SQL that every database takes.

It must not know connections beyond their type, nor transactions."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowjob.errors import PlanError

COMMITS = "flowjob_commits"
"""The table that says what has been committed: one row per token, written in the same transaction as the rows."""

_MARKS = {"qmark": "?", "format": "%s", "pyformat": "%s"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")


def check_table(name: str) -> None:
    """Raises PlanError for what is no plain table name: it becomes part of statements."""
    if not _NAME.fullmatch(name):
        raise PlanError(
            f"table {name!r}: write a plain name of letters, digits and _, or schema.name"
        )


def quote_of(connection: Any) -> str:
    """What the database puts names between."""
    return "`" if "mysql" in type(connection).__module__.lower() else '"'


def paramstyle_of(connection: Any) -> str:
    """The `paramstyle` of the driver module that made the connection. Raises PlanError when it cannot be found."""
    package = type(connection).__module__.split(".")[0]
    style = getattr(sys.modules.get(package), "paramstyle", None)
    if not isinstance(style, str):
        raise PlanError(
            f"the driver of {type(connection).__qualname__} does not say its paramstyle: give paramstyle="
        )
    return style


@dataclass(frozen=True, slots=True)
class Dialect:
    """Statements for one table. `columns` are those of the stream, in its order; `style` is a DB-API paramstyle,
    `quote` what names are put between."""

    table: str
    columns: Sequence[str]
    style: str
    quote: str = '"'

    @property
    def staging(self) -> str:
        return f"{self.table}_flowjob_staging"

    def marks(self, count: int) -> list[str]:
        if self.style == "numeric":
            return [f":{i + 1}" for i in range(count)]
        if (
            self.style == "named"
        ):  # values are given by position, which such drivers take for :1, :2 …
            return [f":{i + 1}" for i in range(count)]
        mark = _MARKS.get(self.style)
        if mark is None:
            raise PlanError(
                f"paramstyle {self.style!r}: known are qmark, format, pyformat, numeric, named"
            )
        return [mark] * count

    @property
    def _listed(self) -> str:
        return ", ".join(f"{self.quote}{c}{self.quote}" for c in self.columns)

    def create_commits(self) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {COMMITS} (target VARCHAR(200) NOT NULL, writer VARCHAR(200) NOT NULL, "
            "epoch BIGINT NOT NULL, PRIMARY KEY (target, writer, epoch))"
        )

    def create_staging(self) -> str:
        """Of the target's own column types; the token's come from the table of commits."""
        return (
            f"CREATE TABLE IF NOT EXISTS {self.staging} AS SELECT t.*, c.writer AS flowjob_writer, "
            f"c.epoch AS flowjob_epoch FROM {self.table} t, {COMMITS} c WHERE 1 = 0"
        )

    def stage(self) -> str:
        marks = ", ".join(self.marks(len(self.columns) + 2))
        return (
            f"INSERT INTO {self.staging} ({self._listed}, flowjob_writer, flowjob_epoch) "
            f"VALUES ({marks})"
        )

    def insert(self) -> str:
        """Rows directly, where there are no snapshots to wait for."""
        return f"INSERT INTO {self.table} ({self._listed}) VALUES ({', '.join(self.marks(len(self.columns)))})"

    def move(self) -> str:
        return (
            f"INSERT INTO {self.table} ({self._listed}) SELECT {self._listed} "
            f"FROM {self.staging} WHERE {self._token()}"
        )

    def unstage(self) -> str:
        return f"DELETE FROM {self.staging} WHERE {self._token()}"

    def count_staged(self) -> str:
        return f"SELECT COUNT(*) FROM {self.staging} WHERE {self._token()}"

    def staged_tokens(self) -> str:
        return f"SELECT DISTINCT flowjob_writer, flowjob_epoch FROM {self.staging}"

    def committed(self) -> str:
        target, writer, epoch = self.marks(3)
        return f"SELECT COUNT(*) FROM {COMMITS} WHERE target = {target} AND writer = {writer} AND epoch = {epoch}"

    def record(self) -> str:
        return f"INSERT INTO {COMMITS} (target, writer, epoch) VALUES ({', '.join(self.marks(3))})"

    def forget(self) -> str:
        target, writer, epoch = self.marks(3)
        return f"DELETE FROM {COMMITS} WHERE target = {target} AND writer = {writer} AND epoch < {epoch}"

    def _token(self) -> str:
        writer, epoch = self.marks(2)
        return f"flowjob_writer = {writer} AND flowjob_epoch = {epoch}"
