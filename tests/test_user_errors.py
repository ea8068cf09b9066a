"""What newcomers get wrong is refused where they wrote it, and the message says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import flowjob as fj
from flowjob.entrypoint import load, locate

HOUR = timedelta(hours=1)


class Flight(fj.Schema):
    origin: str
    carrier: str
    scheduled: datetime
    delay: float | None


class Slug(fj.Schema):
    slug: str


def one_slug(flight: Flight) -> Slug:
    return Slug(flight.origin)


class Yields(fj.KeyedProcess[Flight, Slug]):
    def on_row(self, row: Flight, ctx: fj.Context) -> Iterator[Slug]:  # type: ignore[override]
        yield Slug(row.origin)


def flights(job: fj.Job | None = None) -> Any:
    """Any, because each call below is what a type checker would refuse too."""
    return (job or fj.Job("j")).read(fj.collection([], Flight, event_time="scheduled"))


def keyed() -> Any:
    return flights().key_by("origin")


def hourly() -> Any:
    return keyed().window(fj.tumbling(HOUR))


def written(stream_of: Callable[[fj.Job], Any], sink: Any) -> None:
    job = fj.Job("j")
    job.write(stream_of(job), sink)


def windowed_of(job: fj.Job) -> Any:
    return flights(job).key_by("origin").window(fj.tumbling(HOUR))


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "a wrong column": (lambda: keyed().agg(m=fj.mean("dely")), "`dely`.*`delay`.*carrier"),
    "a list of columns": (
        lambda: flights().select(["origin", "delay"]),
        re.escape('select("origin", "delay")'),
    ),
    "a column name as a value": (
        lambda: flights().with_columns(x="origin"),
        r'x=fj.col\("origin"\).*x=fj.lit\("origin"\)',
    ),
    "an unnamed expression": (lambda: flights().select(fj.col("delay") * 2), "no name.*alias"),
    "no column at all": (lambda: flights().select(), "at least one column"),
    "two columns of one name": (
        lambda: flights().rename(origin="delay"),
        "two columns `delay`.*drop",
    ),
    "a column as an attribute": (lambda: flights().delay, re.escape('fj.col("delay")')),
    "a method by another name": (lambda: flights().group_by("origin"), "`key_by`"),
    "a misspelled method": (lambda: flights().fliter(True), "`fliter`.*`filter`"),
    "a method without its call": (
        lambda: flights().with_columns(h=fj.col("scheduled").dt.hour),
        r"`hour` is a function.*`\.hour\(\)`",
    ),
    "a when without then": (
        lambda: flights().with_columns(h=fj.when(fj.col("delay") > 1)),
        r"\.then\(",
    ),
    "and for &": (
        lambda: flights().filter(fj.col("delay") > 1 and fj.col("delay") < 3),
        "Write & |",
    ),
    "a filter by a number": (lambda: flights().filter(fj.col("delay")), "boolean.*double.*> 0"),
    "a filter by text": (lambda: flights().filter("delay > 3"), re.escape('`fj.col("x") > 0`')),
    "types that do not meet": (
        lambda: flights().filter(fj.col("origin") > 3),
        r"`origin` is string, `3` is int64.*cast",
    ),
    "a mean of text": (lambda: keyed().agg(m=fj.mean("carrier")), "`m`: mean.*numbers.*string"),
    "an aggregate without a name": (lambda: keyed().agg(fj.count()), r"agg\(name=count\(\)\)"),
    "an aggregate that is not called": (lambda: keyed().agg(n=fj.count), r"n=fj\.count\("),
    "an aggregate of an aggregate": (
        lambda: keyed().agg(m=fj.sum(fj.mean("delay"))),  # type: ignore[arg-type]
        "do not nest",
    ),
    "a column name as an aggregate": (lambda: keyed().agg(m="delay"), r"fj\.sum"),
    "agg without a key": (lambda: flights().agg(n=fj.count()), r'\.key_by\("origin"\)\.agg'),
    "map after key_by": (lambda: keyed().map(one_slug), r"before the key: `stream\.map"),
    "a count of a window": (lambda: hourly().count(), r"\.agg\(name=fj\.count\(\)"),
    "a window by a duration": (lambda: keyed().window(HOUR), r"fj\.tumbling\(timedelta"),
    "a window in seconds": (lambda: fj.tumbling(3600), "timedelta.*3600"),  # type: ignore[arg-type]
    "lateness in seconds": (
        lambda: keyed().window(fj.tumbling(HOUR), allowed_lateness=60),
        "allowed_lateness takes a timedelta",
    ),
    "a trigger that is not called": (
        lambda: keyed().window(fj.tumbling(HOUR), trigger=fj.early),
        r"fj\.early\(every=",
    ),
    "a global window without a trigger": (
        lambda: keyed().window(fj.global_window()),
        r"never ends.*trigger=fj\.triggers\.count",
    ),
    "late rows of no window": (lambda: flights().late, r"`late`.*window"),
    "bad rows that are not diverted": (lambda: flights().bad_rows, 'on_bad_row="divert"'),
    "a delay in seconds": (
        lambda: fj.collection([], Flight, event_time="scheduled", max_delay=30),  # type: ignore[arg-type]
        "max_delay takes a timedelta",
    ),
    "event time in text": (
        lambda: fj.collection([], Flight, event_time="origin"),
        "`origin` is string.*datetime",
    ),
    "a lambda and then columns": (
        lambda: flights().map(lambda f: f).select("origin"),
        "plain Python objects.*returns=YourSchema",
    ),
    "a key function without a type": (lambda: flights().key_by(lambda f: f.origin), "returns=str"),
    "a row as a type": (lambda: flights().map(one_slug, returns=Slug("a")), "returns=Slug"),
    "a name as a type": (lambda: flights().map(one_slug, returns="Slug"), "without quotes"),
    "a dict as a type": (lambda: flights().map(one_slug, returns={"slug": str}), r"fj\.Schema"),
    "a result for a function": (lambda: flights().map(Slug("a")), "without calling it"),
    "an expression for a function": (lambda: flights().map(fj.col("delay")), "with_columns"),
    "one row for many": (lambda: flights().flat_map(one_slug), r"-> Iterable\[Slug\].*use map"),
    "batches without columns": (
        lambda: flights().map_batches(lambda b: b, returns=int),
        "Schema class",
    ),
    "a callback that yields": (lambda: keyed().process(Yields()), r"yield.*ctx\.emit"),
    "a class for a function": (lambda: keyed().process(Yields), r"`Yields\(\)`"),
    "no stream to union": (lambda: flights().union(keyed()), "before key_by"),
    "no stream to connect": (lambda: flights().connect("rules"), "takes a stream"),
    "a path to read": (lambda: fj.Job("j").read("data/*.csv"), r"fj\.files\.csv\("),  # type: ignore[arg-type]
    "a sink to read": (lambda: fj.Job("j").read(fj.files.csv("data")), "YourSchema"),  # type: ignore[arg-type]
    "a path to write": (lambda: written(flights, "out"), r"fj\.files\.jsonl\("),
    "a source to write": (
        lambda: written(flights, fj.files.csv("x", Flight)),
        "leave the row type out",
    ),
    "a window to write": (lambda: written(windowed_of, fj.discard()), r"before `\.agg"),
    "a stream of another job": (lambda: written(lambda _: flights(), fj.discard()), "another job"),
    "sink and stream swapped": (
        lambda: fj.Job("j").write(fj.discard(), flights()),
        r"job\.write\(stream, sink\)",
    ),
    "an unknown option of files": (
        lambda: fj.files.csv("x", Flight, evnt_time="scheduled"),  # type: ignore[call-overload]
        "`event_time`",
    ),
    "csv without a row type": (lambda: fj.files.csv("x", None), "give a Schema class"),  # type: ignore[call-overload]
    "numbers as rows": (lambda: fj.collection([1, 2], Flight), "row 0 is 1.*dicts"),
    "a misspelled name": (lambda: fj.tumblng, "`tumbling`"),  # type: ignore[attr-defined]
    "parallelism as text": (lambda: flights().parallelism("4"), "whole number"),
    "an unknown option of run": (
        lambda: fj.Job("j").run(paralelism=2),
        "no option `paralelism`.*parallelism",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_what_to_write_instead(mistake: str) -> None:
    make, words = MISTAKES[mistake]
    with pytest.raises((fj.PlanError, TypeError, AttributeError)) as refused:
        make()
    assert re.search(words, str(refused.value), re.DOTALL)
    if isinstance(refused.value, fj.PlanError):
        assert re.search(r"at .*test_user_errors\.py:\d+$", str(refused.value))


def test_streams_still_answer_whether_they_have_a_method() -> None:
    assert hasattr(flights(), "map")
    assert not hasattr(keyed(), "map")
    assert not hasattr(hourly(), "_repr_html_")


def built(directory: Path, text: str) -> Any:
    (directory / "jobs_of_a_newcomer.py").write_text(text)
    return load(locate("jobs_of_a_newcomer.py", {}, directory))


def test_an_error_without_a_line_gets_the_one_of_the_script(tmp_path: Path) -> None:
    text = 'import flowjob as fj\nname = "a/b"\nfj.files.csv("gs://bucket/x")\n'
    with pytest.raises(fj.PlanError, match=r"jobs_of_a_newcomer\.py:3$"):
        built(tmp_path, text)


def test_an_import_that_fails_shows_only_lines_of_the_script(tmp_path: Path) -> None:
    with pytest.raises(fj.PlanError, match="jobs_of_a_newcomer") as refused:
        built(tmp_path, "import flowjob\nimport no_such_library\n")
    assert "importlib" not in str(refused.value)
    assert "line 2" in str(refused.value)


def test_a_file_that_is_no_script_is_not_taken_for_a_module(tmp_path: Path) -> None:
    (tmp_path / "flights.csv").write_text("a\n")
    with pytest.raises(fj.PlanError, match="no Python script"):
        locate("flights.csv", {}, tmp_path)


def ran(make: Callable[[Any], Any]) -> None:
    row = Flight("JFK", "AA", datetime(2013, 1, 1), 5.0)
    job = fj.Job("j")
    job.write(make(job.read(fj.collection([row]))), fj.discard())
    job.run()


def test_a_value_that_cannot_be_computed_shows_the_expression_and_no_code_of_ours() -> None:
    with pytest.raises(fj.UserCodeFailed, match="divide by zero") as failed:
        ran(lambda f: f.select(x=1 // (fj.col("delay").cast(int) - 5)))
    assert failed.value.user_traceback.startswith("`1 // (")


def test_state_used_as_its_value_says_to_write_value() -> None:
    class Counts(fj.KeyedProcess[Flight, Slug]):
        n = fj.value_state(int, default=0)

        def on_row(self, row: Flight, ctx: fj.Context) -> None:
            if self.n:  # always true, were it allowed
                ctx.emit(Slug(row.origin))

    with pytest.raises(fj.UserCodeFailed, match=r"write `self\.n\.value`"):
        ran(lambda f: f.key_by("origin").process(Counts()))


def test_a_row_that_is_returned_and_not_emitted_is_not_lost_silently() -> None:
    class Returns(fj.Process[Flight, Slug]):
        def on_row(self, row: Flight, ctx: fj.Context) -> None:
            return Slug(row.origin)  # type: ignore[return-value]

    with pytest.raises(fj.UserCodeFailed, match=r"`ctx\.emit\(row\)`"):
        ran(lambda f: f.process(Returns()))


def test_what_cannot_travel_is_named_with_its_operator() -> None:
    rows = (n for n in range(3))

    def numbered(flight: Flight) -> Slug:
        return Slug(f"{next(rows)}")

    with pytest.raises(fj.PlanError, match=r"`map\(numbered\)` cannot be sent.*generator.*inside"):
        ran(lambda f: f.map(numbered))


def test_a_directory_that_is_a_file_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    job = fj.Job("j")
    row = Flight("JFK", "AA", datetime(2013, 1, 1), 5.0)
    job.write(job.read(fj.collection([row])), fj.files.csv(tmp_path / "out"))
    with pytest.raises(fj.JobFailed, match="cannot write") as failed:
        job.run()
    assert "Traceback" not in str(failed.value)


def test_a_row_that_cannot_be_read_keeps_its_code(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("origin,carrier,scheduled,delay\nJFK,AA,noon,1\n")
    job = fj.Job("j")
    job.write(job.read(fj.files.csv(tmp_path / "in.csv", Flight)), fj.discard())
    with pytest.raises(fj.JobFailed, match=r"(?s)in\.csv:2.*`scheduled`.*on_bad_row") as failed:
        job.run()
    assert failed.value.code == "MALFORMED_INPUT"


def test_a_row_of_a_derived_stream_is_called_by_its_columns() -> None:
    def derived(slugs: Any) -> Any:
        return slugs.with_columns(size=fj.col("slug").str.length()).map(
            lambda row: row, returns=Slug
        )

    with pytest.raises(fj.UserCodeFailed) as failed:
        fj.testing.run(derived, [Slug("x")])
    text = str(failed.value)
    assert "declares Slug(slug: str) but returned Row(slug: str, size: int): Row(" in text
    assert "Row_" not in text
