"""Snapshots as data in a bucket: made, read and corrected there by the public functions."""

from __future__ import annotations

import pyarrow as pa
import pytest

import flowjob as fj
from tests.s3_servers import BUCKET, moto


class Payment(fj.Schema):
    account: str
    amount: float


class Last(fj.KeyedProcess[Payment, str]):
    last = fj.value_state(float, default=0.0)

    def on_row(self, row: Payment, ctx: fj.Context) -> None:
        self.last.value = row.amount


def job() -> fj.Job:
    made = fj.Job("payments")
    rows = made.read(fj.from_rows([Payment("a", 1.0)], Payment))
    made.write(rows.key_by("account").process(Last()).named("last"), fj.discard())
    return made


def test_a_snapshot_is_made_read_and_corrected_in_a_bucket() -> None:
    table = pa.table(
        {"account": [f"a{i}" for i in range(500)], "value": [1.0 * i for i in range(500)]}
    )
    with moto() as server:
        place = f"s3://{BUCKET}/payments/savepoints"
        made = fj.new_snapshot(job()).with_state("last", "last", table)
        fj.write_snapshot(f"{place}/start", made, endpoint=server.endpoint)
        read = fj.read_snapshot(f"{place}/start", endpoint=server.endpoint)
        rows = read.operator("last").state("last").to_arrow()
        assert sorted(rows["value"].to_pylist()) == table["value"].to_pylist()
        fixed = read.replacing("last", "last", rows.slice(0, 3))
        fj.write_snapshot(f"{place}/fixed", fixed, endpoint=server.endpoint)
        again = fj.read_snapshot(f"{place}/fixed/manifest.json", endpoint=server.endpoint)
        assert again.operator("last").state("last").to_arrow() == rows.slice(0, 3)
        with pytest.raises(fj.SnapshotError, match="there is a snapshot in s3://"):
            fj.write_snapshot(f"{place}/fixed", made, endpoint=server.endpoint)
        with pytest.raises(fj.SnapshotError, match="there is no snapshot in s3://"):
            fj.read_snapshot(f"{place}/other", endpoint=server.endpoint)
