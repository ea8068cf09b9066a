"""How a task takes part in snapshots: barriers and the JobManager's orders in, blocked inputs and snapshots out.

Orders wait until the task is between two batches and carries them out. Two ways of waiting belong to it: a task that
has ended stays for its last commit, one that was suspended gives nothing more. When to take a snapshot is decided by
core/alignment.py, how by checkpoint/task_snapshot.py."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flowjob.core.alignment import (
    BarrierHandler,
    Block,
    Decline,
    Snapshot,
    Steps,
    Unblock,
)
from flowjob.core.elements import END_OF_INPUT, Barrier, Stop
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.checkpoint.task_snapshot import Taking, TaskSnapshots
from flowjob.runtime.driver import Driver


@dataclass(frozen=True, slots=True)
class Trigger:
    """Take part in a snapshot: for sources, and tasks that have ended."""

    barrier: Barrier


@dataclass(frozen=True, slots=True)
class Abort:
    """Nobody waits for this snapshot any more."""

    checkpoint: int


@dataclass(frozen=True, slots=True)
class Release:
    """All is committed: end."""


Order = Trigger | Abort | Release


class Blockable(Protocol):
    """What can hold inputs back: a gate."""

    def block(self, channel: int) -> None: ...

    def unblock(self, channel: int) -> None: ...


class Participant:
    """One task's.

    calls      there is something that must be attended to before anything else: call `attend`
    orders     those not carried out yet
    suspended  by this checkpoint: nothing may be given any more
    """

    def __init__(
        self,
        handler: BarrierHandler,
        driver: Driver,
        snapshots: TaskSnapshots,
        gate: Blockable | None = None,
    ) -> None:
        self.snapshots = snapshots
        self.orders: deque[Order] = deque()
        self.ended = False
        self.suspended: int | None = None
        self.calls = False
        self._released = False
        self.wake: Callable[[], None] = lambda: None
        self.sections: Callable[[], Mapping[str, Sequence[Section]]] = dict
        self._handler = handler
        self._driver = driver
        self._gate = gate
        self._since: dict[int, float] = {}
        self._woken = asyncio.Event()

    def put(self, order: Order) -> None:
        """From the JobManager, at any time."""
        if isinstance(order, Abort):
            self.snapshots.abort(order.checkpoint)
        self.orders.append(order)
        self.calls = True
        self._woken.set()
        self.wake()

    @property
    def drains(self) -> bool:
        """Whether the next order asks a source to end first."""
        order = self.orders[0] if self.orders else None
        return isinstance(order, Trigger) and order.barrier.stop is Stop.DRAIN

    async def attend(self) -> bool:
        """Between two batches: carries out the next order; a suspended task waits here. True: end now, without any
        effect on operators."""
        if self.orders:
            await self._obey()
        released = self.suspended is not None and await self._stand_by()
        self.calls = bool(self.orders)
        return released

    async def _obey(self) -> None:
        match self.orders.popleft():
            case Trigger(barrier):
                await self._follow(self._handler.on_trigger(barrier))
            case Abort(checkpoint):
                if self.suspended == checkpoint:
                    self.suspended = None
                self._since.pop(checkpoint, None)
                await self._follow(self._handler.on_abort(checkpoint))
            case Release():
                self._released = True

    async def on_barrier(self, channel: int, barrier: Barrier) -> None:
        """A barrier has come, in its place."""
        self._since.setdefault(barrier.checkpoint, self._driver.clock.monotonic())
        await self._follow(self._handler.on_barrier(channel, barrier))

    async def on_end(self, channel: int) -> None:
        """An input has ended."""
        await self._follow(self._handler.on_end(channel))

    async def stay(self) -> None:
        """After the chain's end: answers what is asked until everything is committed."""
        self.ended = True
        self.snapshots.reports.task_ended(self.snapshots.task)
        while not self._released:
            await self._next_order()

    async def _stand_by(self) -> bool:
        """Until released, then the outlets end as well; or until the snapshot for which the task stands still is given
        up, then it goes on."""
        driver = self._driver
        began = driver.clock.monotonic()
        while self.suspended is not None and not self._released:
            await self._next_order()
        driver.metrics.idle += driver.woke() - began
        if self._released:
            driver.chain.head.on_control(END_OF_INPUT)
            driver.metrics.ended_at = driver.clock.monotonic()
        return self._released

    async def _next_order(self) -> None:
        if not self.orders:
            self._woken.clear()
            await self._woken.wait()
        await self._obey()

    async def _follow(self, steps: Steps) -> None:
        gate = self._gate
        for step in steps:
            match step:
                case Block(channel) if gate is not None:
                    gate.block(channel)
                case Unblock(channels) if gate is not None:
                    for channel in channels:
                        gate.unblock(channel)
                case Snapshot(barrier):
                    await self._take(barrier)
                case Decline(checkpoint, reason):
                    self.snapshots.decline(checkpoint, reason)

    async def _take(self, barrier: Barrier) -> None:
        began = self._driver.clock.monotonic()
        since = self._since.get(barrier.checkpoint, began)
        self._since = {c: t for c, t in self._since.items() if c > barrier.checkpoint}
        chain = self._driver.chain
        await self._driver.carry_out(chain.on_barrier(barrier, forward=not self.ended))
        self.snapshots.take(Taking(barrier, began, began - since, self.ended, self.sections()))
        if barrier.stop is Stop.SUSPEND and not self.ended:
            self.suspended = barrier.checkpoint
            self.calls = True
