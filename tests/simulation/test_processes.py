"""What simulated processes share with real ones: they die at once, and others are told of it."""

from __future__ import annotations

import asyncio

import pytest

from flowjob.runtime.env import Env
from flowjob.testing.simulation.loop import Stuck
from flowjob.testing.simulation.process import KILLED
from flowjob.testing.simulation.world import Physics
from tests.simulation.small_worlds import run, start, world_of


def test_a_killed_process_runs_no_finally_and_its_parent_hears_of_its_end() -> None:
    said: list[str] = []

    async def child(env: Env) -> None:
        try:
            await env.clock.sleep(100)
        finally:
            said.append("finally")

    async def parent(env: Env) -> None:
        await env.clock.sleep(1)
        victim.kill()
        ended = asyncio.get_running_loop().create_future()
        victim.watch(mother, ended.set_result)
        said.append(f"ended with {await ended}")

    with world_of() as world:
        mother = start(world, "parent", parent)
        victim = start(world, "child", child)
        run(world)
        assert said == [f"ended with {KILLED}"]


def test_children_die_with_their_parent() -> None:
    async def forever(env: Env) -> None:
        await env.clock.sleep(1e6)

    with world_of() as world:
        mother = start(world, "parent", forever)
        child = start(world, "child", forever, parent=mother)
        world.loop.post_at(1.0, world.loop.world, mother.kill)
        run(world)
        assert child.status == KILLED


def test_a_process_can_die_at_any_of_its_awaits() -> None:
    reached = set()
    for steps in range(1, 12):
        last = 0

        async def main(env: Env) -> None:
            nonlocal last
            for last in range(5):  # noqa: B007 - looked at below
                await env.clock.sleep(0)

        with world_of() as world:
            process = start(world, "victim", main)
            process.stop_at = steps
            run(world)
            reached.add((process.status, last))
    assert {last for status, last in reached if status == KILLED} == {0, 1, 2, 3, 4}
    assert (0, 4) in reached


def test_a_stopped_process_does_nothing_until_it_goes_on() -> None:
    times: list[float] = []

    async def main(env: Env) -> None:
        for _ in range(5):
            times.append(world.loop.time())
            await env.clock.sleep(1)

    with world_of() as world:
        process = start(world, "sleeper", main)
        world.loop.post_at(1.5, world.loop.world, world.loop.keep_busy, process, 20.0)
        run(world)
    assert [int(t) for t in times] == [0, 1, 21, 22, 23]


def test_what_a_process_leaves_running_is_cancelled_and_named() -> None:
    async def main(env: Env) -> None:
        world.loop.create_task(env.clock.sleep(100))
        await env.clock.sleep(0.1)

    with world_of() as world:
        process = start(world, "careless", main)
        run(world)
        assert process.left == ["careless/SimClock.sleep"]
        assert world.loop.now < 1


def test_computing_takes_time_and_others_go_on_meanwhile() -> None:
    order: list[str] = []

    async def busy(env: Env) -> None:
        began = env.clock.monotonic()
        while env.clock.monotonic() < began + 5:
            pass
        order.append("busy")

    async def idle(env: Env) -> None:
        await env.clock.sleep(1)
        order.append("idle")

    with world_of(physics=Physics(cpu=0.01)) as world:
        start(world, "busy", busy)
        start(world, "idle", idle)
        start(world, "later", lambda env: env.clock.sleep(6))
        run(world)
    assert sorted(order) == ["busy", "idle"]


def test_waiting_for_ever_is_noticed() -> None:
    async def main(env: Env) -> None:
        await asyncio.get_running_loop().create_future()

    with world_of() as world:
        start(world, "waiter", main)
        with pytest.raises(Stuck, match="everybody waits"):
            run(world)


def test_spinning_is_noticed() -> None:
    async def main(env: Env) -> None:
        while True:
            await env.clock.sleep(0)

    with world_of() as world:
        start(world, "spinner", main)
        with pytest.raises(Stuck, match="spins"):
            run(world)


def test_an_exception_that_nobody_handles_is_a_complaint() -> None:
    async def main(env: Env) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await env.clock.sleep(1)

    with world_of() as world:
        start(world, "careless", main)
        run(world)
        assert "ZeroDivisionError" in world.complaints[0]
