"""An upgrade that does not become stable: when it is rolled back, to what, with which state; when a person decides."""

from __future__ import annotations

from typing import Any

from flowjob_operator.resources.flowjob_status import Phase
from tests.operator.core.world import World, a_spec

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
