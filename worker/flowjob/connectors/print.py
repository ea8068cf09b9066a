"""A sink that prints rows, one a line: to look at a stream while writing a job.

It writes to the standard output of the process that runs the subtask; in a cluster that is the worker's log."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.plan.types import OBJECT_COLUMN, Mode

if TYPE_CHECKING:
    from flowjob.runtime.batch import Batch

KIND_SIGNS = ("+I", "-U", "+U", "-D")
"""How the kinds of a changelog are written, by Kind."""


def print_(label: str = "", *, limit: int | None = None) -> PrintSink:
    """Prints each row as a Python dict, or the object itself on an object stream.

    A line begins with `label` and, when there are several, the subtask (`late:2> {…}`). Rows of a changelog show their
    kind (+I, -U, +U, -D). `limit` is the most rows each subtask prints."""
    return PrintSink(label=label, limit=limit)


@dataclass(frozen=True, kw_only=True)
class PrintSink(Sink):
    """See `print_`."""

    label: str = ""
    limit: int | None = None

    @property
    def name(self) -> str:
        return f"print {self.label}".rstrip()

    @property
    def keeps_state(self) -> bool:
        return False

    @property
    def accepts(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def writer(self, context: SinkContext) -> SinkWriter:
        parts = [self.label, str(context.subtask) if context.parallelism > 1 else ""]
        prefix = ":".join(p for p in parts if p)
        return PrintWriter(f"{prefix}> " if prefix else "", self.limit, context.type.is_objects)


class PrintWriter(SinkWriter):
    """Formats on the loop: whoever prints rows has few, or a limit."""

    def __init__(
        self, prefix: str, limit: int | None, objects: bool, stream: TextIO | None = None
    ) -> None:
        self._prefix = prefix
        self._left = limit
        self._objects = objects
        self._stream = stream

    def write(self, batch: Batch) -> None:
        if self._left is not None:
            batch = batch.slice(0, min(self._left, len(batch)))
            self._left -= len(batch)
        if len(batch):
            stream = self._stream or sys.stdout
            stream.write("".join(self._lines(batch)))
            stream.flush()

    def _lines(self, batch: Batch) -> Iterator[str]:
        signs = None if batch.kinds is None else [KIND_SIGNS[k] for k in batch.kinds.tolist()]
        for i, value in enumerate(self._values(batch)):
            sign = "" if signs is None else f"{signs[i]} "
            yield f"{self._prefix}{sign}{value!r}\n"

    def _values(self, batch: Batch) -> list[Any]:
        if not self._objects:
            rows: list[Any] = batch.columns.to_pylist()
            return rows
        pickled = batch.columns.column(OBJECT_COLUMN).to_pylist()
        return [pickle.loads(p) for p in pickled]  # noqa: S301 - made by this very job
