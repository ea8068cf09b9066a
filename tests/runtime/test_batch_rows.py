"""`batch_rows` of a run holds for every batch: of sources, behind exchanges, and of operators."""

from __future__ import annotations

import pyarrow as pa
import pytest

import flowjob as fj
from flowjob.connectors.collect import collect, decode_report

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("scratch")]


class Sizes(fj.Schema):
    rows: int
    before: int


def measured(batch: pa.RecordBatch) -> dict[str, list[int]]:
    """The size of the batch that each row came in, beside that of an earlier measurement."""
    before = batch.column("rows").to_pylist() if "rows" in batch.schema.names else [0] * len(batch)
    return {"rows": [len(batch)] * len(batch), "before": before}


def test_no_batch_has_more_rows_than_the_run_allows() -> None:
    job, seen = fj.Job("sizes"), []
    rows = job.read(fj.collection(pa.table({"n": range(100)})))
    source = rows.map_batches(measured, returns=Sizes)
    behind = source.key_by("rows").agg(before=fj.max("rows"), n=fj.count()).select("rows", "before")
    job.write(source.rebalance().map_batches(measured, returns=Sizes), collect(title="sizes"))
    job.write(behind, collect(title="operator"))
    job.run(
        parallelism=2,
        run={"batch_rows": 7},
        on_report=lambda sink, message: seen.append(decode_report(message).columns),
    )
    sizes = [
        value for batch in seen for name in batch.schema.names for value in batch[name].to_pylist()
    ]
    assert max(sizes) == 7
    assert max(len(batch) for batch in seen) <= 7
