"""gather equals RecordBatch.take, for every kind of column and on both sides of its threshold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flowjob.kernels.gather import gather, sorted_by

N = 6000
NUMBERS = np.random.default_rng(3).integers(0, 100, N)


def every_kind() -> pa.RecordBatch:
    integers = pa.array(NUMBERS)
    columns = {
        "i64": integers,
        **{str(t): integers.cast(t) for t in (pa.int8(), pa.uint16(), pa.float32(), pa.float64())},
        **{str(t): integers.cast(t) for t in (pa.timestamp("us", "UTC"), pa.duration("us"))},
        "bool": pa.array(NUMBERS > 50),
        "nulls": pa.array(NUMBERS, mask=NUMBERS > 70),
        "string": pa.array(["x" * n for n in NUMBERS % 23]),
        "empty strings": pa.array([""] * N),
        "long": pa.array(["long " * n for n in NUMBERS], pa.large_string()),
        "binary": pa.array([bytes([n]) * n for n in NUMBERS]),
        "dictionary": pa.array(NUMBERS % 7).dictionary_encode(),
        "list": pa.array([[int(n)] * (n % 3) for n in NUMBERS]),
    }
    return pa.RecordBatch.from_pydict(columns)


@pytest.mark.parametrize("rows", [0, 1, 50, 6000, 9000])
@pytest.mark.parametrize("start", [0, 3])
def test_gathered_rows_equal_arrows(rows, start):
    batch = every_kind().slice(start)
    order = np.random.default_rng(rows).integers(0, len(batch), rows)
    taken = gather(batch, order)
    taken.validate(full=True)
    assert taken.equals(batch.take(pa.array(order)))
    assert taken.schema == batch.schema


@pytest.mark.parametrize("rows", [0, 1, 50, 5990])
@pytest.mark.parametrize("names", [None, ["i64", "uint16"], ["string"]])
def test_sorted_rows_equal_arrows(rows, names):
    batch = every_kind().slice(3, rows)
    batch = batch if names is None else batch.select(names)
    order = np.argsort(NUMBERS[:rows] % 7, kind="stable")
    taken = sorted_by(batch, order)
    taken.validate(full=True)
    assert taken.equals(batch.take(pa.array(order)))
    assert taken.schema == batch.schema
