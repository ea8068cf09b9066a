"""One subtask at work: takes what its gate gives, drives it through its chain, keeps time.

Control elements apply between batches only. The task yields to the slot's other work after a millisecond, waits while
an outlet has no credit, and sleeps while it has no input; where its time goes is its most important metric."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Coroutine, Generator, Iterable, Sequence
from typing import Any, Protocol

from flowjob.core.elements import Barrier, Control, EndOfInput, Status, Watermark
from flowjob.core.watermark_valve import WatermarkValve
from flowjob.runtime.batch import Batch
from flowjob.runtime.blame import EXITS, as_failure
from flowjob.runtime.chain import Chain, Signal
from flowjob.runtime.env import Clock
from flowjob.runtime.operators.base import PAUSE
from flowjob.runtime.task_metrics import TaskMetrics

TIME_SLICE = 0.001
"""Seconds a task may run before it lets others of its slot run."""


class Gate(Protocol):
    """A task's inputs (runtime/exchange/): elements of all channels in order of arrival."""

    def poll(self) -> tuple[int, int, Batch | Control] | None: ...

    async def wait(self, deadline: float | None) -> None: ...


class Driver:
    """Carries a chain's signals out, and accounts for the time they take."""

    def __init__(self, chain: Chain, clock: Clock) -> None:
        self.chain = chain
        self.clock = clock
        self.metrics = TaskMetrics()
        self._slice_began = 0.0

    async def carry_out(self, signals: Iterable[Signal]) -> None:
        """Runs a flow to its end, waiting where it says so."""
        for signal in signals:
            if signal is PAUSE:
                await self.breathe()
            elif hasattr(signal, "writable"):
                began = self.clock.monotonic()
                await signal.writable()
                now = self._slice_began = self.clock.monotonic()
                self.metrics.backpressured += now - began
            else:
                await self._wait_for(signal, signals)

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


class Task:
    """A subtask with network inputs. `timeless` are the channels of edges without event time: in a task that has
    others, they take no part in it: a stream of rules neither holds time back nor keeps it from coming to its end."""

    def __init__(
        self, gate: Gate, chain: Chain, clock: Clock, *, channels: int, timeless: Sequence[int]
    ) -> None:
        self.gate = gate
        self.driver = Driver(chain, clock)
        without = set(timeless) if len(timeless) < channels else set()
        timed = [channel for channel in range(channels) if channel not in without]
        self._place = {channel: place for place, channel in enumerate(timed)}
        self._valve = WatermarkValve(len(timed))
        self._open = channels

    async def run(self) -> None:
        """Works until every input has ended. Raises what an operator raised, with whose fault it is."""
        await self.driver.live(self._work())

    async def _work(self) -> None:
        driver = self.driver
        driver.metrics.started = driver.clock.monotonic()
        driver.chain.open()
        await self._loop()
        await driver.end()

    async def _loop(self) -> None:
        driver, gate, metrics = self.driver, self.gate, self.driver.metrics
        while self._open:
            arrival = gate.poll()
            if arrival is None:
                began = driver.clock.monotonic()
                await gate.wait(driver.wake_at())
                now = driver._slice_began = driver.clock.monotonic()
                metrics.idle += now - began
            else:
                channel, port, element = arrival
                if isinstance(element, Batch):
                    metrics.rows_in += len(element)
                    await driver.carry_out(driver.chain.head.process(element, port))
                else:
                    await self._control(channel, element)
            # Asked here, so that small batches do not each cost two coroutines that do nothing.
            if driver.chain.next_timer() is not None:
                await driver.fire_timers()
            if driver.had_its_slice:
                await driver.breathe()

    async def _control(self, channel: int, element: Control) -> None:
        self._open -= isinstance(element, EndOfInput)
        place = self._place.get(channel)
        if place is None:
            return
        match element:
            case Watermark(time):
                combined = self._valve.on_watermark(place, time)
            case EndOfInput():
                combined = self._valve.on_end(place)
            case Status():
                combined = self._valve.on_status(place, element)
            case Barrier():
                return
        for said in combined:
            if isinstance(said, Watermark):
                self.driver.metrics.watermark = said.time
                await self.driver.carry_out(self.driver.chain.head.on_watermark(said.time))
            else:
                self.driver.chain.on_status(said)
