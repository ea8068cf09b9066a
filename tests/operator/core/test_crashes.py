"""The operator dies between any two things it does, and whoever comes next finishes what was begun.

Every scenario is played with a death at every point, and, by hypothesis, with edits, faults and deaths at random. What
must never happen is in world.py; here is what must happen in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob_operator.core.planning import same_deployment
from flowjob_operator.resources.flowjob_status import Phase
from tests.operator.core.world import World, a_spec

Scenario = Callable[[World], None]


def started(**changes: Any) -> World:
    return World(a_spec(**changes)).settle(20)


def upgrade(world: World) -> None:
    world.edit(image="flowjob:2")


def last_state(world: World) -> None:
    world.edit(upgrade__mode="LastState", image="flowjob:2")


def stateless(world: World) -> None:
    world.edit(upgrade__mode="Stateless", image="flowjob:2")


def move(world: World) -> None:
    world.edit(checkpoints__storage="s3://other/place")


def wider(world: World) -> None:
    world.edit(job__parallelism=4)


def narrower(world: World) -> None:
    world.edit(job__parallelism=1)


def roll(world: World) -> None:
    world.edit(taskManager__slots=2)


def tell(world: World) -> None:
    world.edit(checkpoints__timeout="7m", job__restarts__attempts=3)


def restart(world: World) -> None:
    world.edit(job__restartNonce=1)


def restore(world: World) -> None:
    world.edit(job__restoreFrom={"path": "s3://bucket/elsewhere"}, job__restoreNonce=1)


def suspend(world: World) -> None:
    world.edit(job__state="Suspended")


def cancel(world: World) -> None:
    world.edit(job__state="Cancelled")


def save(world: World) -> None:
    world.edit(job__savepointNonce=7, job__checkpointNonce=3)


def suspend_and_resume(world: World) -> None:
    world.edit(job__state="Suspended")
    world.settle(20)
    world.edit(job__state="Running", image="flowjob:3")


def change_of_mind(world: World) -> None:
    world.edit(image="flowjob:2")
    world.settle(6)
    world.edit(image="flowjob:3")
    world.settle(5)
    world.edit(job__parallelism=3)


RUNS_ON: dict[str, Scenario] = {
    f.__name__: f
    for f in (
        upgrade,
        last_state,
        stateless,
        move,
        wider,
        narrower,
        roll,
        tell,
        restart,
        restore,
        save,
        suspend_and_resume,
        change_of_mind,
    )
}
AT_REST = {"suspend": (suspend, Phase.SUSPENDED), "cancel": (cancel, Phase.CANCELLED)}


def points_of(scenario: Scenario) -> int:
    """How often the operator may die from the beginning of a scenario to its end, and where they begin."""
    world = started()
    before = world.points
    scenario(world)
    world.settle(60)
    return world.points - before


def played(scenario: Scenario, die_at: int, **changes: Any) -> World:
    world = started(**changes)
    world.dies_at = {world.points + die_at}
    scenario(world)
    return world.settle(80)


def assert_as_wanted(world: World) -> None:
    """Nothing is left to do, and what runs is what is written."""
    assert world.job is not None
    status = world.status
    assert status.phase is Phase.RUNNING, (status.phase, status.operation, status.diagnosis)
    assert status.operation is None
    assert status.revisions is not None
    current = world.saved[status.revisions.current or 0]
    assert same_deployment(current.revision.written, world.job.spec)
    assert world.processes[f"flights-jm-{current.revision.base}-0"].doing == "Running"
    assert status.parallelism == (world.job.spec.job.parallelism or 1)
    before = world.writes
    world.settle(10)
    assert world.writes - before <= 1  # checkpoints go on


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS_ON)
def test_whoever_follows_an_operator_that_died_finishes_what_it_began(name: str) -> None:
    for point in (len(name) % 4 + 2, len(name) % 5 + 7):
        assert_as_wanted(played(RUNS_ON[name], point))


@pytest.mark.soak
@pytest.mark.parametrize("name", RUNS_ON)
def test_that_holds_at_every_single_point(name: str) -> None:
    for point in range(1, points_of(RUNS_ON[name]) + 1):
        assert_as_wanted(played(RUNS_ON[name], point))


@pytest.mark.slow
@pytest.mark.parametrize("name", AT_REST)
def test_a_job_comes_to_rest_wherever_the_operator_died(name: str) -> None:
    scenario, phase = AT_REST[name]
    for point in range(1, 9, 2):
        world = played(scenario, point)
        assert world.status.phase is phase
        assert not world.pods
        assert world.log, "its state is kept"


@pytest.mark.slow
def test_a_first_start_survives_deaths_anywhere() -> None:
    for point in range(1, 14, 2):
        world = World(a_spec())
        world.dies_at = {point}
        assert_as_wanted(world.settle(60))
        assert [path for _, path in world.begun] == [None]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["Savepoint", "Discard", "Retain"])
def test_deletion_ends_wherever_the_operator_died(policy: str) -> None:
    for point in range(1, 16, 3):
        world = started(deletionPolicy=policy)
        world.dies_at = {world.points + point}
        world.delete()
        world.settle(60)
        assert world.job is None
        assert not world.pods


EDITS: dict[str, dict[str, Any]] = {
    "image 2": {"image": "flowjob:2"},
    "image 3": {"image": "flowjob:3"},
    "bad image": {"image": "flowjob:bad"},
    "crashing image": {"image": "flowjob:crash"},
    "wide": {"job__parallelism": 5},
    "narrow": {"job__parallelism": 1},
    "slots": {"taskManager__slots": 2},
    "timeout": {"checkpoints__timeout": "7m"},
    "suspend": {"job__state": "Suspended"},
    "run": {"job__state": "Running"},
    "last state": {"upgrade__mode": "LastState"},
    "savepoint": {"upgrade__mode": "Savepoint"},
    "wait": {"upgrade__fallback": "Wait"},
    "no preflight": {"upgrade__preflight": "Skip"},
    "rollback": {"upgrade__rollback": {"enabled": True, "deadline": "20s", "checkpoints": 3}},
    "restart": {"job__restartNonce": 5},
    "move": {"checkpoints__storage": "s3://other/place"},
    "own": {"deletionPolicy": "Savepoint"},
}


def lose_job_manager(world: World) -> None:
    for name in list(world.processes):
        world._kill(name)


def lose_task_managers(world: World) -> None:
    for name in [n for n in world.pods if "-tm-" in n]:
        world._kill(name)


def lose_objects(world: World) -> None:
    world.objects.clear()


FAULTS: dict[str, Callable[[World], None]] = {
    "JobManager dies": lose_job_manager,
    "TaskManagers die": lose_task_managers,
    "objects are deleted": lose_objects,
    "network goes": lambda w: setattr(w, "reachable", False),
    "network comes": lambda w: setattr(w, "reachable", True),
    "savepoints fail": lambda w: setattr(w, "savepoints_fail", True),
    "savepoints work": lambda w: setattr(w, "savepoints_fail", False),
    "no room": lambda w: setattr(w, "capacity", 2),
    "room": lambda w: setattr(w, "capacity", 100),
}
STEPS = st.one_of(
    st.sampled_from(sorted(EDITS)).map(lambda name: ("edit", name)),
    st.sampled_from(sorted(FAULTS)).map(lambda name: ("fault", name)),
    st.integers(1, 25).map(lambda seconds: ("wait", seconds)),
)


def play_story(story: list[tuple[str, Any]], deaths: set[int]) -> World:
    world = World(a_spec())
    world.bad_images, world.crashing = {"flowjob:bad"}, {"flowjob:crash"}
    world.dies_at = deaths
    world.settle(5)
    for kind, what in story:
        if kind == "edit":
            world.edit(**EDITS[what])
        elif kind == "fault":
            FAULTS[what](world)
        else:
            world.settle(what)
    return world


def heal(world: World) -> None:
    """The world is well again, and a person writes a spec that works."""
    world.reachable, world.savepoints_fail, world.capacity = True, False, 100
    world.edit(
        image="flowjob:9",
        job__parallelism=3,
        job__state="Running",
        upgrade__mode="Savepoint",
        upgrade__fallback="LastState",
        upgrade__rollback={"enabled": False},
        checkpoints__storage="s3://bucket/flights",
        job__restartNonce=99,
    )


def check_story(story: list[tuple[str, Any]], deaths: set[int]) -> None:
    world = play_story(story, deaths)
    heal(world)
    for _ in range(8):
        world.settle(100)
        refused = world.status.refused
        if refused is not None and refused.reason == "MoveNeedsSavepoint":
            # The state is elsewhere: a person goes back there.
            world.edit(checkpoints__storage="s3://other/place")
        elif world.status.phase is Phase.RUNNING and world.status.operation is None:
            break
    assert_as_wanted(world)
    assert not world.wiped
    world.delete()
    world.settle(30)
    assert world.job is None


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.lists(STEPS, max_size=8), st.sets(st.integers(1, 120), max_size=5))
def test_whatever_happens_a_good_spec_in_a_good_world_runs_in_the_end(
    story: list[tuple[str, Any]], deaths: set[int]
) -> None:
    check_story(story, deaths)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=14), st.sets(st.integers(1, 200), max_size=8))
def test_that_holds_for_long_stories(story: list[tuple[str, Any]], deaths: set[int]) -> None:
    check_story(story, deaths)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(
    st.lists(STEPS, max_size=8),
    st.sets(st.integers(1, 150), max_size=4),
    st.sampled_from(["Savepoint", "Discard", "Retain"]),
    st.booleans(),
)
def test_deletion_always_ends_whatever_was_going_on(
    story: list[tuple[str, Any]], deaths: set[int], policy: str, goes: bool
) -> None:
    world = play_story(story, deaths)
    world.edit(deletionPolicy=policy, deletionTimeout="1m")
    world.settle(3)
    world.namespace_terminating = goes
    world.storage_works = False
    world.delete()
    world.settle(150)
    assert world.job is None, (world.status.operation, world.status.diagnosis)
