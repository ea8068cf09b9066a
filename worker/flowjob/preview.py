"""`stream.preview(20)`: the part of a job that a stream needs, run here, until enough rows are there.

Returns what a notebook or terminal can show. Other sinks of the job are not written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flowjob.connectors.collect import collect, decode_report, readable

if TYPE_CHECKING:
    from flowjob.job import Job
    from flowjob.stream import Stream


@dataclass(frozen=True)
class Preview:
    """The first rows of a stream. `table` has all columns; printing it shows a grid."""

    table: pa.Table

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as dicts."""
        found: list[dict[str, Any]] = self.table.to_pylist()
        return found

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __str__(self) -> str:
        return text_table(self.table.column_names, [list(r.values()) for r in self.rows])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(f"<th>{escape(n)}</th>" for n in self.table.column_names)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(v))}</td>" for v in row.values()) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def preview(stream: Stream[Any], limit: int, *, parallelism: int) -> Preview:
    """See Stream.preview. Raises JobFailed and its kin."""
    from flowjob.job import Job
    from flowjob.stream import Stream as AnyStream

    job = Job("preview")
    job._builder.graph = stream._builder.graph.ancestors(stream._input.node)
    shown = AnyStream[Any](job._builder, stream._input)
    job.write(shown, collect(limit, title="preview"))
    batches = _first_rows(job, limit, parallelism)
    schema = stream.type.schema if stream.type.schema is not None else _object_schema()
    table = pa.Table.from_batches(batches, schema=batches[0].schema if batches else schema)
    return Preview(table.slice(0, limit))


def _first_rows(job: Job, limit: int, parallelism: int) -> list[pa.RecordBatch]:
    """What the job's only sink reports, until there are `limit` rows: then the job is stopped."""
    from flowjob.local import run
    from flowjob.runtime.jobmanager.request import Enough

    batches: list[pa.RecordBatch] = []

    def on_report(_: str, data: bytes) -> None:
        batches.append(readable(decode_report(data).columns))
        if sum(batch.num_rows for batch in batches) >= limit:
            raise Enough

    run(job, parallelism=parallelism, on_report=on_report)
    return batches


def _object_schema() -> pa.Schema:
    return pa.schema([pa.field("value", pa.string())])


def text_table(names: list[str], rows: list[list[Any]]) -> str:
    """Rows as aligned columns."""
    cells = [names, *([_cell(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
