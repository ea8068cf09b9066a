"""A sink that sends rows to whoever watches the job: previews, notebooks and tests.

A message is one Arrow IPC stream with one batch; kinds and timestamps travel as two extra columns. It must not know
how messages travel: SinkContext.report does."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.plan.types import OBJECT_COLUMN, Mode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowjob.runtime.batch import Batch

KIND_COLUMN = "__kind"
TIMESTAMP_COLUMN = "__timestamp"


def collect(limit: int | None = None, *, title: str = "") -> CollectSink:
    """Reports every row, at most `limit` of each subtask. The sink's name ends with `title`."""
    return CollectSink(limit=limit, title=title)


def show(title: str = "", *, limit: int | None = None) -> CollectSink:
    """Shows the rows as a table called `title` when `flowjob run` ends; at most `limit` rows of each subtask."""
    return collect(limit, title=title)


@dataclass(frozen=True, kw_only=True)
class CollectSink(Sink):
    """See `collect`."""

    limit: int | None = None
    title: str = ""

    @property
    def name(self) -> str:
        return f"collect {self.title}".rstrip()

    @property
    def accepts(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def writer(self, context: SinkContext) -> SinkWriter:
        return CollectWriter(context.report, self.limit)


class CollectWriter(SinkWriter):
    def __init__(
        self, report: Callable[[bytes], Awaitable[None] | None], limit: int | None
    ) -> None:
        self._report = report
        self._left = limit

    def write(self, batch: Batch) -> Awaitable[None] | None:
        if self._left is not None:
            batch = batch.slice(0, min(self._left, len(batch)))
            self._left -= len(batch)
        return self._report(encode_report(batch)) if len(batch) else None


def readable(columns: pa.RecordBatch) -> pa.RecordBatch:
    """For a person: objects, which travel pickled, as their printed form in a column `value`."""
    if OBJECT_COLUMN not in columns.schema.names:
        return columns
    values = [_printed(p) for p in columns.column(OBJECT_COLUMN).to_pylist()]
    return pa.record_batch({"value": pa.array(values, pa.string())})


def _printed(pickled: bytes) -> str:
    try:
        return repr(pickle.loads(pickled))  # noqa: S301 - written by our own job's worker
    except Exception as error:  # noqa: BLE001 - a value that can't be shown must not hide the others
        return f"<an object that cannot be shown here: {type(error).__name__}: {error}>"


def encode_report(batch: Batch) -> bytes:
    """One message: see `decode_report`."""
    columns = batch.columns
    if batch.timestamps is not None:
        columns = columns.append_column(TIMESTAMP_COLUMN, pa.array(batch.timestamps))
    if batch.kinds is not None:
        columns = columns.append_column(KIND_COLUMN, pa.array(batch.kinds))
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, columns.schema) as stream:
        stream.write_batch(columns)
    message: bytes = out.getvalue().to_pybytes()
    return message


def decode_report(message: bytes) -> Batch:
    """The rows of one message, with timestamps and kinds where the stream has them."""
    from flowjob.runtime.batch import Batch

    columns = pa.ipc.open_stream(message).read_next_batch()
    extras: dict[str, np.ndarray] = {}
    for name in (TIMESTAMP_COLUMN, KIND_COLUMN):
        if name in columns.schema.names:
            extras[name] = columns.column(name).to_numpy(zero_copy_only=False)
            columns = columns.drop_columns([name])
    return Batch(columns, extras.get(TIMESTAMP_COLUMN), extras.get(KIND_COLUMN))
