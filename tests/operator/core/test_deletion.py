"""Deleting a FlowJob: what becomes of its state, and that it ends, in every state of job and cluster."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from flowjob_operator.core.actions import StartStorageJob
from flowjob_operator.resources.flowjob_status import Phase
from flowjob_operator.resources.flowsnapshot import SnapshotDeletionPolicy, SnapshotPhase
from tests.operator.core.test_crashes import lose_job_manager, lose_objects
from tests.operator.core.world import World, a_spec


def running(**changes: Any) -> World:
    return World(a_spec(**changes)).settle(20)


def deleted(world: World, seconds: float = 60) -> World:
    world.delete()
    return world.settle(seconds)


def test_retain_has_no_finalizer_and_keeps_all_state() -> None:
    world = running()
    assert world.job is not None
    assert world.job.metadata.finalizers == []
    deleted(world, 5)
    assert world.job is None
    assert world.log
    assert not world.pods


def test_savepoint_takes_one_and_keeps_an_object_for_it() -> None:
    world = running(deletionPolicy="Savepoint")
    deleted(world)
    assert world.job is None
    assert not world.objects
    (savepoint,) = world.savepoints.values()
    (snapshot,) = [s for s in world.snapshots.values() if s.spec.path == savepoint.path]
    assert snapshot.status.phase is SnapshotPhase.COMPLETED
    assert snapshot.spec.deletion_policy is SnapshotDeletionPolicy.RETAIN


def test_a_savepoint_that_fails_becomes_retain() -> None:
    world = running(deletionPolicy="Savepoint")
    world.savepoints_fail = True
    deleted(world)
    assert world.job is None
    assert world.log
    assert world.told("FellBack")


def test_a_savepoint_that_is_late_becomes_retain() -> None:
    world = running(deletionPolicy="Savepoint", deletionTimeout="30s")
    world.stop_takes = 10_000.0
    deleted(world, 25)
    assert world.job is not None
    assert world.status.phase is Phase.DELETING
    world.settle(40)
    assert world.job is None
    assert world.told("StateRetained")
    assert world.log


def test_discard_deletes_what_the_job_has_stored() -> None:
    world = running(deletionPolicy="Discard")
    deleted(world)
    assert world.job is None
    assert world.log == []


def test_a_deletion_in_the_foreground_takes_the_savepoint_too() -> None:
    world = running(deletionPolicy="Savepoint")
    world.delete(foreground=True)
    world.settle(60)
    assert world.job is None
    assert len(world.savepoints) == 1
    assert not world.told("FellBack")
    assert not world.pods


def test_a_deletion_in_the_foreground_discards_too() -> None:
    world = running(deletionPolicy="Discard")
    world.delete(foreground=True)
    world.settle(60)
    assert world.job is None
    assert world.log == []
    assert not world.told("StateRetained")


def test_discard_of_a_job_that_does_not_run_is_done_by_a_storage_job() -> None:
    world = running(deletionPolicy="Discard")
    world.edit(job__state="Suspended")
    world.settle(20)
    assert world.log
    deleted(world)
    assert world.job is None
    assert world.log == []
    assert "dispose" in world.storage_work
    assert not world.storage_jobs


def test_a_discard_that_fails_is_retained_and_said() -> None:
    world = running(deletionPolicy="Discard")
    world.storage_works = False
    deleted(world)
    assert world.job is None
    assert "AccessDenied" in world.told("StateRetained")[0]


def discarding(**changes: Any) -> World:
    """Its checkpoints are being deleted by a Job, which takes long."""
    world = running(deletionPolicy="Discard", deletionTimeout="30s", **changes)
    world.edit(job__state="Suspended")
    world.settle(20)
    world.storage_takes = 1000.0
    return deleted(world, 20)


def test_a_discard_that_is_late_ends_what_deletes_before_it_lets_go() -> None:
    world = discarding()
    (discard,) = world.storage_jobs
    assert world.job is not None
    while world.job is not None:
        world.settle(1)
    assert not world.storage_jobs, "else it would go on deleting"
    assert {(kind, discard) for kind in ("Job", "ConfigMap", "NetworkPolicy")} <= world.deleted
    world.settle(1200, step=10)
    assert world.log


def test_that_a_late_discard_may_have_deleted_something_is_said_once() -> None:
    world = discarding()
    world.settle(60)
    (told,) = set(world.told("StateRetained"))
    assert "some may be deleted already" in told
    assert "deletionTimeout" in told
    assert len(world.told("StateRetained")) == 1


def test_a_discard_that_is_late_because_pods_are_is_said_to_be_none() -> None:
    world = running(deletionPolicy="Discard", deletionTimeout="30s")
    world.reachable = False  # so that nobody discards them before its end
    world.dying_takes = 45.0
    deleted(world, 120)
    assert world.job is None
    assert world.log
    assert "deletionTimeout" in world.told("StateRetained")[0]


def test_a_pod_that_does_not_end_holds_up_a_late_deletion_for_a_minute_only() -> None:
    world = discarding()
    world.dying_takes = 10_000.0
    world.settle(60)
    assert world.job is not None
    world.settle(15)
    assert world.job is None


@pytest.mark.parametrize("changed", [{"deletionPolicy": "Retain"}, {"deletionPolicy": "Savepoint"}])
def test_a_discard_that_is_called_off_is_broken_off(changed: dict[str, str]) -> None:
    world = discarding()
    world.edit(**changed, deletionTimeout="1h")
    world.settle(10)
    assert world.job is None
    assert not world.storage_jobs
    assert changed["deletionPolicy"] in world.told("StateRetained")[0]


def test_a_discard_that_was_broken_off_is_not_taken_up_again() -> None:
    world = discarding()
    world.dying_takes = 30.0
    world.settle(12)
    world.edit(deletionTimeout="1h")
    world.settle(60)
    assert world.job is None
    assert world.storage_work.count("dispose") == 1
    assert world.log


def test_a_discard_that_is_done_when_its_time_is_over_is_done() -> None:
    world = discarding()
    world.storage_takes = 0.0
    world.now += timedelta(seconds=60)
    world.settle(10)
    assert world.job is None
    assert not world.told("StateRetained")


def test_a_failed_savepoint_never_becomes_a_discard() -> None:
    world = running(deletionPolicy="Savepoint")
    world.savepoints_fail = True
    asked = []
    world.delete()
    for _ in range(60):
        outcome = world.turn()
        asked += [] if outcome is None else list(outcome.actions)
        world.pass_time(1)
    assert world.job is None
    assert not [a for a in asked if isinstance(a, StartStorageJob)]


def pending(world: World) -> None:
    world.bad_images.add("flowjob:1")


def nothing(world: World) -> None:
    world.settle(20)


def at_preflight(world: World) -> None:
    world.settle(2)


def at_deploying(world: World) -> None:
    world.settle(6)


def unreachable(world: World) -> None:
    world.settle(20)
    world.reachable = False


def without_job_manager(world: World) -> None:
    world.settle(20)
    world.objects.pop(("Deployment", "flights-jm-1"), None)
    lose_job_manager(world)


def without_anything(world: World) -> None:
    world.settle(20)
    lose_objects(world)


def crashing(world: World) -> None:
    world.settle(20)
    world.crashing.add("flowjob:1")
    world.settle(20)


def upgrading(world: World) -> None:
    world.settle(20)
    world.edit(image="flowjob:2")
    world.settle(7)


def suspended(world: World) -> None:
    world.settle(20)
    world.edit(job__state="Suspended")
    world.settle(20)


def failed(world: World) -> None:
    world.settle(20)
    world.processes["flights-jm-1-0"].doing = "Failed"
    world.settle(5)


def rescaling(world: World) -> None:
    world.settle(20)
    world.capacity = 2
    world.edit(job__parallelism=6)
    world.settle(5)


SITUATIONS: list[Callable[[World], None]] = [
    pending,
    nothing,
    at_preflight,
    at_deploying,
    unreachable,
    without_job_manager,
    without_anything,
    crashing,
    upgrading,
    suspended,
    failed,
    rescaling,
]


@pytest.mark.parametrize("goes", [False, True], ids=["alone", "with its namespace"])
@pytest.mark.parametrize("policy", ["Savepoint", "Discard", "Retain"])
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda f: f.__name__)
def test_it_ends_in_every_situation(
    situation: Callable[[World], None], policy: str, goes: bool
) -> None:
    world = World(a_spec(deletionPolicy=policy, deletionTimeout="30s"))
    situation(world)
    world.namespace_terminating = goes
    deleted(world, 100)
    assert world.job is None


@pytest.mark.parametrize("policy", ["Savepoint", "Discard"])
def test_a_namespace_that_goes_retains_at_once(policy: str) -> None:
    world = running(deletionPolicy=policy)
    world.namespace_terminating = True
    deleted(world, 5)
    assert world.job is None
    assert world.log


def test_the_deadline_is_kept_across_deaths_of_the_operator() -> None:
    world = running(deletionPolicy="Savepoint", deletionTimeout="30s")
    world.stop_takes = 10_000.0
    world.delete()
    for _ in range(4):
        world.dies_at = {world.points + 2}
        world.settle(9)
    world.dies_at = set()
    world.settle(15)
    assert world.job is None
