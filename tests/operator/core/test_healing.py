"""What is deployed stays as its revision has it, whoever deletes or changes it, and pods on lost nodes are let go."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from flowjob_operator.core.actions import ApplyRevision, DeletePod, EnsureIdentity
from flowjob_operator.core.observed import IdentityFacts
from flowjob_operator.core.reconcile import reconcile
from flowjob_operator.core.revision import Part
from flowjob_operator.resources.flowjob_status import Phase
from tests.operator.core.world import World, a_spec


def running(**changes: Any) -> World:
    return World(a_spec(**changes)).settle(20)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", "flights-jm-1"),
        ("StatefulSet", "flights-tm"),
        ("Service", "flights-jm"),
        ("ConfigMap", "flights-file-1"),
    ],
)
def test_a_deleted_object_is_made_again_from_its_revision(kind: str, name: str) -> None:
    world = running()
    del world.objects[(kind, name)]
    world.settle(20)
    assert (kind, name) in world.objects
    assert world.status.phase is Phase.RUNNING
    assert world.told("Repaired")
    assert world.begun == [(1, None)], "the run goes on"


def test_an_object_that_is_still_going_is_not_applied() -> None:
    world = running()
    seen = world.observe()
    going = tuple(dataclasses.replace(c, deleting=True, changed=True) for c in seen.children)
    outcome = reconcile(dataclasses.replace(seen, children=going))
    assert not [a for a in outcome.actions if isinstance(a, ApplyRevision)]


def test_what_somebody_changed_is_changed_back() -> None:
    world = running()
    seen = world.observe()
    changed = tuple(dataclasses.replace(c, changed=c.kind == "Deployment") for c in seen.children)
    outcome = reconcile(dataclasses.replace(seen, children=changed))
    (apply,) = [a for a in outcome.actions if isinstance(a, ApplyRevision)]
    assert apply.parts == {Part.JOB_MANAGER}
    assert apply.number == 1


def test_repair_says_what_is_complete_so_that_nothing_starts_empty() -> None:
    world = running()
    world.objects.clear()
    outcome = world.turn()
    assert outcome is not None
    apply = next(a for a in outcome.actions if isinstance(a, ApplyRevision))
    assert apply.restore.expected is not None


def test_leftovers_of_older_revisions_go_and_those_of_newer_ones_stay() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.settle(30)
    for number in (1, 7):
        made = world._put("Deployment", f"flights-jm-{number}", number, world.saved[2].revision)
        made.replicas = 0
    seen = world.observe()
    names = {getattr(a, "name", "") for a in reconcile(seen).actions}
    assert "flights-jm-1" in names
    assert "flights-jm-7" not in names


def lost(world: World, name: str, seconds: float, *, ready: bool | None) -> None:
    since = world.now - timedelta(seconds=seconds)
    world.pods[name] = dataclasses.replace(
        world.pods[name], deleting_since=since, node="n1", node_ready=ready, ready=False
    )


@pytest.mark.parametrize(
    ("seconds", "ready", "forced"),
    [(20, False, False), (50, False, True), (50, True, False), (50, None, False)],
)
def test_a_pod_past_its_grace_on_a_lost_node_is_forced(
    seconds: float, ready: bool | None, forced: bool
) -> None:
    world = running()
    lost(world, "flights-tm-1", seconds, ready=ready)
    actions = reconcile(world.observe()).actions
    deletes = [a for a in actions if isinstance(a, DeletePod)]
    assert bool(deletes) is forced
    if forced:
        assert deletes[0].force
        assert deletes[0].uid == world.pods["flights-tm-1"].uid


@pytest.mark.parametrize(("seconds", "forced"), [(140, False), (152, True)])
@pytest.mark.parametrize("ready", [True, None])
def test_an_old_pod_that_a_healthy_node_does_not_end_is_forced_later(
    seconds: float, ready: bool | None, forced: bool
) -> None:
    world = running(upgrade__preflight="Skip")
    world.dying_takes = 10_000.0
    world.edit(image="flowjob:2")
    world.settle(15)
    assert world.pods["flights-jm-1-0"].deleting_since is not None
    lost(world, "flights-jm-1-0", seconds, ready=ready)
    actions = reconcile(world.observe()).actions
    deletes = [a for a in actions if isinstance(a, DeletePod) and a.name == "flights-jm-1-0"]
    assert [a.force for a in deletes] == ([True] if forced else [])
    world.settle(8)
    assert (world.status.phase is Phase.RUNNING) is forced
    assert bool([m for m in world.told("PodForced") if "its node does not end it" in m]) is forced


def test_a_jobmanager_that_still_goes_is_not_joined_by_another_when_an_edit_comes_meanwhile() -> (
    None
):
    world = running(upgrade__mode="LastState")
    world.dying_takes = 20.0
    world.edit(image="flowjob:2")
    while world.status.operation is None or world.status.operation.step != "Deploying":
        world.settle(1)
    world.edit(image="flowjob:3")
    world.settle(12)
    assert "flights-jm-1-0" in world.pods
    assert ("Deployment", "flights-jm-2") not in world.objects
    world.settle(60)
    assert world.status.phase is Phase.RUNNING
    assert world.begun[-1][0] == 3


def test_old_revisions_are_pruned_but_never_one_that_is_needed() -> None:
    world = running()
    for number in range(2, 10):
        world.edit(checkpoints__timeout=f"{number}m")
        world.settle(8)
    world.settle(10)
    assert len(world.saved) <= 7
    revisions = world.status.revisions
    assert revisions is not None
    assert revisions.current in world.saved


def test_certificates_are_made_once_and_renewed_at_two_thirds() -> None:
    world = running()
    assert world.status.identity is not None
    serial = world.status.identity.serial
    world.now += timedelta(days=200)
    world.settle(3)
    assert world.status.identity.serial == serial
    world.now += timedelta(days=50)
    actions = reconcile(world.observe()).actions
    assert EnsureIdentity(renew=True) in actions


def test_an_operator_that_forgets_certificates_looks_them_up_in_the_status() -> None:
    world = running()
    world.identity = None
    assert not [a for a in reconcile(world.observe()).actions if isinstance(a, EnsureIdentity)]
    new = IdentityFacts(serial="77", expires_at=world.now + timedelta(days=365))
    world.identity = new
    world.settle(1)
    assert world.status.identity is not None
    assert world.status.identity.serial == "77"


def test_under_savepoint_nothing_owns_the_pods_controllers_and_the_finalizer_comes_first() -> None:
    world = running()
    assert all(stored.owned for stored in world.objects.values())
    world.edit(deletionPolicy="Savepoint")
    outcome = world.turn()
    assert outcome is not None
    kinds = [type(a).__name__ for a in outcome.actions]
    assert kinds.index("AddFinalizer") < kinds.index("ApplyRevision")
    world.settle(3)
    pods = ("Deployment", "StatefulSet")
    assert not any(s.owned for s in world.objects.values() if s.kind in pods)
    world.edit(deletionPolicy="Retain")
    world.settle(5)
    assert all(s.owned for s in world.objects.values() if s.kind in pods)
    assert world.job is not None
    assert world.job.metadata.finalizers == []


def test_a_checkpoint_every_second_is_a_write_every_thirty() -> None:
    world = running()
    world.settle(30)
    before = world.writes
    world.settle(120)
    assert world.writes - before <= 5


def test_the_age_of_checkpoints_is_written_when_a_condition_changes() -> None:
    world = running()
    world.settle(5)
    world.processes["flights-jm-1-0"].doing = "Restarting"
    world.processes["flights-jm-1-0"].ready_in = 100.0
    world.turn()
    assert world.status.expected is not None
    assert world.status.expected.path == world.log[-1].path


def test_a_quiet_job_is_written_to_not_at_all() -> None:
    world = running(checkpoints__interval="Off")
    world.settle(70)
    before = world.writes
    world.settle(60)
    assert world.writes == before


def test_hundreds_of_passes_without_a_change_ask_for_nothing() -> None:
    world = running()
    world.settle(20)
    for _ in range(20):
        outcome = world.turn()
        assert outcome is not None
        assert outcome.actions == ()
        world.pass_time(1)


def test_a_revision_that_is_gone_stops_nothing_and_a_nonce_deploys_anew() -> None:
    world = running()
    del world.saved[1]
    world.settle(30)
    assert world.processes["flights-jm-1-0"].doing == "Running"
    assert world.condition("Stalled") == ("True", "RevisionMissing")
    world.edit(job__restartNonce=1)
    world.settle(60)
    assert world.status.phase is Phase.RUNNING
    assert len(world.begun) == 2


def test_an_upgrade_makes_no_new_keys_for_a_job_that_runs() -> None:
    world = running()
    assert world.status.identity is not None
    serial = world.status.identity.serial
    world.edit(image="flowjob:2")
    world.settle(30)
    assert world.status.identity.serial == serial


def test_files_that_no_revision_has_any_more_are_swept_away() -> None:
    world = running(upgrade__preflight="Skip", upgrade__mode="LastState")
    for number in range(2, 10):
        world.edit(image=f"flowjob:{number}")
        world.settle(15)
    files = [name for kind, name in world.objects if kind == "ConfigMap"]
    assert len(files) <= 7
    assert "flights-file-1" not in files


def test_requests_come_after_all_that_needs_no_jobmanager() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.settle(5)
    world.objects.pop(("Service", "flights-jm"))
    kinds = [type(a).__name__ for a in reconcile(world.observe()).actions]
    assert kinds[-1] == "Ask"
    assert "ApplyRevision" in kinds
