"""A simulated process: a share of the loop, a place on a host, children, and an end that others hear of.

Killing it severs it first: from then on none of its callbacks runs, so nothing it would still do takes effect, and its
coroutines stay as they are, unresumed, as with SIGKILL. It must not know what processes do."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flowjob.testing.simulation.loop import Lane

if TYPE_CHECKING:
    from flowjob.testing.simulation.world import World

KILLED = -9

_REAPED_AFTER = 0.002
"""Seconds from a process's end until its parent may know, on average."""


class Exit(BaseException):
    """Raised in a process's main to end it at once, as os._exit does."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Handle(Protocol):
    """Something that the kernel closes when its process has ended."""

    def closed_by_kernel(self) -> None: ...


class SimProcess(Lane):
    """See Lane. `status` is None while it lives.

    pid          as shown in messages
    wall_offset  µs that its wall clock is off
    handles      open connections and listeners
    left         names of tasks that still ran when its main returned
    returned     its main did, so it has tidied up
    directory    its scratch space
    """

    def __init__(
        self, world: World, name: str, number: int, host: str, parent: SimProcess | None
    ) -> None:
        super().__init__(name, number)
        self.world = world
        self.host = host
        self.parent = parent
        self.pid = 1000 + number
        self.status: int | None = None
        self.wall_offset = 0
        self.handles: dict[Handle, None] = {}
        self.children: list[SimProcess] = []
        self.left: list[str] = []
        self.returned = False
        self.directory = Path("/nowhere")
        self.on_stop = self.kill
        self.terminated: Callable[[], object] = self.kill
        self._watchers: list[tuple[Lane, Callable[[int], object]]] = []
        if parent is not None:
            parent.children.append(self)

    def start(self, main: Callable[[], Coroutine[Any, Any, int]]) -> None:
        """Runs `main` in it; what main returns is its exit status."""
        self.world.note(self.name, f"started (pid {self.pid}) on {self.host}")
        self.world.loop.post(
            self, lambda: self.world.loop.create_task(self._live(main), name="main")
        )

    def watch(self, watcher: Lane, ended: Callable[[int], object]) -> None:
        """Calls `ended(status)` in the process `watcher`, a moment after this one's end."""
        if self.status is not None:
            self._tell(watcher, ended)
        else:
            self._watchers.append((watcher, ended))

    def kill(self) -> None:
        """SIGKILL."""
        if self.status is None:
            self.world.note(self.name, "is killed")
            self._end(KILLED)

    async def _live(self, main: Callable[[], Coroutine[Any, Any, int]]) -> None:
        try:
            status = await main()
        except Exit as exit_:
            self._end(exit_.status)
            return
        except Exception as error:  # noqa: BLE001 - an uncaught exception of a process, seen by its exit
            self.world.complaints.append(
                f"{self.name} ended by an exception: "
                + "".join(traceback.format_exception_only(error)).strip()
            )
            self.world.note(self.name, "".join(traceback.format_exception(error)))
            status = 1
        me = asyncio.current_task()
        others = [t for t in self.living_tasks() if t is not me]
        self.left = [t.get_name() for t in others]
        for task in others:  # as asyncio.run does
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.returned = True
        self._end(status)

    def _end(self, status: int) -> None:
        world = self.world
        self.status = status
        world.living -= 1
        world.loop.halt(self)
        world.note(self.name, f"has ended with status {status}")
        for handle in list(self.handles):
            handle.closed_by_kernel()
        self.handles.clear()
        for watcher, ended in self._watchers:
            self._tell(watcher, ended)
        for child in self.children:
            # PR_SET_PDEATHSIG, or the end of standard input
            world.loop.post_at(world.loop.now + _delay(world), world.loop.world, child.orphaned)

    def orphaned(self) -> None:
        """Its parent has ended. Replaced where a process does something about it."""
        self.kill()

    def _tell(self, watcher: Lane, ended: Callable[[int], object]) -> None:
        loop = self.world.loop
        loop.post_at(loop.now + _delay(self.world), watcher, ended, self.status)


def _delay(world: World) -> float:
    return _REAPED_AFTER * 2 * world.chance("reaping").random()
