"""filter by an expression: null is not true, times and kinds stay with their rows, halves of updates become whole."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.expressions import Expr, col
from flowjob.plan.specs import FilterSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch, Kind, concat
from flowjob.runtime.operators.filter import Filter
from tests.runtime.operators.harness import OperatorHarness, batch

SCHEMA = pa.schema({"a": pa.int64()})
TYPE = StreamType(SCHEMA)
INSERT, BEFORE, AFTER, D = Kind.INSERT, Kind.UPDATE_BEFORE, Kind.UPDATE_AFTER, Kind.DELETE


def filtered(predicate: Expr, *batches: Batch) -> list[Batch]:
    harness = OperatorHarness(Filter(FilterSpec(input=TYPE, output=TYPE, predicate=predicate)))
    for data in batches:
        harness.feed(data)
    return [o for o in harness.outputs if isinstance(o, Batch)]


def of(*values: int | None, kinds: list[Kind] | None = None) -> Batch:
    rows = [{"a": v} for v in values]
    return batch(rows, SCHEMA, timestamps=range(len(rows)), kinds=kinds)


def test_rows_pass_where_the_predicate_is_true_and_not_where_it_is_null() -> None:
    (out,) = filtered(col("a") > 1, of(1, 2, None, 3))
    assert out.columns.to_pylist() == [{"a": 2}, {"a": 3}]
    assert out.timestamps is not None
    assert out.timestamps.tolist() == [1, 3]


def test_a_batch_that_passes_whole_is_passed_on_as_it_is() -> None:
    whole = of(2, 3)
    assert filtered(col("a") > 1, whole)[0] is whole


def test_a_batch_of_which_nothing_passes_gives_nothing() -> None:
    assert filtered(col("a") > 9, of(2, None)) == []


def kinds_of(predicate: Expr, *batches: Batch) -> list[tuple[int, Kind]]:
    found = []
    for out in filtered(predicate, *batches):
        assert out.kinds is not None
        values = out.columns.column("a").to_pylist()
        found += list(zip(values, map(Kind, out.kinds.tolist())))
    return found


def test_an_update_that_passes_whole_stays_one() -> None:
    assert kinds_of(col("a") > 1, of(2, 3, kinds=[BEFORE, AFTER])) == [(2, BEFORE), (3, AFTER)]


def test_an_update_whose_new_row_does_not_pass_becomes_a_delete() -> None:
    assert kinds_of(col("a") < 3, of(2, 3, kinds=[BEFORE, AFTER])) == [(2, D)]


def test_an_update_whose_old_row_did_not_pass_becomes_an_insert() -> None:
    assert kinds_of(col("a") > 2, of(2, 3, kinds=[BEFORE, AFTER])) == [(3, INSERT)]


def test_an_update_cut_between_batches_becomes_delete_and_insert() -> None:
    assert kinds_of(col("a") > 1, of(2, kinds=[BEFORE]), of(3, kinds=[AFTER])) == [
        (2, D),
        (3, INSERT),
    ]


def test_inserts_and_deletes_keep_their_kind() -> None:
    assert kinds_of(col("a") > 1, of(1, 2, 3, kinds=[INSERT, INSERT, D])) == [(2, INSERT), (3, D)]


def test_an_upsert_in_the_middle_of_a_batch_stays_one() -> None:
    assert kinds_of(col("a") > 1, of(5, 2, kinds=[INSERT, AFTER])) == [(5, INSERT), (2, AFTER)]


def table(rows: list[tuple[int, Kind]]) -> Counter[int]:
    """The multiset a changelog describes; fails when it removes what is not there."""
    content: Counter[int] = Counter()
    for value, kind in rows:
        if kind in (INSERT, AFTER):
            content[value] += 1
        else:
            assert content[value] > 0
            content[value] -= 1
    return +content


@st.composite
def changelogs(draw: st.DrawFn) -> list[tuple[int, Kind]]:
    content: list[int] = []
    rows: list[tuple[int, Kind]] = []
    for _ in range(draw(st.integers(0, 12))):
        value = draw(st.integers(0, 5))
        action = draw(st.sampled_from(["insert", "update", "delete"])) if content else "insert"
        if action == "insert":
            rows.append((value, INSERT))
            content.append(value)
            continue
        old = content.pop(draw(st.integers(0, len(content) - 1)))
        if action == "delete":
            rows.append((old, D))
        else:
            rows += [(old, BEFORE), (value, AFTER)]
            content.append(value)
    return rows


@settings(max_examples=100)
@given(changelogs(), st.integers(0, 5), st.integers(1, 4))
def test_the_filtered_changelog_describes_the_filtered_table_however_it_is_cut(
    rows: list[tuple[int, Kind]], least: int, size: int
) -> None:
    pieces = [rows[i : i + size] for i in range(0, len(rows), size)]
    batches = [of(*(v for v, _ in p), kinds=[k for _, k in p]) for p in pieces]
    out = kinds_of(col("a") >= least, *batches)
    expected = {v: n for v, n in table(rows).items() if v >= least}
    assert table(out) == expected
    for (_, kind), (_, following) in zip(out, [*out[1:], (0, INSERT)]):
        assert (kind is BEFORE) <= (following is AFTER)


def test_without_changes_filtering_batches_is_filtering_their_concatenation() -> None:
    pieces = [of(1, 2), of(3, None), of(4)]
    apart = concat(filtered(col("a") % 2 == 0, *pieces))
    (whole,) = filtered(col("a") % 2 == 0, concat(pieces))
    assert apart.columns.equals(whole.columns)
