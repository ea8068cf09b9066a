"""Optimiser rules change how a job runs, never what it gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import flowjob as fj
from tests.plan.meaning import assert_one_meaning, outputs
from tests.plan.random_programs import RandomProgram

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)


class Row(fj.Schema):
    a: int
    b: str
    c: float | None
    at: datetime


def read(
    job: fj.Job, n: int = 40, offset: int = 0, *, splits: int = 1, timed: bool = True
) -> fj.Stream[Row]:
    rows = [
        Row(
            (i * 7 + offset) % 5,
            "xyz"[i % 3],
            None if i % 4 == 0 else i / 2,
            START + timedelta(minutes=i * 7),
        )
        for i in range(n)
    ]
    source = fj.from_rows(rows, event_time="at" if timed else None, splits=splits)
    return job.read(source).named(f"rows from {offset}")


def write(job: fj.Job, stream: fj.Stream[Any], title: str) -> None:
    job.write(stream, fj.show(title))


def test_inputs_of_a_union_are_cut_to_the_same_columns_whoever_else_reads_them() -> None:
    def program(job: fj.Job) -> None:
        first, second = read(job), read(job, 30, 2)
        write(job, first.union(second).select("b"), "of the union")
        write(job, first.select("a", "b"), "of the first")

    counts = assert_one_meaning(program)
    assert counts["collect of the union"].total() == 70


def test_a_union_whose_rows_are_only_counted_keeps_one_column_for_all_inputs() -> None:
    def program(job: fj.Job) -> None:
        first, second = read(job), read(job, 30, 2)
        counted = first.union(second).window(fj.tumbling(HOUR)).agg(n=fj.count())
        write(job, counted, "of the union")
        write(job, first.select("b", "c"), "of the first")

    assert_one_meaning(program)


def test_a_union_at_another_parallelism_than_its_reader_ships_what_the_reader_needs() -> None:
    def program(job: fj.Job) -> None:
        first, second = read(job), read(job, 30, 2)
        few = first.union(second).filter(fj.col("a") > 1).parallelism(2)
        write(job, few.select("b"), "of the union")
        write(job, first.select("a", "c"), "of the first")

    assert_one_meaning(program)


def test_a_stream_united_with_itself_has_every_row_twice() -> None:
    def program(job: fj.Job) -> None:
        rows = read(job)
        write(job, rows.union(rows).select("b", "a"), "rows")

    assert assert_one_meaning(program)["collect rows"].total() == 80


def test_late_rows_have_all_columns() -> None:
    def program(job: fj.Job) -> None:
        source = read(job, 60).union(read(job, 5, 3))
        hourly = source.key_by(k=fj.col("a") % 3).window(fj.tumbling(HOUR))
        result = hourly.agg(n=fj.sum(fj.col("a") * 2))
        write(job, result.select("n"), "sums")
        write(job, result.late.select("c", "b"), "late")

    assert_one_meaning(program, parallelisms=(1,), batches=(7,))


def test_bad_rows_that_are_read_are_those_of_all_columns(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "a,b,c,at\n1,x,1.5,2024-01-01T00:00:00Z\nq,x,1,2024-01-01T00:00:00Z\n2,y,zz,2024-01-01T00:10:00Z\n"
    )

    def program(job: fj.Job) -> None:
        source = fj.files.csv(f"{tmp_path}/*.csv", Row, event_time="at", on_bad_row="divert")
        rows = job.read(source)
        write(job, rows.select("a"), "rows")
        write(job, rows.bad_rows.rebalance().filter(fj.col("reason") != ""), "bad")

    given = assert_one_meaning(program)
    assert (given["collect rows"].total(), given["collect bad"].total()) == (1, 2)


@pytest.mark.parametrize("seed", range(12))
def test_any_program_means_the_same_under_every_plan(seed: int) -> None:
    program = RandomProgram(seed)
    expected = outputs(program, parallelism=1, batch_rows=7, rules=False)
    for parallelism, batch_rows in ((1, 7), (3, 1000 if seed % 2 else 1)):
        given = outputs(program, parallelism=parallelism, batch_rows=batch_rows)
        assert given == expected, (parallelism, batch_rows)
