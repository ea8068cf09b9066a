"""What a program must not say is refused where it says it, before anything starts."""

from __future__ import annotations

from datetime import timedelta

import pytest

import flowjob as fj
from flowjob.plan import compile_job
from tests.plan.jobs.rows import Flight, flights

HOUR = timedelta(hours=1)


class Middle(fj.Aggregate[float, list[float], float]):
    """It cannot be merged."""

    def create(self) -> list[float]:
        return []

    def add(self, acc: list[float], value: float) -> list[float]:
        return [*acc, value]

    def result(self, acc: list[float]) -> float:
        return acc[len(acc) // 2]


def refused(kind: type[fj.PlanError], *words: str) -> pytest.RaisesExc[fj.PlanError]:
    return pytest.raises(kind, match="(?s)" + ".*".join(words))


def test_a_column_that_is_not_there_names_the_nearest_all_columns_and_the_line() -> None:
    with refused(fj.UnknownColumn, "`orgin`", "`origin`", "carrier", r"test_refusals.py:\d+"):
        flights(fj.Job("j")).key_by("orgin")


def test_a_window_without_event_time_names_the_source_and_its_line() -> None:
    stream = fj.Job("j").read(fj.collection([], Flight))
    with refused(fj.MissingEventTime, "collection", r"test_refusals.py:\d+", "event_time="):
        stream.key_by("origin").window(fj.tumbling(HOUR))


def test_aggregating_without_a_key_says_to_key_first() -> None:
    with refused(fj.PlanError, "key_by"):
        flights(fj.Job("j")).agg(n=fj.count())


def test_a_session_needs_aggregates_that_merge() -> None:
    window = flights(fj.Job("j")).key_by("origin").window(fj.session(gap=HOUR))
    with refused(fj.PlanError, "`middle`", "has no merge", "merge"):
        window.agg(middle=Middle("delay"))


def test_two_operators_with_indistinguishable_state_must_be_named() -> None:
    job = fj.Job("j")
    stream = flights(job)
    for late in (True, False):
        kept = stream.filter((fj.col("delay") > 0) == late)
        job.write(kept.key_by("origin").agg(n=fj.count()), fj.discard())
    with refused(fj.AmbiguousState, "aggregate", "named"):
        compile_job(job)


def test_event_time_that_is_assigned_twice_alike_must_be_named() -> None:
    job = fj.Job("j")
    stream = flights(job)
    for delay in (timedelta(0), HOUR):
        job.write(stream.with_event_time("scheduled", max_delay=delay), fj.discard())
    with refused(fj.AmbiguousState, r"event_time\(scheduled\)", "named"):
        compile_job(job)


def test_two_operators_of_one_name_are_refused() -> None:
    job = fj.Job("j")
    first, second = flights(job).named("in"), flights(job).named("in")
    job.write(first.union(second), fj.discard())
    with refused(fj.AmbiguousState, "`in`", "each its own"):
        compile_job(job)


def test_an_append_only_sink_behind_a_changelog_is_refused(tmp_path: object) -> None:
    job = fj.Job("j")
    changes = flights(job).key_by("origin").agg(n=fj.count()).changelog()
    with refused(fj.UnsupportedChangelog, "retract", "append", "changelog"):
        job.write(changes, fj.files.jsonl(f"{tmp_path}/out"))


def test_an_operator_that_takes_only_inserts_refuses_a_changelog() -> None:
    changes = flights(fj.Job("j")).key_by("origin").agg(n=fj.count()).changelog()
    with refused(fj.UnsupportedChangelog, "a window", "retract"):
        changes.window(fj.global_window())


def test_a_union_of_different_rows_is_refused() -> None:
    job = fj.Job("j")
    with refused(fj.TypeMismatch, "one type"):
        flights(job).union(flights(job).select("origin"))


def test_parallelism_above_the_number_of_key_groups_is_refused() -> None:
    job = fj.Job("j", max_parallelism=4)
    job.write(flights(job).key_by("origin").agg(n=fj.count()), fj.discard())
    with refused(fj.PlanError, "parallelism 5", "max_parallelism 4"):
        compile_job(job, parallelism=5)


def test_a_job_without_a_sink_says_how_to_add_one() -> None:
    job = fj.Job("j")
    flights(job)
    with refused(fj.PlanError, "writes nothing", "print_"):
        compile_job(job)


def test_columns_of_an_object_stream_say_how_to_declare_them() -> None:
    objects = flights(fj.Job("j")).map(lambda f: f.origin)
    with refused(fj.PlanError, "plain Python objects", "returns="):
        objects.select("origin")


def test_streams_keyed_by_different_types_cannot_be_connected() -> None:
    job = fj.Job("j")
    with refused(fj.PlanError, "same types", "string", "double"):
        flights(job).key_by("origin").connect(flights(job).key_by("delay"))
