"""reduce: the row so far per key, as rows and as a changelog."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.plan.specs import ReduceSpec
from flowjob.plan.types import KeyField
from flowjob.runtime.batch import Batch, Kind
from flowjob.runtime.operators.failures import RowFailed
from flowjob.runtime.operators.reduce import Reduce
from flowjob.schema import Schema
from tests.runtime.operators.harness import OperatorHarness, batch


class Sale(Schema):
    shop: str | None
    total: int


def add(a: Sale, b: Sale) -> Sale:
    return Sale(a.shop, a.total + b.total)


def harness_of(function: Any = add, *, changelog: bool = False) -> OperatorHarness:
    spec = ReduceSpec(
        input=Sale.stream_type(),
        output=Sale.stream_type(),
        keys=(KeyField("shop", "shop", pa.string()),),
        function=function,
        changelog=changelog,
    )
    return OperatorHarness(Reduce(spec))


def sales(*rows: tuple[str | None, int], start: int = 0) -> Batch:
    return batch(
        [{"shop": s, "total": t} for s, t in rows],
        Sale.arrow_schema(),
        timestamps=range(start, start + len(rows)),
    )


def test_reduce_gives_the_value_so_far_for_every_row_with_that_rows_timestamp() -> None:
    harness = harness_of()
    harness.feed(sales(("a", 1), ("b", 10), ("a", 2)))
    harness.feed(sales(("b", 20), (None, 5), start=3))
    assert [(r.shop, r.total) for r in harness.rows] == [
        ("a", 1),
        ("b", 10),
        ("a", 3),
        ("b", 30),
        (None, 5),
    ]
    assert harness.timestamps == [0, 1, 2, 3, 4]
    assert set(harness.kinds) == {Kind.INSERT}


def test_a_changelog_retracts_the_old_value_before_the_new_one() -> None:
    harness = harness_of(changelog=True)
    harness.feed(sales(("a", 1), ("a", 2), ("b", 7)))
    assert [(r.shop, r.total) for r in harness.rows] == [("a", 1), ("a", 1), ("a", 3), ("b", 7)]
    assert harness.kinds == [Kind.INSERT, Kind.UPDATE_BEFORE, Kind.UPDATE_AFTER, Kind.INSERT]
    assert harness.timestamps == [0, 1, 1, 2]


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(-9, 9)), max_size=40),
    st.sampled_from([1, 7, 100]),
)
@settings(max_examples=40)
def test_a_changelog_adds_up_to_a_dict_of_totals(
    rows: list[tuple[str | None, int]], size: int
) -> None:
    harness = harness_of(changelog=True)
    for start in range(0, len(rows), size):
        harness.feed(sales(*rows[start : start + size]))
    table: list[tuple[str | None, int]] = []
    for row, kind in zip(harness.rows, harness.kinds):
        if kind in (Kind.INSERT, Kind.UPDATE_AFTER):
            table.append((row.shop, row.total))
        else:
            table.remove((row.shop, row.total))
    totals: dict[str | None, int] = {}
    for shop, total in rows:
        totals[shop] = totals.get(shop, 0) + total
    assert sorted(table, key=str) == sorted(totals.items(), key=str)


def test_a_failure_names_the_row_that_was_added() -> None:
    def fragile(a: Sale, b: Sale) -> Sale:
        return Sale(a.shop, a.total // b.total)

    with pytest.raises(RowFailed) as caught:
        harness_of(fragile).feed(sales(("a", 1), ("b", 0), ("a", 0)))
    assert "fragile" in caught.value.function
    assert "shop='a', total=0" in str(caught.value.row)


def test_a_result_of_another_type_names_both() -> None:
    with pytest.raises(RowFailed) as caught:
        harness_of(lambda a, b: a.total + b.total).feed(sales(("a", 1), ("a", 2)))
    assert "declares Sale(shop: str | None, total: int) but returned int: 3" in str(
        caught.value.__cause__
    )
