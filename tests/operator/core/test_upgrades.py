"""The decision table of docs/upgrades.md, row by row: what state a job has after a change, in every situation."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob_operator.core.revision import ALL_PARTS, Part
from flowjob_operator.resources.flowjob_status import JobState, OperationType, Phase
from flowjob_operator.resources.snapshot_facts import SnapshotType
from tests.operator.core.test_crashes import lose_job_manager, lose_task_managers
from tests.operator.core.world import World, a_spec


def running(**changes: Any) -> World:
    world = World(a_spec(**changes)).settle(20)
    assert world.status.phase is Phase.RUNNING
    return world


def begun_with(world: World) -> str | None:
    """What the newest revision that began, began with."""
    return world.begun[-1][1]


def test_a_savepoint_upgrade_stops_with_a_savepoint_and_goes_on_from_it() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.settle(30)
    assert "savepoints/upgrade-" in (begun_with(world) or "")
    assert world.status.revisions is not None
    assert world.status.revisions.current == 2


def test_objects_are_applied_no_more_often_because_pods_take_long_to_go() -> None:
    world = running()
    world.dying_takes = 20.0
    world.applied.clear()
    world.edit(image="flowjob:2")
    world.settle(60)
    assert world.status.phase is Phase.RUNNING
    assert [action.number for action in world.applied] == [2, 2]
    assert Part.JOB_MANAGER not in world.applied[0].parts, "the old one is not gone"
    assert world.applied[1].parts == ALL_PARTS


def test_what_changes_while_pods_go_is_applied_again() -> None:
    world = running()
    world.dying_takes = 20.0
    world.edit(image="flowjob:2")
    world.settle(15)
    assert world.status.operation is not None
    assert world.status.operation.step == "Deploying"
    world.applied.clear()
    del world.objects["Service", "flights-jm"]
    world.settle(2)
    assert [action.parts for action in world.applied] == [{Part.SHARED}]


def test_the_job_runs_until_pre_flight_has_accepted_the_new_revision() -> None:
    world = running()
    world.edit(image="flowjob:2")
    for _ in range(5):
        world.settle(1)
        assert world.processes["flights-jm-1-0"].doing == "Running"
        assert not world.preflights or world.status.operation is not None
    world.settle(2)
    assert world.processes["flights-jm-1-0"].doing == "Stopping"


def test_a_refused_pre_flight_leaves_the_job_alone_and_says_why() -> None:
    world = running()
    world.preflight_problems["flowjob:2"] = "ImportError: no module named flights"
    world.edit(image="flowjob:2")
    world.settle(30)
    assert world.status.phase is Phase.RUNNING
    assert world.condition("Ready") == ("True", "Running")
    assert world.condition("Stalled") == ("True", "PreflightFailed")
    assert world.condition("Progressing") == ("False", "PreflightFailed")
    assert "ImportError" in (world.status.diagnosis or "")
    assert world.status.observed_generation == 2
    assert world.begun == [(1, None)]
    assert len(world.told("PreflightFailed")) == 1


def test_any_edit_tries_again_after_a_refusal() -> None:
    world = running()
    world.preflight_problems["flowjob:2"] = "ImportError"
    world.edit(image="flowjob:2")
    world.settle(30)
    del world.preflight_problems["flowjob:2"]
    world.edit(upgrade__preflightTimeout="2m")
    world.settle(30)
    assert world.status.revisions is not None
    assert world.saved[world.status.revisions.current or 0].revision.spec.image == "flowjob:2"
    assert world.status.refused is None


def test_a_pre_flight_that_gives_no_answer_in_time_is_a_refusal() -> None:
    world = running(upgrade__preflightTimeout="20s")
    world.bad_images.add("flowjob:2")
    world.edit(image="flowjob:2")
    world.settle(80)
    assert world.condition("Progressing") == ("False", "PreflightFailed")
    assert world.processes["flights-jm-1-0"].doing == "Running"
    # Said though the pod that showed it has gone with the deadline.
    assert "image flowjob:2 cannot be pulled" in (world.status.diagnosis or "")


def test_a_first_pre_flight_that_ends_without_an_answer_is_tried_again_ever_later() -> None:
    world = World(a_spec(image="flowjob:broken"))
    world.mute_images.add("flowjob:broken")
    world.settle(600)
    assert 4 <= len(world.told("PreflightFailed")) <= 7
    world.mute_images.clear()
    world.settle(400)
    assert world.status.phase is Phase.RUNNING


def test_where_nothing_runs_a_storage_that_does_not_answer_is_tried_again_with_pauses() -> None:
    world = World(a_spec())
    world.preflight_problems["flowjob:1"] = "the bucket does not answer"
    world.preflight_code = "STORAGE"
    world.settle(120)
    assert 2 <= len(world.told("PreflightFailed")) <= 6
    world.preflight_problems.clear()
    world.settle(150)
    assert world.status.phase is Phase.RUNNING


def test_objects_that_the_api_server_refuses_are_a_refusal() -> None:
    world = running()
    world.dry_run_problems = ("pods is forbidden: exceeded quota: memory",)
    world.edit(image="flowjob:2")
    world.settle(10)
    assert world.condition("Stalled") == ("True", "ObjectsRefused")
    assert "quota" in (world.status.diagnosis or "")


def test_a_quota_that_the_job_itself_uses_up_does_not_keep_its_next_pods_from_coming() -> None:
    world = running()
    world.dry_run_problems = ("pods of StatefulSet flights-tm: forbidden: exceeded quota: memory",)
    world.edit(image="flowjob:2")
    world.settle(30)
    assert world.status.phase is Phase.RUNNING
    assert world.status.revisions is not None
    assert world.status.revisions.current == 2


def test_a_last_state_upgrade_asks_for_nothing_and_goes_on_from_the_newest_snapshot() -> None:
    world = running(upgrade__mode="LastState")
    world.edit(image="flowjob:2")
    world.settle(30)
    assert "checkpoints/" in (begun_with(world) or "")
    assert not world.savepoints


def aged(**changes: Any) -> World:
    """A last-state job whose newest snapshot is two minutes old."""
    world = running(upgrade__mode="LastState", upgrade__maxCheckpointAge="1m", **changes)
    world.checkpoints_fail = True
    return world.settle(120)


def test_a_last_state_upgrade_takes_a_savepoint_if_the_newest_snapshot_is_too_old() -> None:
    world = aged()
    world.edit(image="flowjob:2")
    world.settle(30)
    assert "savepoints/upgrade-" in (begun_with(world) or "")


def test_a_last_state_upgrade_asks_for_nothing_while_the_newest_snapshot_is_young_enough() -> None:
    world = running(upgrade__mode="LastState", upgrade__maxCheckpointAge="1m")
    world.edit(image="flowjob:2")
    world.settle(30)
    assert "checkpoints/" in (begun_with(world) or "")
    assert not world.savepoints


def test_a_young_job_without_a_snapshot_has_nothing_that_is_too_old() -> None:
    world = running(
        upgrade__mode="LastState", upgrade__maxCheckpointAge="1m", checkpoints__interval="Off"
    )
    world.edit(image="flowjob:2")
    world.settle(30)
    assert begun_with(world) is None
    assert not world.savepoints


def test_a_job_that_does_not_run_goes_on_from_what_there_is_however_old() -> None:
    world = aged()
    world.crashing.add("flowjob:1")
    world.settle(60)
    world.edit(image="flowjob:2")
    world.settle(60)
    assert "checkpoints/" in (begun_with(world) or "")
    assert not world.savepoints


def test_an_age_that_is_allowed_says_nothing_about_the_other_modes() -> None:
    world = aged()
    world.edit(image="flowjob:2", upgrade__mode="Stateless")
    world.settle(30)
    assert begun_with(world) is None
    assert not world.savepoints


def test_a_savepoint_for_the_age_that_fails_falls_back_to_the_old_snapshot() -> None:
    world = aged()
    world.savepoints_fail = True
    world.edit(image="flowjob:2")
    world.settle(60)
    assert "checkpoints/" in (begun_with(world) or "")
    assert world.told("FellBack")


def test_a_stateless_upgrade_begins_with_nothing_in_a_place_of_its_own() -> None:
    world = running(upgrade__mode="Stateless")
    world.edit(image="flowjob:2")
    world.settle(30)
    assert world.wiped
    assert begun_with(world) is None
    assert world.status.start is not None
    assert world.status.start.prefix == "from-2"
    assert world.saved[2].revision.prefix == "from-2"


def test_after_a_stateless_upgrade_others_go_on_from_what_it_has_done() -> None:
    world = running(upgrade__mode="Stateless")
    world.edit(image="flowjob:2")
    world.settle(30)
    world.edit(image="flowjob:3", upgrade__mode="LastState")
    world.settle(30)
    assert begun_with(world) is not None
    assert world.saved[3].revision.prefix == "from-2"


def restarting(**changes: Any) -> World:
    """A job that waits for TaskManagers that do not come."""
    world = running(**changes)
    world.capacity = 0
    lose_task_managers(world)
    world.settle(4)
    assert world.status.job is not None
    assert world.status.job.state in (JobState.WAITING, JobState.RESTARTING)
    return world


def test_a_job_that_does_not_run_falls_back_to_the_newest_snapshot() -> None:
    world = restarting()
    world.edit(image="flowjob:2")
    world.settle(50)
    world.capacity = 100
    lose_task_managers(world)
    world.settle(20)
    assert world.status.phase is Phase.RUNNING
    assert "checkpoints/" in (begun_with(world) or "")
    assert world.told("FellBack")


def test_with_fallback_wait_it_waits_and_is_looked_after_meanwhile() -> None:
    world = restarting(upgrade__fallback="Wait")
    world.edit(image="flowjob:2")
    world.settle(30)
    assert world.condition("Progressing") == ("True", "WaitingForSavepoint")
    world.objects.pop(("Service", "flights-jm"))
    world.settle(3)
    assert ("Service", "flights-jm") in world.objects
    world.capacity = 100
    lose_task_managers(world)
    world.settle(60)
    assert "savepoints/" in (begun_with(world) or "")


def test_fallback_can_be_allowed_while_it_waits() -> None:
    world = restarting(upgrade__fallback="Wait")
    world.edit(image="flowjob:2")
    world.settle(30)
    world.edit(upgrade__fallback="LastState")
    world.settle(40)
    world.capacity = 100
    lose_task_managers(world)
    world.settle(20)
    assert world.status.phase is Phase.RUNNING
    assert "checkpoints/" in (begun_with(world) or "")


def test_a_savepoint_that_fails_falls_back_or_is_tried_again() -> None:
    falls = running()
    falls.savepoints_fail = True
    falls.edit(image="flowjob:2")
    falls.settle(60)
    assert "checkpoints/" in (begun_with(falls) or "")
    waits = running(upgrade__fallback="Wait")
    waits.savepoints_fail = True
    waits.edit(image="flowjob:2")
    waits.settle(60)
    assert len(waits.told("SavepointFailed")) <= 3, "no tight loop"
    waits.savepoints_fail = False
    waits.settle(90)
    assert "savepoints/" in (begun_with(waits) or "")


def test_a_savepoint_that_takes_too_long_falls_back() -> None:
    world = running(upgrade__savepointTimeout="20s")
    world.stop_takes = 1000.0
    world.edit(image="flowjob:2")
    world.settle(60)
    assert world.status.phase is Phase.RUNNING
    assert "checkpoints/" in (begun_with(world) or "")


def test_a_savepoint_counts_even_if_the_job_failed_right_after_it() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.settle(8)
    process = world.processes["flights-jm-1-0"]
    assert process.doing == "Stopping"
    process.stopping = None
    world._commit("Savepoint", "savepoints/late")
    process.doing, process.error = "Failed", "a sink could not publish"
    world.settle(40)
    assert begun_with(world) == "s3://bucket/flights/savepoints/late"


def test_a_jobmanager_that_dies_while_it_stops_is_asked_again_under_the_same_name() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.settle(7)
    lose_job_manager(world)
    world.settle(60)
    assert world.status.phase is Phase.RUNNING
    assert len(world.savepoints) == 1
    assert world.begun[-1][0] == 2


def test_a_silent_jobmanager_is_given_time_before_the_job_counts_as_not_running() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.settle(4)
    world.reachable = False
    world.settle(15)
    assert world.status.operation is not None
    assert world.status.operation.step == "Stopping"
    world.reachable = True
    world.settle(30)
    assert "savepoints/" in (begun_with(world) or "")


def test_the_newest_snapshot_is_used_also_when_a_person_took_one_meanwhile() -> None:
    world = running(upgrade__mode="LastState", checkpoints__interval="Off")
    world.edit(job__savepointNonce=1)
    world.settle(10)
    world.edit(image="flowjob:2")
    world.settle(30)
    assert begun_with(world) == next(iter(world.savepoints.values())).path


def test_nothing_complete_and_none_ever_recorded_repeats_the_original_start() -> None:
    world = World(a_spec(job__restoreFrom={"path": "s3://bucket/first"}, upgrade__preflight="Skip"))
    world.bad_images.add("flowjob:1")
    world.settle(20)
    assert world.status.phase is Phase.STARTING
    world.edit(image="flowjob:2")
    world.settle(30)
    assert begun_with(world) == "s3://bucket/first"


def test_a_first_start_that_was_refused_begins_with_what_the_next_spec_names() -> None:
    world = World(a_spec(job__restoreFrom={"path": "s3://bucket/wrong"}))
    while "flights-jm-1-0" not in world.processes:
        world.settle(1)
    process = world.processes["flights-jm-1-0"]
    process.doing, process.error = "Failed", "there is no snapshot at s3://bucket/wrong"
    world.settle(5)
    world.edit(job__restoreFrom={"path": "s3://bucket/right"})
    world.settle(30)
    assert world.begun == [(2, "s3://bucket/right")]
    assert world.status.start is not None
    assert world.status.start.revision == 1, "should it have begun unseen, it goes on"


def test_a_start_that_was_carried_out_unseen_is_not_repeated() -> None:
    world = World(a_spec(job__restoreFrom={"path": "s3://bucket/first"}, upgrade__mode="LastState"))
    world.settle(8)
    world.reachable = False  # its first checkpoints are never seen
    world.settle(5)
    assert world.log
    assert world.status.expected is None
    world.edit(image="flowjob:2")
    world.settle(60)
    world.reachable = True
    world.settle(10)
    assert begun_with(world) == world.log[[e[0] for e in world.begun].index(2) - 1].path or (
        "checkpoints/" in (begun_with(world) or "")
    )


def test_what_was_recorded_and_is_missing_is_refused_never_empty() -> None:
    world = running(upgrade__mode="LastState")
    world.edit(job__state="Suspended")
    world.settle(20)
    world.log.clear()
    world.edit(job__state="Running")
    world.settle(30)
    assert world.status.phase is Phase.FAILED
    assert "is not there any more" in (world.status.diagnosis or "")
    assert world.begun == [(1, None)]


def test_a_revision_that_never_came_up_is_rolled_forward_by_the_next_spec() -> None:
    world = running(upgrade__preflight="Skip", upgrade__fallback="Wait")
    world.bad_images.add("flowjob:2")
    world.edit(image="flowjob:2")
    world.settle(40)
    savepoint = next(iter(world.savepoints.values())).path
    world.edit(image="flowjob:3")
    world.settle(40)
    assert world.status.phase is Phase.RUNNING
    assert begun_with(world) == savepoint, "and nothing is lost by it, so it need not wait"


def test_a_move_takes_a_savepoint_and_begins_with_it_in_the_new_place() -> None:
    world = running(upgrade__mode="LastState")
    world.edit(checkpoints__storage="s3://other/place")
    world.settle(40)
    assert "savepoints/move-" in (begun_with(world) or "")
    assert world.status.start is not None
    assert world.status.start.path == begun_with(world)


def test_a_move_without_a_savepoint_is_refused_and_the_job_stays() -> None:
    world = running(upgrade__savepointTimeout="30s")
    world.savepoints_fail = True
    world.edit(checkpoints__storage="s3://other/place")
    world.settle(120)
    assert world.condition("Stalled") == ("True", "MoveNeedsSavepoint")
    assert world.status.phase is Phase.RUNNING
    assert world.begun == [(1, None)]


def test_a_restore_gives_up_what_was_done_since_and_is_not_undone_by_a_crash() -> None:
    world = running(upgrade__preflight="Skip")
    world.bad_images.add("flowjob:bad")
    world.edit(
        job__restoreFrom={"path": "s3://bucket/old"}, job__restoreNonce=1, image="flowjob:bad"
    )
    world.settle(30)
    assert begun_with(world) is None, "the first one; the new revision could not begin"
    world.edit(image="flowjob:2")
    world.settle(40)
    assert begun_with(world) == "s3://bucket/old"
    world.edit(image="flowjob:3")
    world.settle(40)
    assert "savepoints/" in (begun_with(world) or ""), "it is carried out once"


def test_a_restart_nonce_restarts_once_and_none_is_no_change() -> None:
    world = running()
    world.edit(job__restartNonce=3)
    world.settle(40)
    assert [number for number, _ in world.begun] == [1, 2]
    world.edit(job__restartNonce=None)
    world.settle(20)
    assert [number for number, _ in world.begun] == [1, 2]


def test_nonces_that_the_first_spec_has_ask_for_nothing() -> None:
    spec = a_spec(job__restartNonce=3, job__savepointNonce=4, job__checkpointNonce=5)
    world = World(spec).settle(40)
    assert [number for number, _ in world.begun] == [1]
    assert not world.snapshots


MODES = ("Savepoint", "LastState", "Stateless")


@pytest.mark.parametrize("old", MODES)
@pytest.mark.parametrize("new", MODES)
def test_the_mode_of_the_new_spec_counts_whatever_it_was(old: str, new: str) -> None:
    world = running(upgrade__mode=old)
    world.edit(upgrade__mode=new, image="flowjob:2")
    world.settle(30)
    path = begun_with(world)
    if new == "Stateless":
        assert path is None
    else:
        part = "savepoints/" if new == "Savepoint" else "checkpoints/"
        assert part in (path or "")


def test_changing_only_the_mode_does_nothing() -> None:
    world = running()
    before = world.writes
    world.edit(upgrade__mode="LastState", snapshots__retention={"count": 3})
    world.settle(10)
    assert world.begun == [(1, None)]
    assert world.status.observed_generation == 2
    assert world.writes - before <= 2


def test_suspending_keeps_the_state_and_resuming_goes_on_from_it() -> None:
    world = running()
    world.edit(job__state="Suspended")
    world.settle(20)
    assert world.status.phase is Phase.SUSPENDED
    assert world.condition("Ready") == ("True", "Suspended")
    assert not world.pods
    assert world.status.expected is not None
    assert world.status.expected.type is SnapshotType.SAVEPOINT
    world.edit(job__state="Running")
    world.settle(30)
    assert begun_with(world) == next(iter(world.savepoints.values())).path
    assert world.status.phase is Phase.RUNNING


def test_resuming_with_mode_stateless_keeps_the_state_too() -> None:
    world = running(upgrade__mode="Stateless")
    world.edit(job__state="Suspended")
    world.settle(20)
    world.edit(job__state="Running")
    world.settle(30)
    assert begun_with(world) is not None


def test_what_is_edited_while_suspended_is_deployed_on_resuming() -> None:
    world = running()
    world.edit(job__state="Suspended")
    world.settle(20)
    world.edit(image="flowjob:2")
    world.settle(20)
    assert not world.pods
    world.edit(job__state="Running")
    world.settle(30)
    assert world.saved[2].revision.spec.image == "flowjob:2"
    assert world.status.phase is Phase.RUNNING


def test_suspended_at_creation_deploys_nothing() -> None:
    world = World(a_spec(job__state="Suspended")).settle(20)
    assert world.status.phase is Phase.SUSPENDED
    assert not world.objects
    world.edit(job__state="Running")
    world.settle(30)
    assert world.status.phase is Phase.RUNNING


def test_cancelling_takes_no_snapshot_and_is_for_good() -> None:
    world = running()
    world.edit(job__state="Cancelled")
    world.settle(20)
    assert world.status.phase is Phase.CANCELLED
    assert not world.savepoints
    world.edit(job__state="Running")
    world.settle(20)
    assert world.condition("Stalled") == ("True", "CancelledForGood")
    assert not world.pods


def test_a_finished_job_stays_finished_until_something_real_is_edited() -> None:
    world = running()
    world.processes["flights-jm-1-0"].doing = "Finished"
    world.settle(10)
    assert world.status.phase is Phase.FINISHED
    assert [p for p in world.pods if "-tm-" in p] == []
    lose_job_manager(world)
    world.settle(5)
    world.reachable = False
    world.edit(upgrade__mode="LastState")
    world.settle(20)
    assert world.status.phase is Phase.FINISHED
    world.reachable = True
    world.edit(image="flowjob:2")
    world.settle(30)
    assert world.status.phase is Phase.RUNNING


@pytest.mark.parametrize("seen", ["answers", "is unreachable", "is gone"])
def test_a_failed_job_is_upgraded_from_its_newest_snapshot(seen: str) -> None:
    world = running()
    world.processes["flights-jm-1-0"].doing = "Failed"
    world.processes["flights-jm-1-0"].error = "ValueError: no"
    world.settle(5)
    assert world.status.phase is Phase.FAILED
    assert world.status.diagnosis == "ValueError: no"
    world.reachable = seen != "is unreachable"
    if seen == "is gone":
        world.objects.pop(("Deployment", "flights-jm-1"))
    world.edit(image="flowjob:2")
    world.settle(20)
    world.reachable = True
    world.settle(20)
    assert world.status.phase is Phase.RUNNING
    assert "checkpoints/" in (begun_with(world) or "")


def test_a_new_edit_during_pre_flight_begins_anew() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.settle(2)
    world.edit(image="flowjob:3")
    world.settle(40)
    assert len(world.begun) == 2
    assert world.saved[max(world.saved)].revision.spec.image == "flowjob:3"


def test_a_changed_default_image_touches_no_job_and_comes_with_the_next_upgrade() -> None:
    import dataclasses

    from tests.operator.core import world as worlds

    world = running()
    other = dataclasses.replace(worlds.DEFAULTS[0], values={"image": "flowjob:9"})
    world.defaults = (other,)
    world.settle(20)
    assert world.begun == [(1, None)]
    world.edit(job__parallelism=3)
    world.settle(20)
    assert world.begun == [(1, None)], "nor does rescaling bring it"
    world.edit(job__args={"day": "monday"})
    world.settle(40)
    assert world.saved[max(world.saved)].revision.spec.image == "flowjob:9"


def test_a_manifest_written_again_unchanged_in_meaning_does_nothing() -> None:
    world = running(checkpoints__timeout="60s")
    world.edit(checkpoints__timeout="1m")
    world.settle(10)
    assert world.begun == [(1, None)]
    assert world.status.operation is None


def test_max_parallelism_is_recorded_and_not_exceeded() -> None:
    world = running()
    assert world.status.max_parallelism == 128
    world.edit(job__parallelism=200)
    world.settle(10)
    assert world.condition("Stalled") == ("True", "ParallelismTooHigh")
    assert world.status.phase is Phase.RUNNING


def test_each_start_pins_code_and_records_whose_it_was() -> None:
    world = World(a_spec(job__script="import flowjob as fj\n", job__entrypoint=None))
    world = world.settle(20)
    assert world.status.code is not None
    assert (world.status.code.digest or "").startswith("sha256:")
    assert world.status.operation is None
    assert world.status.job is not None
    assert world.status.job.state is JobState.RUNNING


def test_an_artifact_is_pinned_at_pre_flight_even_if_that_is_skipped() -> None:
    artifact = {"artifact": "s3://bucket/flights.py", "entrypoint": None}
    spec = a_spec(upgrade__preflight="Skip")
    spec["job"] = {"artifact": artifact["artifact"], "parallelism": 2}
    world = World(spec)
    world.settle(2)
    assert world.status.operation is not None
    assert world.status.operation.type is OperationType.START
    world.settle(20)
    assert world.saved[1].revision.code.digest == "sha256:" + "a" * 64
