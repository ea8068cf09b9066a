"""One subtask at work: takes what its gate gives, drives it through its chain, keeps time.

Control elements apply between batches only. Where there are snapshots the task follows barriers and the JobManager's
orders through its participant; what a snapshot is it must not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from flowjob.core.elements import Barrier, Control, EndOfInput, Marker, Status, Watermark
from flowjob.core.watermark_valve import WatermarkValve
from flowjob.runtime.batch import Batch
from flowjob.runtime.driver import Driver
from flowjob.runtime.participant import Participant


class Gate(Protocol):
    """A task's inputs (runtime/exchange/): elements of all channels in order of arrival."""

    def poll(self) -> tuple[int, int, Batch | Control] | None: ...

    async def wait(self, deadline: float | None) -> None: ...


class Task:
    """A subtask with network inputs. `timeless` are the channels of edges without event time: in a task that has
    others, they take no part in it: a stream of rules neither holds time back nor keeps it from coming to its end."""

    def __init__(
        self,
        gate: Gate,
        driver: Driver,
        participant: Participant | None = None,
        *,
        channels: int,
        timeless: Sequence[int],
    ) -> None:
        self.gate = gate
        self.driver = driver
        self.participant = participant
        self.in_flight: list[tuple[int, Batch]] = []
        without = set(timeless) if len(timeless) < channels else set()
        timed = [channel for channel in range(channels) if channel not in without]
        self._place = {channel: place for place, channel in enumerate(timed)}
        self._valve = WatermarkValve(len(timed))
        self._open = channels

    def waits_for(self) -> Iterator[tuple[int, int]]:
        """Channels that take part in event time, with how far they are (µs): the lowest of them holds it back."""
        channels = list(self._place)
        yield from ((channels[place], time) for place, time in self._valve.holding())

    async def run(self) -> None:
        """Works until every input has ended and, where there are snapshots, everything is committed. Raises what an
        operator raised, with whose fault it is."""
        await self.driver.live(self._work())

    async def _work(self) -> None:
        driver, participant = self.driver, self.participant
        driver.open()
        await self._replay()
        if await self._loop():
            return
        await driver.end()
        if participant is not None:
            await participant.stay()

    async def _replay(self) -> None:
        in_flight, self.in_flight = self.in_flight, []
        for port, batch in in_flight:
            self.driver.metrics.rows_in += len(batch)
            await self.driver.carry_out(self.driver.chain.head.process(batch, port))

    async def _loop(self) -> bool:
        """Until every input has ended; True: suspended and released before that, so nothing may be given any more."""
        driver, gate, metrics = self.driver, self.gate, self.driver.metrics
        participant = self.participant
        while self._open:
            if participant is not None and participant.calls:
                if await participant.attend():
                    return True
                continue
            arrival = gate.poll()
            if arrival is None:
                began = metrics.idle_since = driver.clock.monotonic()
                await gate.wait(driver.wake_at())
                metrics.idle_since = None
                metrics.idle += driver.woke() - began
            else:
                channel, port, element = arrival
                if isinstance(element, Batch):
                    metrics.rows_in += len(element)
                    if len(element) > driver.portions.rows:
                        await driver.process_in_portions(element, port)
                    else:
                        await driver.carry_out(driver.chain.head.process(element, port))
                else:
                    await self._control(channel, element)
                    if participant is not None and participant.calls:
                        continue
            # Asked here, so that small batches do not each cost two coroutines that do nothing.
            if driver.chain.next_timer() is not None:
                await driver.fire_timers()
            if driver.had_its_slice:
                await driver.breathe()
        return False

    async def _control(self, channel: int, element: Control) -> None:
        if isinstance(element, Barrier):
            if self.participant is not None:
                await self.participant.on_barrier(channel, element)
            return
        if isinstance(element, Marker):
            driver = self.driver
            driver.metrics.marked(element.vertex, driver.clock.wall() - element.time)
            driver.chain.on_marker(element)
            return
        await self._keep_time(channel, element)
        if isinstance(element, EndOfInput):
            self._open -= 1
            if self.participant is not None:
                await self.participant.on_end(channel)

    async def _keep_time(self, channel: int, element: Watermark | Status | EndOfInput) -> None:
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
        for said in combined:
            if isinstance(said, Watermark):
                self.driver.metrics.watermark = said.time
                await self.driver.carry_out(self.driver.chain.head.on_watermark(said.time))
            else:
                self.driver.chain.on_status(said)
