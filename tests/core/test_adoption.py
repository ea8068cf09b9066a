"""A new JobManager meets running tasks: which regions go on, which start again and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.adoption import (
    Adopt,
    RegionShape,
    Restart,
    SlotReport,
    TaskReport,
    adopt,
)
from flowjob.core.job_events import TaskId

S0, S1, K0, K1 = TaskId(0, 0), TaskId(0, 1), TaskId(1, 0), TaskId(1, 1)
ONE = RegionShape(0, frozenset((S0, S1, K0, K1)), attempt=2)


def slot(number: int, *tasks: TaskReport, digest: str = "d", generation: int = 3) -> SlotReport:
    return SlotReport(f"tm{number}", number, digest, generation, tasks)


GOOD = (
    slot(0, TaskReport(S0, 2, 8, splits=("a", "b")), TaskReport(K0, 2, 7)),
    slot(1, TaskReport(S1, 2, 9, splits=("c",)), TaskReport(K1, 2, 7, ended=True)),
)


def judge(*reports: SlotReport, region: RegionShape = ONE) -> Adopt | Restart:
    found = adopt([region], reports, digest="d", generation=4, highest=5)
    assert len(found.verdicts) == 1
    return found.verdicts[0]


def test_a_region_whose_tasks_all_report_the_same_plan_and_attempt_goes_on() -> None:
    found = adopt([ONE], GOOD, digest="d", generation=4, highest=5)
    assert found.verdicts == (
        Adopt(
            0,
            2,
            (("tm0", 0), ("tm1", 1)),
            {S0: ("a", "b"), S1: ("c",)},
            frozenset({K1}),
        ),
    )


@pytest.mark.parametrize(("logged", "next_above"), [(5, 9), (9, 9), (12, 12)])
def test_ids_go_on_above_the_log_and_every_barrier_seen(logged: int, next_above: int) -> None:
    assert adopt([ONE], GOOD, digest="d", generation=4, highest=logged).highest == next_above


def test_barriers_count_even_of_tasks_that_are_not_adopted() -> None:
    reports = [slot(0, TaskReport(S0, 1, 40), digest="other", generation=9)]
    assert adopt([ONE], reports, digest="d", generation=4, highest=5).highest == 40


def changed(task: TaskId, **changes: object) -> tuple[SlotReport, ...]:
    return tuple(
        replace(
            r,
            tasks=tuple(
                replace(t, **changes) if t.task == task else t  # type: ignore[arg-type]
                for t in r.tasks
            ),
        )
        for r in GOOD
    )


@pytest.mark.parametrize(
    ("reports", "reason"),
    [
        ((), "none of its tasks is running"),
        (GOOD[:1], "not reported: 0/1, 1/1"),
        ((GOOD[0], replace(GOOD[1], digest="x")), "another plan runs in slot 1 of tm1"),
        ((GOOD[0], replace(GOOD[1], generation=5)), "not reported: 0/1, 1/1"),
        ((*GOOD, slot(2, TaskReport(K0, 2))), "reported more than once: 1/0"),
        (changed(K1, attempt=3), "left over from an earlier attempt than 3: 0/0, 0/1, 1/0"),
        (changed(K1, attempt=1), "left over from an earlier attempt than 2: 1/1"),
        (changed(K0, running=False), "not running: 1/0"),
        (changed(S1, splits=("c", "a")), "splits with two owners: a"),
        (
            (GOOD[0], replace(GOOD[1], tasks=(*GOOD[1].tasks, TaskReport(TaskId(7, 0), 2)))),
            "slot 1 of tm1 has tasks of several regions",
        ),
    ],
)
def test_anything_else_is_started_again_with_a_reason(
    reports: tuple[SlotReport, ...], reason: str
) -> None:
    verdict = judge(*reports)
    assert isinstance(verdict, Restart)
    assert verdict.reason.startswith(reason)
    reported = [t.attempt for r in reports if r.generation <= 4 for t in r.tasks]
    assert verdict.attempt == max([2, *reported]) + 1


def test_a_region_left_behind_by_a_restart_nobody_finished_is_started_again() -> None:
    verdict = judge(*GOOD, region=replace(ONE, attempt=3))
    assert isinstance(verdict, Restart)
    assert verdict.attempt == 4


def test_regions_are_judged_on_their_own() -> None:
    left = RegionShape(0, frozenset((S0, K0)))
    right = RegionShape(1, frozenset((S1, K1)))
    found = adopt([left, right], GOOD[:1], digest="d", generation=4, highest=0)
    assert [type(v) for v in found.verdicts] == [Adopt, Restart]
    assert found.verdicts[1].attempt == 1


def test_regions_that_both_own_a_split_are_both_started_again() -> None:
    left = RegionShape(0, frozenset((S0, K0)))
    right = RegionShape(1, frozenset((S1, K1)))
    reports = changed(S1, splits=("a",))
    found = adopt([left, right], reports, digest="d", generation=4, highest=0)
    assert [type(v) for v in found.verdicts] == [Restart, Restart]
    assert "owned by another region" in str(found.verdicts[0])


tasks = st.builds(
    TaskReport,
    st.sampled_from([S0, S1, K0, K1]),
    st.integers(1, 2),
    st.integers(0, 9),
    running=st.sampled_from([True, True, True, False]),
    splits=st.sampled_from([(), ("a",), ("b",)]),
)
slots = st.builds(
    SlotReport,
    st.sampled_from(["tm0", "tm1"]),
    st.integers(0, 1),
    st.sampled_from(["d", "d", "d", "x"]),
    st.integers(3, 5),
    st.lists(tasks, max_size=4).map(tuple),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(slots, max_size=4))
def test_what_goes_on_is_whole_whatever_is_reported(reports: list[SlotReport]) -> None:
    regions = [RegionShape(0, frozenset((S0, K0))), RegionShape(1, frozenset((S1, K1)))]
    found = adopt(regions, reports, digest="d", generation=4, highest=0)
    assert len(found.verdicts) == 2
    owned: list[tuple[int, str]] = []
    for region, verdict in zip(regions, found.verdicts):
        theirs = [
            (r, t) for r in reports for t in r.tasks if r.generation <= 4 and t.task in region.tasks
        ]
        assert all(t.barrier <= found.highest for r in reports for t in r.tasks)
        if isinstance(verdict, Adopt):
            assert sorted(t.task for _, t in theirs) == sorted(region.tasks)
            assert {(r.digest, t.attempt, t.running) for r, t in theirs} == {
                ("d", verdict.attempt, True)
            }
            owned += [(t.vertex, s) for t, splits in verdict.owned.items() for s in splits]
        else:
            assert all(t.attempt < verdict.attempt for _, t in theirs)
    assert len(owned) == len(set(owned))
