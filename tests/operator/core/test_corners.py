"""Decisions at their edges: one condition more or less, and something else would be done."""

from __future__ import annotations

import dataclasses

from flowjob.cluster.control_api import Checkpointing, JobManagerView
from flowjob_operator.core.observed import Operator, SnapshotObserved
from flowjob_operator.core.reconcile import reconcile
from flowjob_operator.core.reconcile_snapshot import reconcile_snapshot
from flowjob_operator.resources.flowjob_status import OperationType, Phase
from flowjob_operator.resources.kinds import FlowSnapshot
from tests.operator.core.world import BEGINNING, UID, World, a_spec


def running() -> World:
    return World(a_spec()).settle(20)


def finished() -> World:
    world = running()
    for process in world.processes.values():
        process.doing, process.ended_at = "Finished", world.now
    return world.settle(10)


def test_a_job_that_has_finished_is_not_suspended_or_cancelled_any_more() -> None:
    for state in ("Suspended", "Cancelled"):
        world = finished()
        world.edit(job__state=state)
        world.settle(30)
        assert world.status.phase is Phase.FINISHED, state
        assert not world.savepoints


def test_a_jobmanager_that_somebody_brings_back_does_not_outlive_a_suspension() -> None:
    world = running()
    world.edit(job__state="Suspended")
    world.settle(40)
    assert world.status.phase is Phase.SUSPENDED
    world._put("Deployment", "flights-jm-1", 1, world.saved[1].revision)
    world.settle(5)
    assert ("Deployment", "flights-jm-1") not in world.objects


def test_as_many_checkpoints_as_are_asked_for_make_a_revision_stable() -> None:
    world = running()
    seen = world.observe()
    revisions = seen.job.status.revisions
    assert revisions is not None
    status = seen.job.status.model_copy(
        update={
            "revisions": revisions.model_copy(update={"stable": None, "baseline_checkpoints": 0})
        }
    )
    job = seen.job.model_copy(update={"status": status})
    for completed, stable in ((2, None), (3, 1)):
        checkpoints = Checkpointing(completed=completed)
        view = JobManagerView(uid=UID, revision=1, state="Running", checkpoints=checkpoints)
        found = reconcile(dataclasses.replace(seen, job=job, jobmanager=view)).status.revisions
        assert found is not None
        assert found.stable == stable


def test_a_revision_that_is_still_to_be_judged_is_looked_at_often() -> None:
    patient = {"checkpoints": 100}
    world = World(a_spec(upgrade__rollback=patient, checkpoints__interval="100s")).settle(60)
    assert world.status.phase is Phase.RUNNING
    assert world.status.revisions is not None
    assert world.status.revisions.stable is None
    assert (reconcile(world.observe()).look_again_after or 60) <= 10


def test_a_cancellation_that_nobody_carries_out_is_ended_with_the_pods() -> None:
    world = running()
    world.cancels_hang = True
    world.edit(job__state="Cancelled")
    world.settle(28)
    assert world.status.phase is Phase.SUSPENDING
    assert world.processes["flights-jm-1-0"].doing == "Running"
    world.settle(20)
    assert world.status.phase is Phase.CANCELLED
    assert not world.pods


def test_a_restore_does_not_wait_for_ever_for_a_cancellation() -> None:
    world = running()
    world.cancels_hang = True
    world.edit(job__restoreFrom={"path": "s3://bucket/old"}, job__restoreNonce=1)
    world.settle(60)
    assert world.begun[-1] == (2, "s3://bucket/old")
    assert world.status.phase is Phase.RUNNING


def test_a_rescale_that_fails_once_is_asked_for_again() -> None:
    world = running()
    world.rescales_fail = True
    world.edit(job__parallelism=4)
    for _ in range(30):
        world.settle(1)
        if world.status.operation is not None and world.status.operation.attempts == 1:
            break
    world.rescales_fail = False
    world.settle(40)
    assert world.status.parallelism == 4
    assert not world.told("RescaleFailed")


def test_an_edit_replaces_a_change_in_place_of_a_job_that_does_not_run() -> None:
    world = running()
    world.rescales_fail = True
    world.edit(job__parallelism=4)
    for _ in range(30):
        world.settle(1)
        if world.status.operation is not None and world.status.operation.step == "Redeploying":
            break
    world.reachable = False
    world.edit(image="flowjob:2")
    world.settle(3)
    assert world.status.operation is not None
    assert world.status.operation.type is OperationType.UPGRADE


def test_a_snapshot_says_what_the_api_server_refuses_for_it() -> None:
    snapshot = FlowSnapshot.of(
        {
            "metadata": {"name": "before", "namespace": "air", "uid": "s", "generation": 1},
            "spec": {"path": "s3://bucket/x"},
        }
    )
    seen = SnapshotObserved(
        now=BEGINNING, operator=Operator(owner="o"), snapshot=snapshot, refusal="exceeded quota"
    )
    conditions = {c.type: c for c in reconcile_snapshot(seen).status.conditions}
    ready = conditions["Ready"]
    assert (ready.status.value, ready.reason) == ("False", "ObjectsRefused")
    assert ready.message == "the API server refuses: exceeded quota"
