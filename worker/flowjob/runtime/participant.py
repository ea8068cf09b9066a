"""How a task takes part in snapshots: barriers and the JobManager's orders in, blocked inputs and snapshots out.

Orders wait until the task is between two batches and carries them out. Two ways of waiting belong to it: a task that
has ended stays for its last commit, one that was suspended gives nothing more. When to take a snapshot is decided by
core/alignment.py, how by checkpoint/task_snapshot.py."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from flowjob.runtime.exchange.overtaking import Capture, InFlight
from flowjob.runtime.patience import Patience

LOOK_AGAIN = 0.02
"""Seconds between two looks at whether a barrier has left."""


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


@dataclass(frozen=True, slots=True)
class Hurry:
    """The barriers of this snapshot have been waited for long enough. From the task itself."""

    barrier: Barrier


@dataclass(frozen=True, slots=True)
class Overflow:
    """There is no more room for what comes behind barriers. From the task itself."""

    reason: str


Order = Trigger | Abort | Release | Hurry | Overflow


class Inputs(Protocol):
    """What can hold inputs back, and keep what they bring: a gate."""

    on_barrier: Callable[[Barrier], None]

    def wake(self) -> None: ...

    def block(self, channel: int) -> None: ...

    def unblock(self, channel: int) -> None: ...

    def capture(self, checkpoint: int, channels: Sequence[int]) -> Capture: ...


class Output(Protocol):
    """Where barriers leave: an edge's writer."""

    def let_go(self) -> None: ...

    def holds(self, checkpoint: int) -> bool: ...

    def hasten(self, barrier: Barrier) -> list[InFlight]: ...

    def take_overtaken(self) -> list[InFlight]: ...


@dataclass(frozen=True, slots=True)
class Ends:
    """The task's ends: its gate, None of a source, and its writers. `patience` in seconds, None: barriers never
    overtake anything."""

    gate: Inputs | None
    outputs: Sequence[Output]
    patience: float | None = None


class Participant:
    """One task's.

    calls      there is something that must be attended to before anything else: call `attend`
    orders     those not carried out yet
    suspended  by this checkpoint: nothing may be given any more
    stops      it was asked to, for a savepoint: only a restart takes that back
    """

    def __init__(
        self,
        handler: BarrierHandler,
        driver: Driver,
        snapshots: TaskSnapshots,
        ends: Ends,
    ) -> None:
        self.snapshots = snapshots
        self.orders: deque[Order] = deque()
        self.ended = False
        self.suspended: int | None = None
        self.calls = False
        self.stops = False
        self._released = False
        self.wake: Callable[[], None] = _nobody
        self.sections: Callable[[], Mapping[str, Sequence[Section]]] = dict
        self._handler = handler
        self._driver = driver
        self._gate = ends.gate
        self._outputs = ends.outputs
        self._patience = Patience(ends.patience, self._lose_patience)
        self._hurried = 0
        self._aligning = 0
        self._capture: Capture | None = None
        if ends.gate is not None:
            self.wake = ends.gate.wake
            ends.gate.on_barrier = self._patience.heard
        self._since: dict[int, float] = {}
        self._woken = asyncio.Event()

    def put(self, order: Order) -> None:
        """From the JobManager, at any time."""
        match order:
            case Abort(checkpoint):
                self.snapshots.abort(checkpoint)
            case Trigger(barrier):
                self.stops |= barrier.stop is not Stop.NO
                self._patience.heard(barrier)
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
                if barrier.checkpoint <= self._hurried:
                    barrier = replace(barrier, unaligned=True)
                await self._follow(self._handler.on_trigger(barrier))
            case Hurry(barrier):
                await self._follow(self._handler.on_timeout(barrier))
                self._driver.hurried = False
            case Abort(checkpoint):
                self._patience.over(checkpoint)
                if self._capture is not None and self._capture.checkpoint == checkpoint:
                    self._capture.give_up()
                if self.suspended == checkpoint:
                    self.suspended = None
                self._since.pop(checkpoint, None)
                await self._follow(self._handler.on_abort(checkpoint))
            case Overflow(reason):
                steps = self._handler.on_abort(self._aligning)
                if steps:
                    self.snapshots.decline(self._aligning, reason)
                await self._follow(steps)
            case Release():
                self._released = True

    async def on_barrier(self, channel: int, barrier: Barrier) -> None:
        """A barrier has come, in its place."""
        self._since.setdefault(barrier.checkpoint, self._driver.clock.monotonic())
        self._aligning = max(self._aligning, barrier.checkpoint)
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
        began = driver.metrics.idle_since = driver.clock.monotonic()
        while self.suspended is not None and not self._released:
            await self._next_order()
        driver.metrics.idle_since = None
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
                case Snapshot():
                    await self._take(step)
                case Decline(checkpoint, reason):
                    self._patience.over(checkpoint)
                    self.snapshots.decline(checkpoint, reason)

    async def _take(self, step: Snapshot) -> None:
        barrier, chain, driver = step.barrier, self._driver.chain, self._driver
        checkpoint = barrier.checkpoint
        began = driver.clock.monotonic()
        since = self._since.get(checkpoint, began)
        self._since = {c: t for c, t in self._since.items() if c > checkpoint}
        self._patience.over(checkpoint)
        driver.hurried = barrier.unaligned
        await driver.carry_out(chain.on_barrier(barrier, forward=not self.ended))
        driver.hurried = False
        in_flight = self._in_flight(step) if self._patience.covers(barrier) else None
        sections = self.sections()
        self.snapshots.take(Taking(barrier, began, began - since, self.ended, sections, in_flight))
        if barrier.stop is Stop.SUSPEND and not self.ended:
            self.suspended = checkpoint
            self.calls = True

    # -- barriers that overtake data

    def _lose_patience(self, barrier: Barrier) -> None:
        """The task may be in the middle of a batch whose output nobody takes: it gets through that all the same."""
        self._hurried = max(self._hurried, barrier.checkpoint)
        self._driver.hurried = True
        for output in self._outputs:
            output.let_go()
        self.put(Hurry(barrier))

    def _in_flight(self, step: Snapshot) -> Callable[[], Awaitable[list[InFlight]]]:
        overtaken = [found for output in self._outputs for found in output.take_overtaken()]
        capture = self._capture = None
        if self._gate is not None and step.capture:
            capture = self._capture = self._gate.capture(step.barrier.checkpoint, step.capture)

        async def gather() -> list[InFlight]:
            waiting = [] if step.barrier.unaligned else await self._hasten(step.barrier)
            if capture is None:
                return [*overtaken, *waiting]
            try:
                return [*await capture.done, *overtaken, *waiting]
            finally:
                capture.give_up()

        return gather

    async def _hasten(self, barrier: Barrier) -> list[InFlight]:
        """A barrier that was sent on in its place may wait there for credit: at most for so long as here."""
        clock, timeout = self._driver.clock, self._patience.timeout or 0.0
        give_up_at = clock.monotonic() + timeout
        while any(output.holds(barrier.checkpoint) for output in self._outputs):
            left = give_up_at - clock.monotonic()
            if left <= 0:
                hastened = replace(barrier, unaligned=True)
                return [found for output in self._outputs for found in output.hasten(hastened)]
            await clock.sleep(min(left, LOOK_AGAIN))
        return []


def _nobody() -> None:
    """Before a task listens."""
