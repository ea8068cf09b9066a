"""The tables that a job shows: rows reported by its `show` sinks, kept up to a limit and drawn at the end.

Takes reports as connectors/collect.py makes them. Counts all rows and keeps few: a run may report millions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowjob.cli.tables import rows_table
from flowjob.connectors.collect import decode_report

if TYPE_CHECKING:
    from rich.table import Table

    from flowjob.runtime.batch import Batch

CHANGELOG_COLUMN = "kind"
KIND_SIGNS = ("+I", "-U", "+U", "-D")


@dataclass(slots=True)
class _Shown:
    """The first rows of one sink, and how many there were."""

    columns: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    count: int = 0


class ShownTables:
    """Rows by sink, in the order in which sinks first reported."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shown: dict[str, _Shown] = {}

    def add(self, sink: str, message: bytes) -> None:
        """One report of a sink."""
        batch = decode_report(message)
        shown = self._shown.get(sink)
        if shown is None:
            shown = self._shown[sink] = _Shown(_columns(batch))
        kept = self._limit - len(shown.rows)
        if kept > 0:
            shown.rows.extend(_rows(batch, kept))
        shown.count += len(batch)

    def render(self) -> Iterator[Table]:
        """One table per sink; what was left out is said below it."""
        for sink, shown in self._shown.items():
            table = rows_table(shown.columns, shown.rows, sink.removeprefix("collect").strip())
            hidden = shown.count - len(shown.rows)
            if hidden:
                table.caption = f"… and {hidden:,} more of {shown.count:,} rows"
                table.caption_justify = "left"
            yield table


def _columns(batch: Batch) -> list[str]:
    names = [str(n) for n in batch.columns.schema.names]
    return names if batch.kinds is None else [CHANGELOG_COLUMN, *names]


def _rows(batch: Batch, limit: int) -> Iterator[tuple[Any, ...]]:
    few = batch.slice(0, min(limit, len(batch)))
    columns = [column.to_pylist() for column in few.columns.columns]
    if few.kinds is not None:
        columns.insert(0, [KIND_SIGNS[k] for k in few.kinds.tolist()])
    return zip(*columns, strict=True)
