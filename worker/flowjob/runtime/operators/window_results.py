"""How a firing becomes output: a columnar batch of aggregates, or the rows that a window function
gives.

The window operators know only `Results.emit`; what a window's contents mean is known here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flowjob.plan.types import KeyField
from flowjob.runtime.batch import Batch, Int64s
from flowjob.runtime.operators.base import Output
from flowjob.runtime.operators.window_contents import Computed, Contents
from flowjob.windows import WINDOW_COLUMNS, WINDOW_TIME


@dataclass(frozen=True, slots=True)
class Firing:
    """Windows that give a result now, in order of output.

    keys      one array per key component
    starts    int64, µs; None for windows without bounds, as `ends`
    times     int64, the timestamps of the results; None on a stream without event time
    contents  with the windows' values in `slots`; or their results, if that is all `Results` reads
    """

    keys: Sequence[pa.Array]
    starts: Int64s | None
    ends: Int64s | None
    times: Int64s | None
    contents: Contents | Computed
    slots: Int64s

    def part(self, start: int, stop: int) -> Firing:
        def cut(values: Int64s | None) -> Int64s | None:
            return None if values is None else values[start:stop]

        return Firing(
            [key.slice(start, stop - start) for key in self.keys],
            cut(self.starts),
            cut(self.ends),
            cut(self.times),
            self.contents,
            self.slots[start:stop],
        )


class Results(ABC):
    """Turns firings into output data."""

    reads_contents: bool = False
    """True: `emit` needs what the windows hold and not only its results."""

    @abstractmethod
    def emit(self, firing: Firing, batch_rows: int) -> Iterator[Output]:
        """The output, in pieces of at most `batch_rows` rows where possible."""


class AggregateResults(Results):
    """Key columns, window bounds and one column per aggregate, as `schema` names and types them."""

    def __init__(self, keys: Sequence[KeyField], names: Sequence[str], schema: pa.Schema) -> None:
        self._keys = [key.name for key in keys]
        self._names = names
        self._schema = schema

    def emit(self, firing: Firing, batch_rows: int) -> Iterator[Output]:
        for start in range(0, len(firing.slots), batch_rows):
            piece = firing.part(start, min(start + batch_rows, len(firing.slots)))
            yield Batch(self._columns(piece), piece.times)

    def _columns(self, firing: Firing) -> pa.RecordBatch:
        found = dict(zip(self._keys, firing.keys))
        for name, bound in zip(WINDOW_COLUMNS, (firing.starts, firing.ends)):
            found[name] = bounds(bound, len(firing.slots))
        found.update(zip(self._names, firing.contents.results(firing.slots)))
        arrays = [_as(found[field.name], field.type) for field in self._schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def bounds(times: Int64s | None, length: int) -> pa.Array:
    """A window_start or window_end column."""
    if times is None:
        return pa.nulls(length, WINDOW_TIME)
    return pa.array(np.ascontiguousarray(times)).view(WINDOW_TIME)


def _as(array: pa.Array, type: pa.DataType) -> pa.Array:
    return array if array.type == type else array.cast(type)
