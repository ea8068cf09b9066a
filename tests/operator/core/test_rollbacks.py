"""An upgrade that does not become stable: when it is rolled back, to what, with which state; when a person decides."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flowjob.cluster.control_api import Checkpointing, JobManagerView
from flowjob_operator.core.reconcile import reconcile
from flowjob_operator.resources.flowjob_status import FlowJobStatus, Phase, Revisions
from tests.operator.core.test_crashes import lose_job_manager
from tests.operator.core.world import UID, World, a_spec

GATE = {"enabled": True, "checkpoints": 3, "deadline": "30s"}


def stable(**changes: Any) -> World:
    world = World(a_spec(upgrade__rollback=GATE, **changes)).settle(25)
    assert world.status.revisions is not None
    assert world.status.revisions.stable == 1
    world.crashing.add("flowjob:bad")
    return world


def image(world: World) -> str | None:
    assert world.status.revisions is not None
    return world.saved[world.status.revisions.current or 0].revision.spec.image


def test_a_revision_is_stable_after_so_many_checkpoints_without_a_restart() -> None:
    world = stable()
    world.edit(image="flowjob:2")
    world.settle(5)
    while world.status.phase is not Phase.RUNNING:
        world.settle(1)
    assert world.status.revisions is not None
    assert world.status.revisions.stable == 1
    world.settle(10)
    assert world.status.revisions.stable == 2
    assert world.told("Stable")


def test_a_restart_begins_the_count_anew() -> None:
    world = stable()
    world.edit(image="flowjob:2")
    world.settle(13)
    process = world.processes["flights-jm-2-0"]
    process.restarts += 1
    process.completed = 40
    world.settle(1)
    assert world.status.revisions is not None
    assert world.status.revisions.stable == 1
    world.settle(5)
    assert world.status.revisions.stable == 2


def test_a_revision_that_crashes_is_rolled_back_with_its_newest_state() -> None:
    world = stable()
    world.edit(image="flowjob:bad")
    world.settle(100)
    assert world.status.phase is Phase.RUNNING
    assert image(world) == "flowjob:1"
    assert world.condition("Stalled") == ("True", "RolledBack")
    assert "savepoints/upgrade-" in (world.begun[-1][1] or "")
    assert world.status.revisions is not None
    assert world.status.revisions.failed is not None


def test_what_was_rolled_back_is_not_tried_again_until_the_spec_asks_for_something_else() -> None:
    world = stable()
    world.edit(image="flowjob:bad")
    world.settle(100)
    starts = len(world.begun)
    world.edit(upgrade__mode="LastState")
    world.settle(30)
    assert len(world.begun) == starts
    world.edit(image="flowjob:3")
    world.settle(60)
    assert image(world) == "flowjob:3"
    assert world.status.phase is Phase.RUNNING


def test_a_job_that_fails_for_good_is_rolled_back_at_once() -> None:
    world = stable(upgrade__preflight="Skip")
    world.edit(image="flowjob:2")
    world.settle(10)
    process = world.processes["flights-jm-2-0"]
    process.doing, process.error = "Failed", "the snapshot does not fit the program"
    world.settle(25)
    assert image(world) == "flowjob:1"
    assert world.status.phase is Phase.RUNNING
    assert "does not fit" in world.told("RollingBack")[0]


def test_a_rollback_that_is_refused_stops_the_job_and_keeps_its_state() -> None:
    world = stable()
    world.edit(image="flowjob:bad")
    world.settle(25)
    assert image(world) == "flowjob:bad"
    world.preflight_problems["flowjob:1"] = "state `seen` has another type now"
    world.settle(60)
    assert world.status.phase is Phase.FAILED
    assert world.condition("Stalled") == ("True", "RollbackWouldRepeat")
    assert "another type" in (world.status.diagnosis or "")
    assert not [name for name in world.pods if "-tm-" in name]
    assert world.log
    world.edit(image="flowjob:4")
    world.settle(60)
    assert world.status.phase is Phase.RUNNING
    assert image(world) == "flowjob:4"


def test_a_new_spec_wins_over_a_rollback() -> None:
    world = stable()
    world.edit(image="flowjob:bad")
    while world.status.phase is not Phase.ROLLING_BACK:
        world.settle(1)
    world.edit(image="flowjob:5")
    world.settle(60)
    assert image(world) == "flowjob:5"
    assert world.status.phase is Phase.RUNNING


def test_without_being_enabled_nothing_is_rolled_back() -> None:
    world = World(a_spec()).settle(25)
    world.crashing.add("flowjob:bad")
    world.edit(image="flowjob:bad")
    world.settle(100)
    assert image(world) == "flowjob:bad"
    assert world.condition("Degraded") == ("True", "CrashLoop")


def test_a_restore_is_never_rolled_back() -> None:
    world = stable()
    world.edit(
        image="flowjob:bad", job__restoreFrom={"path": "s3://bucket/old"}, job__restoreNonce=1
    )
    world.settle(120)
    assert image(world) == "flowjob:bad"


def test_suspending_wins_over_a_rollback_and_none_goes_to_a_suspended_spec() -> None:
    world = stable()
    world.edit(image="flowjob:bad")
    world.settle(20)
    world.edit(job__state="Suspended")
    world.settle(60)
    assert world.status.phase is Phase.SUSPENDED


def test_rescaling_alone_is_not_rolled_back() -> None:
    world = stable()
    world.edit(job__parallelism=3)
    world.settle(8)
    for _ in range(6):
        world.processes["flights-jm-1-0"].completed = 0
        world.settle(10)
    assert world.status.parallelism == 3


def test_without_checkpoints_a_minute_without_a_restart_is_stable() -> None:
    world = World(a_spec(checkpoints__interval="Off", upgrade__rollback=GATE)).settle(40)
    assert world.status.revisions is not None
    assert world.status.revisions.stable is None
    world.settle(40)
    assert world.status.revisions.stable == 1


def test_a_move_is_never_rolled_back_as_the_state_lies_elsewhere_now() -> None:
    world = stable()
    world.edit(image="flowjob:bad", checkpoints__storage="s3://elsewhere/flights")
    world.settle(150)
    assert image(world) == "flowjob:bad"
    assert not world.told("RollingBack")
    assert world.condition("Ready")[0] == "False"


# -- a JobManager that restarts


def test_a_jobmanager_that_restarts_counts_from_nothing_and_its_revision_is_not_rolled_back() -> (
    None
):
    world = stable()
    world.edit(image="flowjob:2")
    world.settle(13)
    process = world.processes["flights-jm-2-0"]
    process.restarts, process.completed = 1, 40
    world.settle(1)
    lose_job_manager(world)
    world.settle(60)
    assert image(world) == "flowjob:2"
    assert not world.told("RollingBack")
    assert world.status.revisions is not None
    assert world.status.revisions.stable == 2


def judged(baseline: tuple[int | None, int | None], *views: dict[str, Any]) -> Revisions:
    """Of a revision that is still to be judged, with three checkpoints; a pass for each view."""
    world = stable()
    seen = world.observe()
    assert seen.job.status.revisions is not None
    known = {"stable": None, "baseline_checkpoints": baseline[0], "baseline_restarts": baseline[1]}
    found = seen.job.status.revisions.model_copy(update=known)
    for view in views:
        status = seen.job.status.model_copy(update={"revisions": found})
        job = seen.job.model_copy(update={"status": FlowJobStatus.of(status.wire())})
        said = {"state": "Running", **view}
        completed = said.pop("completed", 0)
        answer = JobManagerView(
            uid=UID, revision=1, checkpoints=Checkpointing(completed=completed), **said
        )
        outcome = reconcile(dataclasses.replace(seen, job=job, jobmanager=answer))
        assert outcome.status.revisions is not None
        found = outcome.status.revisions
    return found


def test_what_a_restarted_jobmanager_has_completed_before_it_is_seen_counts_for_nothing() -> None:
    found = judged((40, 2), {"completed": 5, "restarts": 0})
    assert (found.stable, found.baseline_checkpoints, found.baseline_restarts) == (None, 5, 0)
    assert judged((40, 2), {"completed": 5}, {"completed": 7}).stable is None
    assert judged((40, 2), {"completed": 5}, {"completed": 8}).stable == 1


def test_crashes_are_still_seen_when_the_jobmanager_has_restarted() -> None:
    lives = {"completed": 1, "restarts": 0}, {"completed": 3, "restarts": 1}
    assert judged((2, 2), *lives).baseline_checkpoints == 3
    assert judged((2, 2), *lives, {"completed": 5, "restarts": 1}).stable is None
    assert judged((2, 2), *lives, {"completed": 6, "restarts": 1}).stable == 1


def test_a_jobmanager_that_does_not_lead_for_a_moment_counts_nothing_twice() -> None:
    moment = {"state": "Waiting", "completed": 0, "restarts": 0}
    assert judged((40, 2), moment, {"completed": 41, "restarts": 2}).stable is None
    assert judged((40, 2), moment, {"completed": 43, "restarts": 2}).stable == 1


def test_what_was_completed_before_a_change_in_place_is_not_counted_when_it_is_seen_later() -> None:
    assert judged((None, None), {"completed": 40}).stable is None
    assert judged((None, None), {"completed": 40}, {"completed": 43}).stable == 1


# -- what is edited behind a rollback


def rolled_back(**changes: Any) -> World:
    """image:bad has failed, image:1 runs; the spec says image:bad still."""
    world = stable(**changes)
    world.edit(image="flowjob:bad")
    world.settle(100)
    assert image(world) == "flowjob:1"
    assert world.status.phase is Phase.RUNNING
    return world


def test_an_autoscaler_scales_what_runs_and_what_was_rolled_back_stays_refused() -> None:
    world = rolled_back()
    starts = list(world.begun)
    for width in (4, 3):
        world.edit(job__parallelism=width)
        world.settle(60)
        assert image(world) == "flowjob:1"
        assert world.status.parallelism == width
        assert world.condition("Stalled") == ("True", "RolledBack")
    assert world.begun == starts, "in place"
    assert world.status.operation is None
    world.edit(image="flowjob:3")
    world.settle(60)
    assert image(world) == "flowjob:3"
    assert world.status.parallelism == 3
    assert world.status.refused is None


def test_a_width_for_what_was_rolled_back_and_does_not_run_starts_the_stable_spec_at_it() -> None:
    world = rolled_back()
    world.capacity = 1
    for name in [n for n in world.pods if "-tm-" in n]:
        world._kill(name)
    world.settle(10)
    rollbacks = world.told("RollingBack")
    world.edit(job__parallelism=1)
    world.settle(90)
    assert image(world) == "flowjob:1"
    assert world.status.parallelism == 1
    assert world.told("RollingBack") == rollbacks, "nothing failed again"
    assert world.condition("Stalled") == ("True", "RolledBack")


def test_what_was_rolled_back_stays_refused_when_other_fields_are_edited_or_it_is_suspended() -> (
    None
):
    world = rolled_back()
    world.edit(upgrade__mode="LastState")
    world.settle(10)
    assert world.condition("Stalled") == ("True", "RolledBack")
    world.edit(job__state="Suspended")
    world.settle(20)
    assert world.status.phase is Phase.SUSPENDED
    world.edit(job__state="Running")
    world.settle(40)
    assert image(world) == "flowjob:1"
    assert world.condition("Stalled") == ("True", "RolledBack")


def test_a_restart_nonce_has_what_was_rolled_back_tried_once_more() -> None:
    world = rolled_back()
    world.crashing.clear()
    world.edit(job__restartNonce=1)
    world.settle(60)
    assert image(world) == "flowjob:bad"
    assert world.status.refused is None


def test_an_autoscaler_does_not_call_a_rollback_off() -> None:
    world = stable()
    world.edit(image="flowjob:bad")
    while world.status.phase is not Phase.ROLLING_BACK:
        world.settle(1)
    world.edit(job__parallelism=4)
    world.settle(80)
    assert image(world) == "flowjob:1"
    assert world.status.parallelism == 4


@pytest.mark.parametrize("fails_for_good", [False, True])
def test_a_rollback_whose_stable_spec_fails_too_is_made_once(fails_for_good: bool) -> None:
    world = stable()
    world.crashing.add("flowjob:1")
    world.edit(image="flowjob:bad")
    world.settle(100)
    assert image(world) == "flowjob:1"
    assert world.condition("Degraded") == ("True", "CrashLoop")
    if fails_for_good:
        (process,) = world.processes.values()
        process.doing, process.error = "Failed", "too many restarts"
    world.settle(200)
    assert len(world.told("RollingBack")) == 1
    assert image(world) == "flowjob:1"
    if fails_for_good:
        assert world.status.phase is Phase.FAILED
    assert world.condition("Stalled")[0] == "True"
    world.edit(image="flowjob:3")
    world.settle(60)
    assert image(world) == "flowjob:3"
    assert world.status.phase is Phase.RUNNING
