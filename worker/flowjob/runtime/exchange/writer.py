"""The output of one task on one edge: rows to the consumers they belong to, controls to all.

`write` never waits, so that operators stay synchronous; the task asks `blocked` between writes and awaits
`writable()`. It must not know credit or sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from flowjob.core.elements import Barrier, Control, Marker
from flowjob.runtime.batch import Batch
from flowjob.runtime.exchange.channels import OutputChannel
from flowjob.runtime.exchange.overtaking import Frame, InFlight
from flowjob.runtime.exchange.partitioners import Partitioner
from flowjob.runtime.exchange.serialization import WireFormat
from flowjob.runtime.exchange.staging import Stage


class EdgeWriter:
    """Rows of one producer subtask on one edge.

    blocked   some channel takes no more: write nothing until `writable()` returns
    rows      written so far (once, also where they go to several consumers)
    overtaken_as   see overtaking.overtaken_as
    """

    def __init__(
        self,
        producer: int,
        channels: Sequence[OutputChannel],
        wire: WireFormat,
        partitioner: Partitioner | None,
        stage: Stage | None,
    ) -> None:
        self.edge = wire.edge
        self.producer = producer
        self.channels = channels
        self.blocked = False
        self.rows = 0
        self._format = wire
        self._partitioner = partitioner
        self._stage = stage
        self._stalled = 0
        self._waiters: list[asyncio.Future[bool]] = []
        self.overtaken_as: str | None = None
        self._kept: list[InFlight] = []
        self._marked = producer
        for channel in channels:
            channel.on_stall = self._on_stall

    @property
    def bytes(self) -> int:
        """Bytes sent in batches so far."""
        return sum(c.sent_bytes for c in self.channels)

    @property
    def batches(self) -> int:
        """Batches sent so far."""
        return sum(c.sent_batches for c in self.channels)

    @property
    def buffered_bytes(self) -> int:
        """Bytes written and not yet sent."""
        staged = self._stage.buffered_bytes if self._stage is not None else 0
        return staged + sum(c.buffered_bytes for c in self.channels)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes sent and not yet consumed."""
        return sum(c.credit.outstanding for c in self.channels)

    def write(self, batch: Batch) -> None:
        """Rows for the consumers, in order. Takes them even when `blocked`: memory then grows."""
        rows = batch.columns.num_rows
        if rows == 0:
            return
        batch = self._format.conform(batch)
        self.rows += rows
        if self._stage is not None:
            self._stage.append(batch, rows)
        elif self._partitioner is None:
            self.channels[0].append(batch, rows)
        else:
            channels = self.channels
            for target, part in self._partitioner.split(batch):
                channels[target].append(part, part.columns.num_rows)

    def control(self, element: Control) -> None:
        """`element` to every consumer, behind all rows written so far."""
        if self._stage is not None:
            self._stage.deal()
        if isinstance(element, Barrier) and element.unaligned and self.overtaken_as:
            for channel in self.channels:
                self._kept += self._in_flight(channel, channel.overtake(element))
            return
        for channel in self.channels:
            channel.control(element)

    def mark(self, marker: Marker) -> None:
        """To one consumer, the next one each time, behind all rows written so far: each hears of some."""
        channel = self.channels[self._marked % len(self.channels)]
        self._marked += 1
        if self._stage is not None:
            self._stage.mark(channel, marker)
        else:
            channel.mark(marker)

    def holds(self, checkpoint: int) -> bool:
        """Whether a barrier of `checkpoint` waits for credit that could overtake what is in front of it."""
        return self.overtaken_as is not None and any(c.holds(checkpoint) for c in self.channels)

    def hasten(self, barrier: Barrier) -> list[InFlight]:
        """Barriers of this checkpoint that wait in their place go out now; what they overtake is returned."""
        if self.overtaken_as is None:
            return []
        return [f for c in self.channels for f in self._in_flight(c, c.hasten(barrier))]

    def take_overtaken(self) -> list[InFlight]:
        """What unaligned barriers given to `control` have overtaken since the last call."""
        taken, self._kept = self._kept, []
        return taken

    def _in_flight(self, channel: OutputChannel, frames: list[Frame]) -> list[InFlight]:
        if not frames or self.overtaken_as is None:
            return []
        found = InFlight(
            operator=self.overtaken_as,
            edge=self.edge,
            producer=self.producer,
            consumer=channel.consumer,
            received=False,
            format=self._format,
            frames=frames,
        )
        return [found]

    def flush(self) -> None:
        """Ship what is buffered without waiting for more."""
        if self._stage is not None:
            self._stage.deal()
        for channel in self.channels:
            if channel.rows:
                channel.ship()

    def let_go(self) -> None:
        """Ends every `writable` at once, although it may still be blocked."""
        self._wake(let_go=True)

    async def writable(self) -> None:
        """Until no channel is stalled, or `let_go`. Returns at once when none is."""
        while self.blocked:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                if await waiter:
                    return
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def _on_stall(self, stalled: bool) -> None:
        self._stalled += 1 if stalled else -1
        self.blocked = self._stalled > 0
        if not self.blocked and self._waiters:
            self._wake(let_go=False)

    def _wake(self, *, let_go: bool) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(let_go)
