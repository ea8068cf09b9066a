"""The inputs of one task: what has arrived on its channels, in an order that arrivals.py chooses.

Consuming an element grants its credit back, in bunches: once per turn of the event loop, not per batch.
It must not know connections beyond the way credit goes back, nor what the task does with what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from flowjob.core.credit import ReceiveCredit
from flowjob.core.elements import Barrier, Control, EndOfInput
from flowjob.errors import ProtocolError
from flowjob.plan.job_graph import Edge
from flowjob.runtime.batch import Batch
from flowjob.runtime.env import Clock
from flowjob.runtime.exchange.arrivals import AsArrived, BehindFirst
from flowjob.runtime.exchange.overtaking import CONTROL, LOCAL, SPILLED, Capture, InFlight
from flowjob.runtime.exchange.serialization import WireFormat
from flowjob.runtime.exchange.spill import Spill


class CreditReturns(Protocol):
    """Collects channels with credit to give back."""

    def schedule(self, channel: InputChannel) -> None: ...


class InputChannel:
    """One producer's rows on one edge, as they arrive at a gate.

    `give_back(returned, granted)` sends credit to the producer; set when it connects."""

    __slots__ = (
        "connected",
        "consumer",
        "credit",
        "dirty",
        "edge",
        "ended",
        "format",
        "gate",
        "give_back",
        "index",
        "peer",
        "port",
        "producer",
    )

    def __init__(
        self,
        gate: InputGate,
        index: int,
        edge: Edge,
        producer: int,
        wire: WireFormat,
        credit: ReceiveCredit,
    ) -> None:
        self.gate = gate
        self.index = index
        self.edge = edge
        self.port = edge.port
        self.producer = producer
        self.consumer = gate.subtask
        self.format = wire
        self.credit = credit
        self.peer = ""
        self.connected = False
        self.ended = False
        self.dirty = False
        self.give_back: Callable[[int, int], None] = _nobody

    def deliver(self, flags: int, body: Any, size: int) -> None:
        """A batch has arrived; its credit was already taken."""
        self.gate.put(self, flags, body, size)

    def deliver_control(self, element: Control) -> None:
        """A control element has arrived: behind every batch of this channel so far."""
        if isinstance(element, EndOfInput):
            self.ended = True
        self.gate.put(self, CONTROL, element, 0)
        if isinstance(element, Barrier):
            self.gate.on_barrier(element)

    def connect(self, peer: str, give_back: Callable[[int, int], None]) -> None:
        """The producer is there: grant it its first credit."""
        self.connected = True
        self.peer = peer
        self.give_back = give_back
        give_back(*self.credit.open())

    def return_credit(self) -> None:
        """Report what was consumed, when that is worth a message."""
        grant = self.credit.grant()
        while grant is not None:
            self.give_back(*grant)
            grant = self.credit.grant()

    def finish(self) -> None:
        """Everything was consumed: what the channel held of the slot's budget is free for others."""
        self.return_credit()
        self.credit.close()


class InputGate:
    """What a task reads from. One reader at a time.

    channels        `poll` names them by position
    rows, batches, bytes   consumed so far
    queued_bytes    received and not consumed
    overtaken_as    uid of the operator that reads here
    on_barrier      told of each barrier as soon as it has arrived, behind whatever it waits here
    """

    def __init__(
        self,
        vertex: int,
        subtask: int,
        clock: Clock,
        returns: CreditReturns,
        fail: Callable[[Exception], None],
    ) -> None:
        self.vertex = vertex
        self.subtask = subtask
        self._channels: Sequence[InputChannel] = ()
        self.rows = 0
        self.batches = 0
        self.bytes = 0
        self.queued_bytes = 0
        self._clock = clock
        self._returns = returns
        self._fail = fail
        self._queue: AsArrived | BehindFirst = AsArrived()
        self._blocked: set[int] = set()
        self._captures: list[Capture] = []
        self._spill: Spill | None = None
        self.overtaken_as = ""
        self.on_barrier: Callable[[Barrier], None] = _ignore
        self._waiter: asyncio.Future[None] | None = None

    @property
    def channels(self) -> Sequence[InputChannel]:
        """Set before anything arrives."""
        return self._channels

    @channels.setter
    def channels(self, channels: Sequence[InputChannel]) -> None:
        self._channels = channels
        if len(channels) > 1 and all(c.edge.timestamps for c in channels):
            self._queue = BehindFirst(len(channels))

    def poll(self) -> tuple[int, int, Batch | Control] | None:
        """(channel, port, element) of what comes next, or None. FIFO per channel.

        The element's credit goes back to its producer. Raises ProtocolError for a batch that can't be read."""
        if not self._queue:
            return None
        index, flags, body, size = self._queue.popleft()
        channel = self._channels[index]
        if flags == CONTROL:
            if isinstance(body, EndOfInput):
                channel.finish()
            return index, channel.port, body
        if flags == SPILLED:
            assert self._spill is not None
            flags, body = body.flags, self._spill.take(body)
        else:
            self._consumed(channel, size)
        if flags != LOCAL:
            try:
                body = channel.format.decode(flags, body, size)
            except ProtocolError as error:
                self._fail(ProtocolError(f"from slot {channel.peer}: {error}"))
                raise
        self.rows += body.columns.num_rows
        self.batches += 1
        self.bytes += size
        return index, channel.port, body

    def block(self, channel: int) -> None:
        """`poll` gives nothing more of `channel`: what it brings stays queued, so its producer gets no credit back."""
        if channel not in self._blocked:
            self._blocked.add(channel)
            self._queue.block(channel)

    def unblock(self, channel: int) -> None:
        """`poll` goes on with `channel` where it left off."""
        if channel in self._blocked:
            self._blocked.remove(channel)
            self._queue.unblock(channel)
            if not self._blocked and self._spill is not None:
                self._spill.restart()

    def spill_to(self, spill: Spill) -> None:
        """From now on what blocked channels bring waits there, and their producers get its credit back."""
        self._spill = spill

    def close(self) -> None:
        if self._spill is not None:
            self._spill.close()

    def capture(self, checkpoint: int, channels: Sequence[int]) -> Capture:
        """Keeps what these have brought and not given, and bring before the barrier of `checkpoint`. They also give
        it."""
        found = {
            i: InFlight(
                self.overtaken_as, c.edge, c.producer, c.consumer, received=True, format=c.format
            )
            for i, c in enumerate(self._channels)
            if i in channels
        }
        capture = Capture(checkpoint, found)
        for channel in channels:
            capture.add_all(channel, self._queue.waiting(channel))
        if not capture.over:
            self._captures.append(capture)
        return capture

    def wake(self) -> None:
        """Ends a `wait` at once."""
        if self._waiter is not None:
            _wake(self._waiter)

    async def wait(self, deadline: float | None = None) -> None:
        """Until `poll` has something, `wake` is called or the clock's monotonic time has reached `deadline` (seconds).

        Returns at once, without yielding to other tasks, when there is something already; up to a millisecond
        before the deadline where the loop's timers are no finer."""
        if self._queue:
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiter = waiter
        timer = None
        if deadline is not None:
            delay = max(0.0, deadline - self._clock.monotonic())
            timer = loop.call_later(delay, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def put(self, channel: InputChannel, flags: int, body: Any, size: int) -> None:
        """Called by channels only."""
        self.queued_bytes += size
        if self._captures:
            self._keep(channel.index, flags, body, size)
        if self._blocked and channel.index in self._blocked:
            self._hold(channel, flags, body, size)
            return
        self._queue.append((channel.index, flags, body, size))
        waiter = self._waiter
        if waiter is not None:
            _wake(waiter)

    def _hold(self, channel: InputChannel, flags: int, body: Any, size: int) -> None:
        if self._spill is not None and flags != CONTROL:
            spilled = self._spill.put(channel.format, flags, body, size)
            if spilled is not None:
                self._consumed(channel, size)
                flags, body, size = SPILLED, spilled, spilled.length
        self._queue.hold((channel.index, flags, body, size))

    def _consumed(self, channel: InputChannel, size: int) -> None:
        self.queued_bytes -= size
        channel.credit.consume(size)
        if not channel.dirty:
            channel.dirty = True
            self._returns.schedule(channel)

    def _keep(self, channel: int, flags: int, body: Any, size: int) -> None:
        for capture in self._captures:
            if capture.follows(channel):
                capture.add(channel, flags, body, size)
        self._captures = [c for c in self._captures if not c.over]


def _ignore(barrier: Barrier) -> None:
    """Before a task listens."""


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _nobody(returned: int, granted: int) -> None:
    """Before the producer connects there is nobody to give credit to."""
