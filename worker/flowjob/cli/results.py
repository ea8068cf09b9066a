"""The tables that a job shows: rows reported by its `show` sinks, kept up to a limit and drawn at the end.

Takes reports as connectors/collect.py makes them. Counts all rows and keeps few: a run may report millions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowjob.cli.tables import rows_table
from flowjob.connectors.collect import decode_report, readable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from flowjob.runtime.batch import Batch

CHANGELOG_COLUMN = "kind"
KIND_SIGNS = ("+I", "-U", "+U", "-D")


@dataclass(slots=True)
class _Shown:
    """The first rows of one sink, and how many there were; `restarts` since the first."""

    columns: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    count: int = 0
    restarts: int = 0


class ShownTables:
    """Rows by sink, in the order of `sinks`; a sink that is not in it is shown when it has reported."""

    def __init__(self, limit: int, sinks: Iterable[str] = ()) -> None:
        self._limit = limit
        self._shown: dict[str, _Shown | None] = dict.fromkeys(sinks)

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

    def restarted(self) -> None:
        """Tasks run again: what they had given since their last checkpoint comes again, and nobody can tell which."""
        for shown in self._shown.values():
            if shown is not None:
                shown.restarts += 1

    def render(self) -> Iterator[RenderableType]:
        """For each sink a title, a table, how many rows were left out, and whether some may be there twice."""
        from rich.console import Group
        from rich.text import Text

        for sink, shown in self._shown.items():
            if shown is None:
                continue
            # Title and note stand beside the table: inside they would be wrapped to its width.
            title = sink.removeprefix("collect").strip()
            hidden = shown.count - len(shown.rows)
            yield Group(
                *([Text(title, style="bold")] if title else []),
                rows_table(shown.columns, shown.rows),
                *([Text(f"… and {hidden:,} more of {shown.count:,} rows\n")] if hidden else []),
                *([Text(_repeated(shown.restarts))] if shown.restarts else []),
            )


def _repeated(restarts: int) -> str:
    often = "once" if restarts == 1 else f"{restarts} times"
    return (
        f"The job was restarted {often} meanwhile: some of these rows may be there twice. Sinks that commit, such as "
        "files, have each row once.\n"
    )


def _columns(batch: Batch) -> list[str]:
    names = [str(n) for n in readable(batch.columns.slice(0, 0)).schema.names]
    return names if batch.kinds is None else [CHANGELOG_COLUMN, *names]


def _rows(batch: Batch, limit: int) -> Iterator[tuple[Any, ...]]:
    few = batch.slice(0, min(limit, len(batch)))
    columns = [column.to_pylist() for column in readable(few.columns).columns]
    if few.kinds is not None:
        columns.insert(0, [KIND_SIGNS[k] for k in few.kinds.tolist()])
    return zip(*columns, strict=True)
