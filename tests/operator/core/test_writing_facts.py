"""What changes all the time is written rarely, and what is needed at once: by the operator's clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowjob_operator.core.reconcile import reconcile
from flowjob_operator.core.watching import WRITE_EVERY
from flowjob_operator.resources.flowsnapshot import FlowSnapshotSpec
from flowjob_operator.resources.kinds import FlowSnapshot, Metadata
from tests.operator.core.world import World, a_spec


def quiet(clock: float = 0.0) -> World:
    """A job that completes only what it is asked for, long enough after its start for nothing else to be written."""
    world = World(a_spec(checkpoints__interval="Off"))
    world.clock_of_jobmanager = clock
    return world.settle(90)


def ask(world: World, name: str) -> None:
    """For a savepoint, as a person does: no edit of the job makes its status another one."""
    world.snapshots[name] = FlowSnapshot(
        metadata=Metadata(name=name, namespace="air", uid=name, creation_timestamp=world.now),
        spec=FlowSnapshotSpec.of({"jobRef": {"name": "flights"}}),
    )
    world.settle(8)


def test_a_savepoint_right_behind_another_one_is_known_to_be_needed() -> None:
    world = quiet()
    ask(world, "first")
    ask(world, "second")
    world.settle(3)
    assert world.status.expected is not None
    assert world.status.expected.path == world.snapshots["second"].status.path
    used = {
        name: condition.status.value
        for name, snapshot in world.snapshots.items()
        for condition in snapshot.status.conditions
        if condition.type == "InUse"
    }
    assert used == {"first": "False", "second": "True"}


@pytest.mark.parametrize("clock", [0.0, -12.0, -3600.0, 12.0, 3600.0])
def test_no_fact_is_held_back_for_longer_than_it_says_whatever_a_jobmanagers_clock_shows(
    clock: float,
) -> None:
    world = quiet(clock)
    for number in (1, 2):
        world._commit("Checkpoint", f"checkpoints/{number}")
        world.settle(8)
    world.settle(WRITE_EVERY)
    assert world.status.expected is not None
    assert world.status.expected.path == world.log[-1].path


def test_a_jobmanager_whose_clock_is_behind_that_of_the_one_before_is_believed() -> None:
    world = quiet()
    world._commit("Checkpoint", "checkpoints/1")
    world.settle(8)
    world.clock_of_jobmanager = -60.0
    world._commit("Checkpoint", "checkpoints/2")
    world.settle(WRITE_EVERY)
    assert world.status.expected is not None
    assert world.status.expected.path == world.log[-1].path


def test_a_fact_that_is_held_back_is_looked_at_when_it_is_due() -> None:
    world = quiet()
    for number in (1, 2):
        world._commit("Checkpoint", f"checkpoints/{number}")
        world.settle(8)
    assert world.status.last_checkpoint_time is not None
    age = (world.now - world.status.last_checkpoint_time).total_seconds()
    after = reconcile(world.observe()).look_again_after
    assert after is not None
    assert after <= WRITE_EVERY - age


@pytest.mark.parametrize("clock", [-5.0, 0.0, 3600.0])
def test_checkpoints_that_go_on_are_written_rarely_also_by_a_clock_that_is_wrong(
    clock: float,
) -> None:
    world = World(a_spec())
    world.clock_of_jobmanager = clock
    world.settle(60)
    before = world.writes
    world.settle(120)
    assert 3 <= world.writes - before <= 5


def test_a_clock_that_is_ahead_makes_no_checkpoint_of_the_future() -> None:
    world = World(a_spec())
    world.clock_of_jobmanager = 3600.0
    world.settle(60)
    assert world.status.last_checkpoint_time is not None
    assert world.status.last_checkpoint_time <= world.now
    world.processes["flights-jm-1-0"].doing = "Deploying"
    world._run = lambda name, seconds: None  # type: ignore[method-assign]
    world.settle(WRITE_EVERY)
    world.now += timedelta(seconds=60)
    world.settle(5)
    assert world.condition("CheckpointFresh") == ("False", "Stale")
