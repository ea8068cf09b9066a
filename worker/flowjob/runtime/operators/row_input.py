"""The rows of a columnar batch for operators that take keys as columns and call a function per row.

Rows are made piece by piece, as they are needed: a slow function does not hold all rows of a batch in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowjob.plan.types import OBJECT_COLUMN, OBJECTS, StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.rows import RowCodec


def codec_of(type: StreamType) -> RowCodec:
    """A codec for the rows of `type`, which may have hidden key columns beside a column of pickled objects."""
    if type.schema is not None and OBJECT_COLUMN in type.schema.names:
        return RowCodec(OBJECTS)
    return RowCodec(type)


def rows_of(batch: Batch, codec: RowCodec) -> Callable[[int, int], list[Any]]:
    """Converts rows start … stop of the batch, when asked for them."""
    columns = batch.columns

    def convert(start: int, stop: int) -> list[Any]:
        return codec.rows(columns.slice(start, stop - start))

    return convert
