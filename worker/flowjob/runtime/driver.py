"""Drives a chain for a task: carries its signals out, keeps its timers, accounts for where the time goes.

The task yields to the slot's other work after a millisecond and waits while an outlet has no credit. Both kinds of
tasks have one. It must not know inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Coroutine, Generator, Iterable, Mapping
from typing import Any

from flowjob.core.portions import Portions
from flowjob.runtime.batch import Batch
from flowjob.runtime.blame import EXITS, as_failure
from flowjob.runtime.chain import Chain, Signal
from flowjob.runtime.checkpoint.sections import RestoredState
from flowjob.runtime.env import Clock
from flowjob.runtime.operators.base import PAUSE
from flowjob.runtime.task_metrics import TaskMetrics

TIME_SLICE = 0.001
"""Seconds a task may run before it lets others of its slot run."""


class Driver:
    """Carries a chain's signals out, and accounts for the time they take.

    hurried  a barrier must get out before what waits: until it has, blocked outlets take what comes as well
    failed   the chain is being closed, or is closed, because of a failure that is going to be told
    """

    def __init__(self, chain: Chain, clock: Clock) -> None:
        self.chain = chain
        self.clock = clock
        self.metrics = TaskMetrics()
        self.restored: Mapping[str, RestoredState] = {}
        self.hurried = False
        self.failed = False
        self.portions = Portions()
        self._slice_began = 0.0

    def open(self) -> None:
        """Before any data: operators open, and take over their state of an earlier run (`restored`, by uid)."""
        self.metrics.started = self.clock.monotonic()
        self.chain.open()
        restored, self.restored = self.restored, {}
        self.chain.restore(restored)

    async def carry_out(self, signals: Iterable[Signal]) -> None:
        """Runs a flow to its end, waiting where it says so."""
        for signal in signals:
            if signal is PAUSE:
                await self.breathe()
            elif hasattr(signal, "writable"):
                if self.hurried:
                    continue
                began = self.metrics.blocked_since = self.clock.monotonic()
                await signal.writable()
                now = self._slice_began = self.clock.monotonic()
                self.metrics.blocked_since = None
                self.metrics.backpressured += now - began
            else:
                await self._wait_for(signal, signals)

    async def process_in_portions(self, batch: Batch, port: int) -> None:
        """As `carry_out(head.process(batch, port))`, for a batch that has more rows than a portion."""
        start = 0
        while start < len(batch):
            began = self.clock.monotonic()
            portion = batch.slice(start, self.portions.rows)
            start += len(portion)
            await self.carry_out(self.chain.head.process(portion, port))
            self.portions.took(self.clock.monotonic() - began)
            await self.breathe()

    async def _wait_for(self, awaited: Awaitable[None], signals: Iterable[Signal]) -> None:
        try:
            await awaited
        except EXITS as error:
            # Raised again where the operator asked for it, so that it is the one to be blamed.
            if isinstance(signals, Generator):
                with contextlib.suppress(StopIteration):
                    signals.throw(error)
            raise

    async def live(self, work: Coroutine[Any, Any, None]) -> None:
        """Does `work`, then closes the chain, whatever happened. Raises the first failure, with whose fault it is."""
        try:
            try:
                await work
            except BaseException:
                self.failed = True
                # A failure on the way out must not hide the first one.
                with contextlib.suppress(*EXITS):
                    await self.chain.close()
                raise
            await self.chain.close()
        except Exception as error:
            raise as_failure(error) from error

    @property
    def had_its_slice(self) -> bool:
        """Whether other work of the slot should run now."""
        return self.clock.monotonic() - self._slice_began > TIME_SLICE

    def woke(self) -> float:
        """The task has waited: its slice begins. Returns the time."""
        self._slice_began = self.clock.monotonic()
        return self._slice_began

    async def breathe(self) -> None:
        """Lets the slot's other work run when this task has had its slice."""
        if self.had_its_slice:
            await self.clock.sleep(0)
            self._slice_began = self.clock.monotonic()

    async def fire_timers(self) -> None:
        """Fires the wall-clock timers that are due."""
        due = self.chain.next_timer()
        if due is not None and due <= (now := self.clock.wall()):
            await self.carry_out(self.chain.on_time(now))

    def wake_at(self) -> float | None:
        """The next wall-clock timer, on the monotonic clock."""
        due = self.chain.next_timer()
        if due is None:
            return None
        return self.clock.monotonic() + max(0, due - self.clock.wall()) / 1e6

    async def end(self) -> None:
        """Ends the chain and its outlets."""
        await self.carry_out(self.chain.on_end())
        self.metrics.ended_at = self.clock.monotonic()
