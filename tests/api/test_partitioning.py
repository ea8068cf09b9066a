"""What partitioning, keys and unions mean together, through the public API."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

import flowjob as fj
from tests.plan.meaning import assert_one_meaning, outputs
from tests.plan.test_rules_keep_meaning import HOUR, Row, read, write


def test_a_key_decides_how_rows_are_spread_whatever_was_said_before() -> None:
    def program(job: fj.Job) -> None:
        rows = read(job, splits=3).broadcast()
        by_expression = rows.key_by(k=fj.col("a") % 2).window(fj.tumbling(HOUR))
        by_function = rows.key_by(lambda r: r.a, returns=int).window(fj.tumbling(HOUR))
        write(job, by_expression.agg(n=fj.count()), "by expression")
        write(job, by_function.agg(n=fj.count()), "by function")

    assert_one_meaning(program, batches=(7,))


def test_aggregate_inputs_of_a_broadcast_stream_are_computed_once() -> None:
    def program(job: fj.Job) -> None:
        rows = read(job).rebalance().map(lambda r: r, returns=Row).broadcast()
        write(job, rows.window(fj.tumbling(HOUR)).agg(n=fj.sum(fj.col("a") + 1)), "sums")

    assert_one_meaning(program, batches=(7,))


class Both(fj.KeyedCoProcess[Row, Row, object]):
    def on_first(self, row: Row, ctx: fj.Context) -> None:
        ctx.emit((1, row.a, ctx.timestamp))

    def on_second(self, row: Row, ctx: fj.Context) -> None:
        ctx.emit((2, row.a, ctx.timestamp))


def test_a_keyed_stream_is_not_broadcast_for_having_been() -> None:
    def program(job: fj.Job) -> None:
        rows = read(job)
        both = rows.key_by("a").connect(rows.broadcast().key_by("a")).process(Both())
        write(job, both, "both")

    assert assert_one_meaning(program, batches=(7,))["collect both"].total() == 80


def test_a_union_of_inserts_and_updates_is_a_changelog() -> None:
    def program(job: fj.Job) -> None:
        rows = read(job, 9)
        inserts = rows.key_by("b").agg(n=fj.count())
        updates = rows.key_by("b").agg(n=fj.count()).changelog().named("updates")
        write(job, inserts.union(updates).rebalance().filter(fj.col("n") > 0), "all")

    kinds = {kind for _, _, kind in outputs(program, parallelism=2, batch_rows=1)["collect all"]}
    assert kinds == {0, 1, 2}


def test_changelog_after_somebody_reads_the_inserts_is_refused() -> None:
    counts = read(fj.Job("j")).key_by("b").agg(n=fj.count())
    counts.filter(fj.col("n") > 1)
    with pytest.raises(fj.PlanError, match="`filter` reads it already"):
        counts.changelog()


def test_column_names_that_are_ours_are_refused_wherever_columns_are_named() -> None:
    job = fj.Job("j")
    table = fj.collection([{"__index": 1, "b": 2}])
    with pytest.raises(fj.PlanError, match="`__index`"):
        job.read(table)
    with pytest.raises(fj.PlanError, match="`__a`"):
        read(job).rename(a="__a")


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a"], pa.string_view()),
        pa.array([["a"]], pa.list_(pa.string_view())),
        pa.array([7]).dictionary_encode(),
        pa.array([[1]], pa.list_view(pa.int64())),
        pa.array([pa.MonthDayNano([1, 2, 3])]),
        pa.RunEndEncodedArray.from_arrays([1], ["a"]),
    ],
    ids=lambda array: str(array.type),
)
def test_columns_that_arrow_cannot_gather_are_refused_where_they_enter(array: pa.Array) -> None:
    with pytest.raises(fj.TypeMismatch, match=r"column `x` .* cast it to"):
        fj.Job("j").read(fj.collection(pa.table({"x": array})))


def test_two_sinks_that_cannot_be_told_apart_need_names() -> None:
    job = fj.Job("j")
    rows = read(job)
    job.write(rows, fj.files.jsonl("out"))
    job.write(rows.filter(fj.col("a") > 1), fj.files.jsonl("out"))
    with pytest.raises(fj.AmbiguousState, match=r'job.write\(stream, sink, name="…"\)'):
        job.explain()
    job = fj.Job("j")
    rows = read(job)
    job.write(rows, fj.files.jsonl("out"), name="all")
    job.write(rows.filter(fj.col("a") > 1), fj.files.jsonl("out"))
    job.write(rows, fj.print_())
    job.write(rows, fj.print_())
    assert "state `all`" in job.explain()


class Echo(fj.BroadcastProcess[Row, Row, Row]):
    """Gives what it gets, on both sides."""

    def on_row(self, row: Row, ctx: fj.Context) -> None:
        ctx.emit(row)

    def on_broadcast(self, rule: Row, ctx: fj.Context) -> None:
        assert ctx.timestamp is None
        ctx.emit(rule)


def test_rows_of_a_stream_without_event_time_get_some_beside_one_that_has_it() -> None:
    def program(job: fj.Job) -> None:
        rules = read(job, 2, 3, timed=False)
        echoed = read(job).connect(rules.broadcast()).process(Echo())
        write(job, echoed.rebalance().filter(fj.col("a") >= 0), "rows")

    given = outputs(program, parallelism=2)["collect rows"]
    assert given.total() == 40 + 2 * 2
    assert all(time is not None for _, time, _ in given)


def test_a_connection_has_no_event_time_unless_both_sides_do() -> None:
    def program(job: fj.Job) -> None:
        untimed = read(job, 9, 3, timed=False)
        write(job, read(job).key_by("a").connect(untimed.key_by("a")).process(Both()), "both")

    given = assert_one_meaning(program, batches=(7,))["collect both"]
    assert {time for _, time, _ in given} == {None}
    assert sum("datetime" in row for row, _, _ in given) == 40  # the first side still sees its time


def test_a_union_has_no_event_time_unless_all_inputs_do() -> None:
    def program(job: fj.Job) -> None:
        write(job, read(job).union(read(job, 9, 3, timed=False)), "rows")

    assert {time for _, time, _ in assert_one_meaning(program)["collect rows"]} == {None}


def test_rows_that_a_source_could_not_read_have_no_event_time() -> None:
    source = fj.files.csv("none.csv", Row, event_time="at", on_bad_row="divert")
    with pytest.raises(fj.MissingEventTime):
        fj.Job("j").read(source).bad_rows.window(fj.tumbling(timedelta(hours=1)))
