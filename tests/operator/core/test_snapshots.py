"""FlowSnapshots: taken of a job, imported, kept by the clock, in use, abandoned, disposed of with and without a job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flowjob_operator.core.actions import AddFinalizer, CreateSnapshot, StartStorageJob
from flowjob_operator.core.observed import Defaults, Operator, SnapshotObserved
from flowjob_operator.core.reconcile_snapshot import reconcile_snapshot
from flowjob_operator.resources.flowjob_status import Source
from flowjob_operator.resources.flowsnapshot import (
    FlowSnapshotSpec,
    FlowSnapshotStatus,
    SnapshotPhase,
    StorageAccess,
)
from flowjob_operator.resources.kinds import FlowSnapshot, Metadata
from tests.operator.core.test_crashes import lose_job_manager
from tests.operator.core.world import BEGINNING, World, a_spec


def running(**changes: Any) -> World:
    return World(a_spec(**changes)).settle(20)


def ask(world: World, name: str = "mine", **spec: Any) -> None:
    said = {"jobRef": {"name": "flights"}, **spec}
    made = CreateSnapshot(name=name, spec=FlowSnapshotSpec.of(said), made_by="")
    world.apply(made)


def status(world: World, name: str = "mine") -> FlowSnapshotStatus:
    return world.snapshots[name].status


def in_use(world: World, name: str) -> str:
    found = status(world, name).conditions
    return next(c.status.value for c in found if c.type == "InUse")


def test_a_savepoint_is_taken_once_and_described() -> None:
    world = running(checkpoints__interval="Off")
    ask(world)
    world.settle(5)
    found = status(world)
    assert found.phase is SnapshotPhase.COMPLETED
    (savepoint,) = world.savepoints.values()
    assert found.path == savepoint.path
    assert found.checksum == savepoint.checksum
    assert found.job_name == "flights"
    assert found.job_uid is not None
    assert found.max_parallelism == 128


def test_a_checkpoint_is_taken_and_never_disposed_of() -> None:
    world = running(checkpoints__interval="Off")
    ask(world, type="Checkpoint")
    world.settle(5)
    assert status(world).phase is SnapshotPhase.COMPLETED
    assert world.snapshots["mine"].metadata.finalizers == []


def test_the_request_is_written_before_it_is_asked() -> None:
    world = running()
    ask(world)
    world.turn_snapshot("mine")
    assert status(world).operation_id is not None
    assert status(world).phase is SnapshotPhase.IN_PROGRESS


def test_a_jobmanager_that_forgets_is_asked_again_and_finds_the_same_savepoint() -> None:
    world = running(checkpoints__interval="Off")
    ask(world)
    world.turn_snapshot("mine")
    lose_job_manager(world)
    world.settle(20)
    assert status(world).phase is SnapshotPhase.COMPLETED
    assert len(world.savepoints) == 1


def test_failures_are_tried_again_with_growing_pauses_and_then_it_fails() -> None:
    world = running()
    world.savepoints_fail = True
    ask(world)
    world.settle(60)
    assert status(world).attempts in (2, 3)
    world.settle(400, step=5)
    assert status(world).phase is SnapshotPhase.FAILED
    assert status(world).attempts == 5
    assert status(world).error == "disk is full"


def test_one_that_is_tried_again_goes_where_the_one_that_failed_has_left_nothing() -> None:
    world = running()
    world.savepoints_fail = True
    ask(world)
    world.settle(10)
    assert world.unfinished
    world.savepoints_fail = False
    world.settle(60)
    assert status(world).phase is SnapshotPhase.COMPLETED
    assert not world.unfinished & set(world.savepoints)


def test_it_waits_for_a_job_that_is_not_there_and_is_abandoned_in_the_end() -> None:
    world = running()
    ask(world, jobRef={"name": "other"})
    world.snapshots["mine"] = world.snapshots["mine"].model_copy()
    alone = SnapshotObserved(
        now=BEGINNING, operator=Operator(owner="us"), snapshot=world.snapshots["mine"]
    )
    found = reconcile_snapshot(alone)
    assert found.status.phase is SnapshotPhase.PENDING
    later = SnapshotObserved(
        now=BEGINNING + timedelta(hours=1), operator=Operator(owner="us"), snapshot=alone.snapshot
    )
    found = reconcile_snapshot(later)
    assert found.status.phase is SnapshotPhase.ABANDONED
    assert found.status.error == "there is no such FlowJob"


def test_of_a_job_at_rest_it_is_abandoned_at_once() -> None:
    world = running()
    world.edit(job__state="Suspended")
    world.settle(20)
    ask(world)
    world.settle(3)
    assert status(world).phase is SnapshotPhase.ABANDONED
    assert "Suspended" in (status(world).error or "")


def test_of_a_job_of_the_same_name_that_came_later_nothing_is_taken() -> None:
    world = running()
    ask(world)
    world.turn_snapshot("mine")
    assert world.job is not None
    other = world.job.metadata.model_copy(update={"uid": "another"})
    world.job = world.job.model_copy(update={"metadata": other})
    world.reachable = False
    world.turn_snapshot("mine")
    assert status(world).phase is SnapshotPhase.ABANDONED


def test_a_path_is_imported_by_a_storage_job_and_retained_by_default() -> None:
    world = running()
    ask(world, path="s3://bucket/elsewhere", jobRef={"name": "flights"})
    world.settle(8)
    assert status(world).phase is SnapshotPhase.COMPLETED
    assert status(world).checksum is not None
    assert world.snapshots["mine"].metadata.finalizers == []
    world.delete_snapshot("mine")
    assert "mine" not in world.snapshots


def test_a_path_where_nothing_lies_fails_with_the_reason() -> None:
    world = running()
    world.storage_works = False
    ask(world, path="s3://bucket/elsewhere")
    world.settle(8)
    assert status(world).phase is SnapshotPhase.FAILED
    assert "AccessDenied" in (status(world).error or "")


def test_deleting_one_disposes_of_its_data_whether_or_not_the_job_lives() -> None:
    world = running()
    ask(world)
    world.settle(5)
    assert world.snapshots["mine"].metadata.finalizers == ["flowjob.dev/state"]
    world.delete()
    world.settle(5)
    assert world.job is None
    world.delete_snapshot("mine")
    world.settle(10)
    assert "mine" not in world.snapshots
    assert "dispose" in world.storage_work


BY_CHART: dict[str, object] = {
    "image": "flowjob:1",
    "checkpoints.endpoint": "http://minio:9000",
    "checkpoints.region": "eu",
    "checkpoints.secretRef": {"name": "s3"},
    "checkpoints.caBundleRef": {"name": "ca", "key": "bundle.pem"},
    "serviceAccountName": "jobs",
}
REACHED = StorageAccess.of(
    {
        "image": "flowjob:1",
        "endpoint": "http://minio:9000",
        "region": "eu",
        "secretRef": {"name": "s3"},
        "caBundleRef": {"name": "ca", "key": "bundle.pem"},
        "serviceAccountName": "jobs",
    }
)


def by_defaults() -> World:
    """Its spec says nothing of how its storage is reached."""
    world = World(a_spec())
    world.defaults = (Defaults(source=Source.CHART, values=BY_CHART),)
    return world.settle(20)


def test_the_defaults_of_the_platform_say_how_its_storage_is_reached_when_the_job_is_gone() -> None:
    world = by_defaults()
    ask(world)
    world.settle(5)
    assert status(world).storage == REACHED
    world.delete()
    world.settle(5)
    world.delete_snapshot("mine")
    world.settle(5)
    assert world.storage_asked[-1].access == REACHED
    assert world.storage_asked[-1].job == "flights", "by its names its part of the storage is found"


def test_what_is_imported_is_reached_with_the_defaults_of_the_platform() -> None:
    world = by_defaults()
    ask(world, path="s3://bucket/elsewhere")
    world.settle(8)
    assert world.storage_asked[-1].access == REACHED
    assert status(world).storage == REACHED


def test_what_says_itself_how_it_is_reached_is_reached_so() -> None:
    world = by_defaults()
    said = StorageAccess(endpoint="http://other:9000")
    place = "s3://bucket/flights/before"
    ask(world, path=place, storage=said.wire(), deletionPolicy="Discard")
    world.settle(8)
    assert status(world).storage == said
    world.delete_snapshot("mine")
    world.settle(8)
    verified, disposed = world.storage_asked
    assert verified.access == disposed.access == said
    assert verified.job is disposed.job is None


def test_settings_in_force_say_how_storage_is_reached_where_no_revision_is_known() -> None:
    world = by_defaults()
    ask(world)
    seen = SnapshotObserved(
        now=world.now,
        operator=Operator(owner="us"),
        snapshot=world.snapshots["mine"],
        job=world.job,
        jobmanager=world.observe().jobmanager,
    )
    assert reconcile_snapshot(seen).status.storage == REACHED


def endpoints(world: World) -> dict[str, str | None]:
    return {n: s.status.storage and s.status.storage.endpoint for n, s in world.snapshots.items()}


def test_a_snapshot_of_before_a_move_is_reached_where_it_lies() -> None:
    world = running(checkpoints__endpoint="http://old:9000")
    ask(world, "before")
    world.settle(5)
    world.edit(checkpoints__endpoint="http://new:9000")
    ask(world, "meanwhile")
    world.settle(3)
    assert status(world, "meanwhile").phase is SnapshotPhase.COMPLETED
    world.settle(30)
    ask(world, "after")
    world.settle(5)
    (moved,) = world.snapshots.keys() - {"before", "meanwhile", "after"}
    assert endpoints(world) == {
        "before": "http://old:9000",
        "meanwhile": "http://old:9000",
        moved: "http://old:9000",
        "after": "http://new:9000",
    }


def test_a_snapshot_that_is_asked_for_again_after_a_move_is_reached_where_it_lies_then() -> None:
    world = running(checkpoints__endpoint="http://old:9000")
    ask(world)
    world.savepoints_fail = True
    world.settle(3)
    assert endpoints(world) == {"mine": "http://old:9000"}
    world.savepoints_fail = False
    world.edit(checkpoints__endpoint="http://new:9000")
    world.settle(60)
    assert status(world).phase is SnapshotPhase.COMPLETED
    assert endpoints(world)["mine"] == "http://new:9000"


def test_a_disposal_of_which_nobody_knows_how_is_given_up_without_a_pod() -> None:
    world = running()
    ask(world)
    world.settle(5)
    unknown = status(world).model_copy(update={"storage": None})
    world.snapshots["mine"] = world.snapshots["mine"].model_copy(update={"status": unknown})
    world.delete()
    world.settle(5)
    world.delete_snapshot("mine")
    world.settle(700, step=10)
    assert "mine" not in world.snapshots
    assert not world.storage_asked
    assert "nothing says how" in world.told("DisposalFailed")[0]


def test_one_that_was_needed_for_long_after_its_deletion_is_disposed_of_all_the_same() -> None:
    world = running()
    world.edit(job__state="Suspended")
    world.settle(25)
    (name,) = [n for n in world.snapshots if "suspension" in n]
    world.delete_snapshot(name)
    world.settle(1200, step=10)
    assert name in world.snapshots
    world.edit(job__state="Running")
    world.settle(40)
    assert name not in world.snapshots
    assert not world.told("DisposalFailed")


def test_a_disposal_is_broken_off_when_a_job_comes_to_need_the_snapshot() -> None:
    world = running()
    ask(world)
    world.settle(5)
    world.storage_takes = 1000.0
    world.delete_snapshot("mine")
    world.settle(5)
    assert world.storage_jobs
    world.edit(job__restoreFrom={"snapshot": "mine"}, job__restoreNonce=1)
    world.settle(5)
    assert in_use(world, "mine") == "True"
    assert not world.storage_jobs


@pytest.mark.parametrize("why", ["policy", "namespace"])
def test_a_disposal_that_is_called_off_is_broken_off(why: str) -> None:
    world = running()
    ask(world)
    world.settle(5)
    world.storage_takes = 1000.0
    world.delete_snapshot("mine")
    world.settle(5)
    (disposal,) = world.storage_jobs
    if why == "policy":
        retained = FlowSnapshotSpec.of(
            {**world.snapshots["mine"].spec.wire(), "deletionPolicy": "Retain"}
        )
        world.snapshots["mine"] = world.snapshots["mine"].model_copy(update={"spec": retained})
    else:
        world.namespace_terminating = True
    world.settle(2)
    assert "mine" not in world.snapshots
    assert not world.storage_jobs
    assert {(kind, disposal) for kind in ("Job", "ConfigMap", "NetworkPolicy")} <= world.deleted


def test_a_disposal_that_fails_for_long_is_given_up_and_said() -> None:
    world = running()
    ask(world)
    world.settle(5)
    world.storage_works = False
    world.delete_snapshot("mine")
    world.settle(100, step=2)
    assert "mine" in world.snapshots
    assert "AccessDenied" in (status(world).error or "")
    (disposal,) = (name for name in world.storage_jobs if "dispose" in name)
    world.settle(600, step=10)
    assert "mine" not in world.snapshots
    assert world.told("DisposalFailed")
    assert disposal not in world.storage_jobs
    assert {("Job", disposal), ("ConfigMap", disposal)} <= world.deleted


def test_one_deleted_before_anything_was_done_goes_at_once() -> None:
    made = FlowSnapshot(
        metadata=Metadata(
            name="mine",
            namespace="air",
            uid="uid-1",
            deletion_timestamp=BEGINNING,
            finalizers=["flowjob.dev/state"],
        ),
        spec=FlowSnapshotSpec.of({"jobRef": {"name": "flights"}}),
    )
    seen = SnapshotObserved(now=BEGINNING, operator=Operator(owner="us"), snapshot=made)
    kinds = [type(a).__name__ for a in reconcile_snapshot(seen).actions]
    assert kinds == ["RemoveFinalizer"]


@pytest.mark.parametrize("why", ["namespace_terminating", "crd_going"])
def test_a_namespace_or_definition_that_goes_means_retain(why: str) -> None:
    world = running()
    ask(world)
    world.settle(5)
    about = world.snapshots["mine"].metadata.model_copy(update={"deletion_timestamp": world.now})
    snapshot = world.snapshots["mine"].model_copy(update={"metadata": about})
    operator = Operator(owner="us")
    now = world.now
    if why == "crd_going":
        seen = SnapshotObserved(now=now, operator=operator, snapshot=snapshot, crd_going=True)
    else:
        seen = SnapshotObserved(
            now=now, operator=operator, snapshot=snapshot, namespace_terminating=True
        )
    actions = reconcile_snapshot(seen).actions
    assert [type(a).__name__ for a in actions] == ["RemoveFinalizer"]
    assert not [a for a in actions if isinstance(a, StartStorageJob)]


def test_retain_keeps_the_data_and_its_finalizer_follows_the_policy() -> None:
    world = running()
    ask(world, deletionPolicy="Retain")
    world.settle(5)
    assert world.snapshots["mine"].metadata.finalizers == []
    changed = world.snapshots["mine"].spec.model_copy(update={"deletion_policy": None})
    world.snapshots["mine"] = world.snapshots["mine"].model_copy(update={"spec": changed})
    assert any(isinstance(a, AddFinalizer) for a in world.turn_snapshot("mine").actions)


def test_the_snapshot_a_suspended_job_resumes_from_is_in_use_and_stays() -> None:
    world = running()
    world.edit(job__state="Suspended")
    world.settle(25)
    (name,) = [n for n, s in world.snapshots.items() if "suspension" in n]
    assert in_use(world, name) == "True"
    world.delete_snapshot(name)
    world.settle(40)
    assert name in world.snapshots
    world.edit(job__state="Running")
    world.settle(40)
    assert name not in world.snapshots, "newer state is there: it is disposed of now"


def test_the_snapshot_a_new_job_is_to_begin_with_is_in_use() -> None:
    world = running()
    ask(world)
    world.settle(5)
    assert in_use(world, "mine") == "False"
    world.edit(job__restoreFrom={"snapshot": "mine"}, job__restoreNonce=1, image="flowjob:bad")
    world.bad_images.add("flowjob:bad")
    world.settle(5)
    assert in_use(world, "mine") == "True"


def test_savepoints_of_upgrades_have_objects_and_are_retained_by_count() -> None:
    world = running(snapshots__retention={"count": 2}, upgrade__preflight="Skip")
    for number in range(2, 7):
        world.edit(image=f"flowjob:{number}")
        world.settle(25)
    made = [s for s in world.snapshots.values() if "-upgrade-" in s.metadata.name]
    assert len(made) == 2
    assert all(s.status.phase is SnapshotPhase.COMPLETED for s in made)
    assert not any("verify" in name for name in world.storage_jobs), "facts are known"


def test_the_clock_takes_savepoints_and_keeps_so_many() -> None:
    world = running(snapshots__schedule="* * * * *", snapshots__retention={"count": 3})
    world.settle(60 * 6, step=5)
    assert len(world.savepoints) in (5, 6)
    assert len(world.snapshots) == 3
    assert world.status.schedule is not None
    assert world.status.schedule.last_snapshot in world.snapshots


def test_old_ones_go_by_age_but_never_the_newest_complete_one() -> None:
    world = running(snapshots__schedule="* * * * *", snapshots__retention={"maxAge": "2m"})
    world.settle(60 * 5, step=5)
    assert len(world.snapshots) in (2, 3)
    world.edit(snapshots__schedule=None, snapshots__retention={"maxAge": "2m"})
    world.settle(60 * 5, step=5)
    assert len(world.snapshots) == 1


def test_what_an_earlier_job_of_its_name_has_left_is_for_a_person_to_decide_about() -> None:
    world = running(snapshots__schedule="* * * * *", snapshots__retention={"count": 5})
    world.settle(60 * 3, step=5)
    earlier = set(world.snapshots)
    assert len(earlier) >= 2
    for name, snapshot in world.snapshots.items():
        of_another = snapshot.status.model_copy(update={"job_uid": "an-earlier-one"})
        world.snapshots[name] = snapshot.model_copy(update={"status": of_another})
    world.edit(snapshots__retention={"count": 1})
    world.settle(60 * 3, step=5)
    assert earlier < set(world.snapshots)
    assert len(set(world.snapshots) - earlier) == 1


def test_what_was_never_taken_goes_when_there_is_a_newer_one() -> None:
    world = running(snapshots__schedule="* * * * *")
    ask(world, "late")
    labels = {"flowjob.dev/made-by": "Schedule"}
    about = world.snapshots["late"].metadata.model_copy(update={"labels": labels})
    abandoned = FlowSnapshotStatus(phase=SnapshotPhase.ABANDONED)
    made = {"metadata": about, "status": abandoned}
    world.snapshots["late"] = world.snapshots["late"].model_copy(update=made)
    world.settle(90)
    assert "late" not in world.snapshots


def test_what_a_person_asked_for_is_never_touched_by_retention() -> None:
    world = running(snapshots__schedule="* * * * *", snapshots__retention={"count": 1})
    ask(world)
    world.settle(60 * 4, step=5)
    assert "mine" in world.snapshots


def test_nothing_is_due_for_the_time_before_there_was_a_schedule_or_while_at_rest() -> None:
    world = running(snapshots__schedule="@hourly")
    world.settle(10)
    assert not world.snapshots
    world.edit(job__state="Suspended")
    world.settle(20)
    world.now += timedelta(hours=5)
    world.settle(10)
    world.edit(job__state="Running")
    world.settle(30)
    assert not [n for n in world.snapshots if "suspension" not in n]


def test_what_was_missed_while_no_operator_lived_is_made_up_for_once() -> None:
    world = running(snapshots__schedule="@hourly")
    world.now += timedelta(hours=5)
    world.settle(20)
    assert len(world.savepoints) == 1


def test_a_schedule_that_is_none_is_said_and_stops_nothing() -> None:
    world = running(snapshots__schedule="61 * * * *")
    world.settle(5)
    assert "61" in world.told("ScheduleInvalid")[0]
    assert world.condition("Ready") == ("True", "Running")
    assert world.condition("Degraded") == ("True", "ScheduleInvalid")
    assert "61" in (world.status.diagnosis or "")
    world.edit(snapshots__schedule="@hourly")
    world.settle(5)
    assert world.condition("Degraded") == ("False", "Healthy")
    assert world.status.diagnosis is None


def test_a_savepoint_nonce_makes_one_snapshot_and_a_checkpoint_nonce_one_checkpoint() -> None:
    world = running(checkpoints__interval="Off")
    world.edit(job__savepointNonce=4, job__checkpointNonce=9)
    world.settle(20)
    assert len(world.savepoints) == 1
    assert [s.type for s in world.log].count("Checkpoint") == 1
    assert world.status.nonces is not None
    assert world.status.nonces.savepoint == 4
    assert world.status.nonces.checkpoint == 9
    world.edit(job__savepointNonce=None)
    world.settle(10)
    assert len(world.savepoints) == 1


def test_a_new_job_begins_with_a_snapshot_once_that_is_complete() -> None:
    world = World(a_spec(job__restoreFrom={"snapshot": "before"}))
    world.settle(5)
    assert world.condition("Progressing")[1] == "WaitingForSnapshot"
    assert "there is no FlowSnapshot before" in (world.status.diagnosis or "")
    ask(world, "before", path="s3://bucket/before")
    world.settle(25)
    assert world.begun == [(1, "s3://bucket/before")]
    world.edit(job__restoreFrom={"snapshot": "another"})
    world.settle(10)
    assert len(world.begun) == 1, "later edits do nothing"
