"""What a job begins with when a start was refused, when it moves, and when another job's state is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob_operator.resources.flowjob_status import FlowJobStatus, JobState, Phase
from flowjob_operator.resources.flowsnapshot import FlowSnapshotStatus
from flowjob_operator.resources.kinds import FlowJob
from tests.operator.core.test_crashes import lose_job_manager
from tests.operator.core.world import World, a_spec

ELSEWHERE = "s3://other/place"
NEVER_STABLE = {"checkpoints": 1000}


def begun_with(world: World) -> str | None:
    return world.begun[-1][1]


def refused_behind_a_move(**changes: Any) -> tuple[World, str]:
    """A job with state that its new place would not begin with, and the savepoint that it was moved by."""
    spec = a_spec(upgrade__rollback=NEVER_STABLE, **changes)
    world = World(spec).settle(20)
    world.refuse_to_begin.add("flowjob:unfit")
    world.edit(checkpoints__storage=ELSEWHERE, image="flowjob:unfit")
    world.settle(40)
    assert world.status.phase is Phase.FAILED
    assert world.status.revisions is not None
    assert world.status.revisions.stable is None
    (savepoint,) = world.savepoints.values()
    return world, savepoint.path


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"job__restartNonce": 1},
        {"upgrade__mode": "LastState"},
        {"job__allowNonRestored": True},
        {"checkpoints__storage": "s3://third/place"},
        {"checkpoints__storage": "s3://bucket/flights"},
    ],
    ids=str,
)
def test_a_move_that_was_refused_to_begin_goes_on_with_its_savepoint_whatever_is_edited(
    edit: dict[str, Any],
) -> None:
    world, savepoint = refused_behind_a_move()
    world.edit(image="flowjob:2", **edit)
    world.settle(60)
    assert world.status.phase is Phase.RUNNING
    assert begun_with(world) == savepoint


def test_what_the_first_start_was_restored_from_is_not_begun_with_again_behind_a_move() -> None:
    first = {"path": "s3://bucket/first"}
    world, savepoint = refused_behind_a_move(job__restoreFrom=first)
    world.edit(image="flowjob:2")
    world.settle(40)
    assert begun_with(world) == savepoint


def test_a_move_that_was_refused_to_begin_keeps_its_savepoint_through_a_suspension() -> None:
    world, savepoint = refused_behind_a_move()
    world.edit(job__state="Suspended")
    world.settle(20)
    assert world.status.phase is Phase.SUSPENDED
    world.edit(job__state="Running", image="flowjob:2")
    world.settle(40)
    assert begun_with(world) == savepoint


def test_behind_a_refused_start_another_source_counts_once_it_is_named() -> None:
    world, _ = refused_behind_a_move()
    world.edit(image="flowjob:2", job__restoreFrom={"path": "s3://bucket/chosen"})
    world.settle(40)
    assert begun_with(world) == "s3://bucket/chosen"


def test_behind_a_refused_start_only_stateless_begins_with_nothing() -> None:
    world, _ = refused_behind_a_move()
    world.edit(image="flowjob:2", upgrade__mode="Stateless")
    world.settle(40)
    assert begun_with(world) is None
    assert world.wiped


def test_a_restore_that_was_refused_is_tried_again_from_what_the_next_spec_names() -> None:
    world = World(a_spec()).settle(20)
    world.refuse_to_begin.add("flowjob:unfit")
    world.edit(
        image="flowjob:unfit", job__restoreFrom={"path": "s3://bucket/wrong"}, job__restoreNonce=1
    )
    world.settle(40)
    assert world.status.phase is Phase.FAILED
    world.edit(job__restoreFrom={"path": "s3://bucket/right"})
    world.settle(20)
    world.edit(image="flowjob:2")
    world.settle(40)
    assert begun_with(world) == "s3://bucket/right"


def test_a_restore_that_was_refused_is_kept_when_its_source_is_not_named_any_more() -> None:
    world = World(a_spec()).settle(20)
    world.refuse_to_begin.add("flowjob:unfit")
    world.edit(
        image="flowjob:unfit", job__restoreFrom={"path": "s3://bucket/old"}, job__restoreNonce=1
    )
    world.settle(40)
    world.edit(job__restoreFrom=None, image="flowjob:2")
    world.settle(40)
    assert begun_with(world) == "s3://bucket/old"


def test_a_refused_upgrade_that_is_taken_home_does_not_go_back_behind_its_move() -> None:
    world = World(a_spec()).settle(20)
    world.edit(checkpoints__storage=ELSEWHERE)
    world.settle(40)
    world.refuse_to_begin.add("flowjob:unfit")
    world.edit(image="flowjob:unfit")
    world.settle(40)
    assert world.status.phase is Phase.FAILED
    newest = world.log[-1].path
    assert newest.startswith(ELSEWHERE)
    world.edit(checkpoints__storage="s3://bucket/flights", image="flowjob:2")
    world.settle(40)
    assert begun_with(world) == newest


def test_a_job_that_nobody_has_seen_run_is_not_moved_away_from_what_it_may_have_done() -> None:
    world = World(a_spec())
    world.settle(6)
    world.reachable = False
    world.settle(20)
    assert world.log
    assert world.status.expected is None
    world.edit(checkpoints__storage=ELSEWHERE)
    world.settle(60)
    assert world.condition("Progressing") == ("True", "WaitingForSavepoint")
    assert world.begun == [(1, None)]
    world.reachable = True
    world.settle(40)
    assert "savepoints/move-" in (begun_with(world) or "")


def test_a_move_of_a_job_that_nobody_has_seen_run_is_refused_in_the_end() -> None:
    world = World(a_spec(upgrade__savepointTimeout="1m"))
    world.settle(6)
    world.reachable = False
    world.edit(checkpoints__storage=ELSEWHERE)
    world.settle(90)
    assert world.condition("Stalled") == ("True", "MoveNeedsSavepoint")
    world.reachable = True
    world.settle(10)
    assert world.status.phase is Phase.RUNNING
    assert world.begun == [(1, None)]


def test_a_first_start_that_never_came_up_is_moved_at_once() -> None:
    world = World(a_spec(upgrade__preflight="Skip", image="flowjob:none"))
    world.bad_images.add("flowjob:none")
    world.settle(20)
    world.edit(checkpoints__storage=ELSEWHERE, image="flowjob:1")
    world.settle(30)
    assert world.status.phase is Phase.RUNNING
    assert world.place == ELSEWHERE


# -- from another job

OTHER = "departures"


def another(
    state: JobState = JobState.RUNNING, expected: str | None = None, uid: str = "u1"
) -> FlowJob:
    status: dict[str, Any] = {"job": {"state": state.value}}
    if expected is not None:
        status["expected"] = {"type": "Checkpoint", "path": expected}
    return FlowJob.of(
        {
            "metadata": {"name": OTHER, "namespace": "air", "uid": uid, "generation": 1},
            "spec": a_spec(),
            "status": FlowJobStatus.of(status).wire(),
        }
    )


def from_another(other: FlowJob | None) -> World:
    world = World(a_spec(job__restoreFrom={"job": OTHER}))
    world.source_job = other
    return world.settle(10)


def complete(world: World, path: str) -> None:
    for name, snapshot in world.source_snapshots.items():
        status = FlowSnapshotStatus.of({"phase": "Completed", "path": path})
        world.source_snapshots[name] = snapshot.model_copy(update={"status": status})


def test_of_a_job_that_runs_a_savepoint_is_taken_and_begun_with() -> None:
    world = from_another(another(expected="s3://bucket/departures/checkpoints/9"))
    assert world.condition("Progressing") == ("True", "WaitingForSnapshot")
    assert "a savepoint of FlowJob departures is being taken" in (world.status.diagnosis or "") or (
        "is not complete yet" in (world.status.diagnosis or "")
    )
    (asked,) = world.source_snapshots.values()
    assert asked.spec.job_ref is not None
    assert asked.spec.job_ref.name == OTHER
    assert asked.metadata.labels["flowjob.dev/made-by"] == "Restore"
    world.settle(30)
    assert len(world.source_snapshots) == 1
    assert not world.begun
    complete(world, "s3://bucket/departures/savepoints/ours")
    world.settle(40)
    assert begun_with(world) == "s3://bucket/departures/savepoints/ours"
    assert world.status.phase is Phase.RUNNING


def test_of_a_job_at_rest_the_newest_snapshot_is_begun_with() -> None:
    world = from_another(another(JobState.SUSPENDED, "s3://bucket/departures/savepoints/last"))
    world.settle(20)
    assert not world.source_snapshots
    assert begun_with(world) == "s3://bucket/departures/savepoints/last"


def test_of_a_job_without_state_or_that_is_not_there_it_is_waited_for() -> None:
    world = from_another(another(JobState.CANCELLED))
    assert "has no complete snapshot" in (world.status.diagnosis or "")
    world.source_job = None
    world.settle(20)
    assert "there is no FlowJob departures" in (world.status.diagnosis or "")
    assert not world.begun


def test_a_savepoint_of_another_job_that_fails_is_said() -> None:
    world = from_another(another())
    for name, snapshot in world.source_snapshots.items():
        status = FlowSnapshotStatus.of({"phase": "Failed", "error": "disk is full"})
        world.source_snapshots[name] = snapshot.model_copy(update={"status": status})
    world.settle(20)
    assert "is Failed: name another one" in (world.status.diagnosis or "")


def test_a_job_of_the_same_name_that_is_another_one_gives_a_savepoint_of_its_own() -> None:
    world = from_another(another())
    world.source_job = another(uid="u2")
    world.settle(20)
    assert len(world.source_snapshots) == 2, "the one before is of the job before"


def test_a_restore_from_a_job_that_runs_cancels_only_when_its_savepoint_is_there() -> None:
    world = World(a_spec()).settle(20)
    world.source_job = another()
    world.edit(job__restoreFrom={"job": OTHER}, job__restoreNonce=4)
    world.settle(30)
    assert world.processes["flights-jm-1-0"].doing == "Running"
    complete(world, "s3://bucket/departures/savepoints/ours")
    world.settle(40)
    assert begun_with(world) == "s3://bucket/departures/savepoints/ours"


def test_a_jobmanager_that_dies_behind_a_refused_start_changes_nothing() -> None:
    world, savepoint = refused_behind_a_move()
    lose_job_manager(world)
    world.settle(10)
    world.edit(image="flowjob:2")
    world.settle(60)
    assert begun_with(world) == savepoint
