"""The Env of a simulated process: its clock, its chance, its blocking calls, its forks; network and disk come with it.

Each call belongs to one process and stops with it. It must not know what the process is for."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjob.runtime.env import Env, ProcessLauncher
from flowjob.testing.simulation.control import SimControl
from flowjob.testing.simulation.network import SimNetwork
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.world import World

if TYPE_CHECKING:
    from flowjob.runtime.env import StoreLocation
    from flowjob.runtime.storage.object_store import ObjectStore

START = 1_577_836_800_000_000
"""Wall time at the beginning of every world, µs: 2020-01-01."""


class SimClock:
    """See env.Clock. Looking at it uses CPU; its monotonic time begins anywhere; its wall time may be set."""

    def __init__(self, world: World, process: SimProcess) -> None:
        self._loop = world.loop
        self._process = process
        self._cpu = world.physics.cpu
        self._draw = world.chance("cpu").random
        self._origin = round(1e5 + 1e6 * world.chance("clocks").random(), 3)

    def wall(self) -> int:
        return START + round(self._loop.time() * 1e6) + self._process.wall_offset

    def monotonic(self) -> float:
        if self._cpu:
            self._process.spent += 2 * self._cpu * self._draw()
        return self._origin + self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)  # noqa: TID251 - this is the clock


class SimRandom:
    """See env.Random."""

    def __init__(self, world: World, process: SimProcess) -> None:
        self._chance = random.Random(f"{world.seed}:{process.name}:{process.number}")

    def random(self) -> float:
        return self._chance.random()

    def token(self) -> str:
        return f"{self._chance.getrandbits(128):032x}"


class SimFreezer:
    """See env.Freezer: the work is done at once, its result comes later, as from a fork."""

    def __init__(self, world: World, directory: Path) -> None:
        self._world = world
        self._directory = directory
        self._count = 0
        self._spent = 0.0

    async def freeze(self, work: Callable[[Path], bytes], *, deadline: float) -> bytes:
        self._count += 1
        directory = self._directory / f"frozen-{self._count}"
        directory.mkdir()
        result = work(directory)
        took = self._world.physics.blocking * 4 * self._world.chance("freezer").random()
        await asyncio.sleep(min(took, deadline))  # noqa: TID251
        if took > deadline:
            raise TimeoutError(f"the copy took more than {deadline:g} s")
        return result

    def spent(self) -> float:
        """By chance more or less than what makes a copy worth it."""
        self._spent += 0.2 * self._world.chance("freezer").random() ** 3
        return self._spent


def blocking_runner(world: World) -> Callable[..., Awaitable[Any]]:
    """Env.run_blocking: in line, somewhere in the middle of the time it takes."""
    chance = world.chance("blocking")

    async def run_blocking(function: Callable[..., Any], *arguments: Any) -> Any:
        blocking = world.physics.blocking
        await asyncio.sleep(blocking * chance.random())  # noqa: TID251
        try:
            return function(*arguments)
        finally:
            await asyncio.sleep(blocking * chance.random())  # noqa: TID251

    return run_blocking


def make_env(
    world: World,
    process: SimProcess,
    directory: Path,
    launcher: ProcessLauncher,
    open_store: Callable[[StoreLocation], ObjectStore] | None,
) -> Env:
    """The world as `process` may reach it."""
    process.directory = directory
    return Env(
        clock=SimClock(world, process),
        network=SimNetwork(world, process),
        control=SimControl(world, process),
        launcher=launcher,
        random=SimRandom(world, process),
        directory=directory,
        run_blocking=blocking_runner(world),
        freezer=SimFreezer(world, directory),
        open_store=open_store,
    )
