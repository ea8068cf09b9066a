"""Event time out of a column: int64 µs since the epoch, UTC.

Shared by sources and operators that take time from a column; what becomes of nulls is theirs to decide."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

MICROS = pa.timestamp("us", "UTC")


def timestamps_of(column: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_] | None]:
    """(µs since the epoch, mask of nulls or None when there are none) of a timestamp, date or int64 column.

    Naive timestamps count as UTC; nanoseconds are floored. A null's time is 0: look at the mask."""
    type = column.type
    if pa.types.is_timestamp(type):
        if type.unit == "ns":
            if type.tz is not None:  # the hour that a zone has twice cannot be floored in it
                column = column.cast(pa.timestamp("ns", "UTC"))
            column = pc.floor_temporal(column, unit="microsecond")
        if type.tz is None:
            column = pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
        column = column.cast(MICROS)
    elif pa.types.is_date(type):
        column = column.cast(pa.timestamp("us"))
    elif not pa.types.is_int64(type):
        raise TypeError(f"event time must be a timestamp, date or int64 column, got {type}")
    nulls = None
    if column.null_count:
        nulls = column.is_null().to_numpy(zero_copy_only=False)
        column = column.view(pa.int64()).fill_null(0)
    times: npt.NDArray[np.int64] = column.view(pa.int64()).to_numpy()
    return times, nulls
