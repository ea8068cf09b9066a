"""Worlds of a few bare processes, for tests of the simulator itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowjob.runtime.env import Env
from flowjob.testing.simulation.env import make_env
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.world import Physics, World

Main = Callable[[Env], Coroutine[Any, Any, None]]


@contextmanager
def world_of(seed: int = 1, physics: Physics | None = None) -> Iterator[World]:
    world = World(seed, Path("/nowhere"), physics or Physics())
    try:
        yield world
    finally:
        world.end()


def start(
    world: World, name: str, main: Main, host: str = "here", parent: SimProcess | None = None
) -> SimProcess:
    process = world.add_process(name, host, parent)
    missing: Any = None
    env = make_env(world, process, Path("/nowhere"), missing, missing)

    async def run() -> int:
        await main(env)
        return 0

    process.start(run)
    return process


def run(world: World, until: float = 100.0) -> None:
    world.inside(lambda: world.run(world.is_over, until=until, max_steps=100_000))
