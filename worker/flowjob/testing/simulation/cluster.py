"""Simulated processes of a cluster: a TaskManager's main, a slot's main, and who starts them.

The mains do what runtime/real/ does around the same classes; everything else is the real thing: MiniCluster,
TaskManager, Slot."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjob.runtime.env import Env
from flowjob.runtime.real.processes import exit_reason
from flowjob.runtime.slot import Orphaned, Slot
from flowjob.runtime.slot_launcher import OnOutput
from flowjob.runtime.taskmanager import TaskManager, TaskManagerSettings
from flowjob.testing.simulation.control import MessageConnection, socketpair
from flowjob.testing.simulation.env import make_env
from flowjob.testing.simulation.process import Exit, SimProcess
from flowjob.testing.simulation.world import World

if TYPE_CHECKING:
    from flowjob.runtime.env import StoreLocation
    from flowjob.runtime.storage.object_store import ObjectStore

OpenStore = Callable[["StoreLocation"], "ObjectStore"]

_START_UP = 0.3
"""Seconds a process takes until its main runs, on average; a fork a tenth of that."""


class _Child:
    """A process as its parent sees it (env.OwnedProcess)."""

    def __init__(self, world: World, process: SimProcess, parent: SimProcess) -> None:
        self._world = world
        self._process = process
        self._ended: asyncio.Future[int] = world.loop.create_future()
        process.watch(parent, self._settle)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        loop = self._world.loop
        loop.post_at(loop.time() + 0.0005, loop.world, self._process.kill)

    def terminate(self) -> None:
        self.kill()

    def exit_reason(self, status: int) -> str:
        return exit_reason(status)

    def _settle(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)


class _TaskManagerChild(_Child):
    def __init__(self, world: World, process: SimTaskManager, parent: SimProcess) -> None:
        super().__init__(world, process, parent)
        self._main = process

    def send(self, data: bytes) -> None:
        loop = self._world.loop
        loop.post_at(loop.time() + 0.001, self._main, self._main.hear, data)


class SimLauncher:
    """See env.ProcessLauncher: every TaskManager gets a host of its own."""

    def __init__(self, world: World, process: SimProcess, open_store: OpenStore) -> None:
        self._world = world
        self._process = process
        self._open_store = open_store

    async def launch(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> _TaskManagerChild:
        assert list(arguments) == ["flowjob.runtime.taskmanager", "--owned"]
        world = self._world
        number = world.count("taskmanagers")
        child = SimTaskManager(world, self._process, number, self._open_store)
        world.admit(child)
        takes = 2 * _START_UP * world.chance("start-up").random()
        world.loop.post_at(world.loop.time() + takes, child, child.begin)
        return _TaskManagerChild(world, child, self._process)


class SimTaskManager(SimProcess):
    """What runtime/real/taskmanager_process.py is for a real one."""

    def __init__(
        self, world: World, owner: SimProcess | None, number: int, open_store: OpenStore
    ) -> None:
        name = f"tm{number}"
        super().__init__(world, name, len(world.processes) + 1, f"host-{number}", owner)
        self._open_store = open_store
        self._heard: list[bytes] = []
        self._line: asyncio.Future[None] | None = None
        self._manager: TaskManager | None = None

    def begin(self) -> None:
        self.start(self._main)

    def hear(self, data: bytes) -> None:
        """On standard input."""
        self._heard.append(data)
        if self._line is not None and not self._line.done():
            self._line.set_result(None)

    def orphaned(self) -> None:
        """Standard input has ended: it sees to its end itself."""
        if self._manager is None:
            self.kill()
        else:
            self.world.loop.post(self, self._manager.shut_down, "its owner is gone")

    def told_to_end(self) -> None:
        """SIGTERM."""
        if self._manager is None:
            self.kill()
        else:
            self.world.loop.post(self, self._manager.leave, "it got SIGTERM", 5.0)

    async def _main(self) -> int:
        if not self._heard:
            self._line = self.world.loop.create_future()
            await self._line
        given: dict[str, Any] = json.loads(self._heard[0])
        directory = self.world.directory / self.name
        directory.mkdir()
        given.pop("directory")
        given["host"] = self.host
        settings = TaskManagerSettings(**given, pid=self.pid)
        missing: Any = None  # a TaskManager starts slots only
        env = make_env(self.world, self, directory, missing, self._open_store)
        self._manager = TaskManager(
            env, settings, SimSlotLauncher(self, self._open_store, directory)
        )
        await self._manager.run()
        return 1 if self._manager.gave_up else 0


class _SimSlot:
    """See slot_launcher.SlotProcess."""

    def __init__(
        self, child: _Child, control: MessageConnection, directory: Path, on_output: OnOutput
    ) -> None:
        self._child = child
        self._control = control
        self._directory = directory
        self._on_output = on_output

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def control(self) -> MessageConnection:
        return self._control

    async def wait(self) -> str:
        status = await self._child.wait()
        await self._control.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        return exit_reason(status)

    def kill(self) -> None:
        self._child.kill()

    def dump_stacks(self) -> None:
        """There is nothing to see."""


class SimSlotLauncher:
    """See slot_launcher.SlotLauncher."""

    def __init__(self, taskmanager: SimProcess, open_store: OpenStore, directory: Path) -> None:
        self._taskmanager = taskmanager
        self._world = taskmanager.world
        self._open_store = open_store
        self._directory = directory
        self._count = 0
        self._closed = False
        self._slots: list[_Child] = []

    async def start(self, name: str, on_output: OnOutput) -> _SimSlot:
        world = self._world
        await asyncio.sleep(0.2 * _START_UP * world.chance("start-up").random())  # noqa: TID251
        if self._closed:
            raise OSError("the TaskManager is stopping")
        self._count += 1
        number = name.rpartition("-")[2]
        process = world.add_process(
            f"slot{number}.{self._count}", self._taskmanager.host, self._taskmanager
        )
        directory = self._directory / f"{name}-{self._count}"
        directory.mkdir()
        ours, theirs = socketpair(world, self._taskmanager, process)
        missing: Any = None  # a slot starts nothing
        env = make_env(world, process, directory, missing, self._open_store)
        child = _Child(world, process, self._taskmanager)
        self._slots.append(child)
        process.start(lambda: _slot(env, theirs))
        return _SimSlot(child, ours, directory, on_output)

    async def close(self) -> None:
        """As the fork server's end does: all slots die."""
        self._closed = True
        for slot in self._slots:
            slot.kill()
        for slot in self._slots:
            await slot.wait()


async def _slot(env: Env, connection: MessageConnection) -> int:
    """What runtime/real/slot_process.py is for a real one."""
    try:
        await Slot(env, connection).run()
    except Orphaned:
        raise Exit(1) from None
    finally:
        await connection.close()
    return 0
