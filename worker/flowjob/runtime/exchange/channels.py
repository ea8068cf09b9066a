"""One output channel: rows that wait to be shipped, frames that wait for credit, all in order.

Why here: batching, flow control and order are the same whether the consumer sits in another process or in this one;
only the link below differs. Rows stay unencoded as long as they could not leave anyway, so batches grow under load.
It must not know how rows were assigned to it, nor sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from flowjob.core.credit import SendCredit
from flowjob.core.elements import Barrier, Control, Marker, Watermark
from flowjob.runtime.batch import Batch, concat
from flowjob.runtime.exchange.overtaking import Frame
from flowjob.runtime.exchange.serialization import WireFormat
from flowjob.runtime.exchange.settings import ExchangeSettings

MOST_QUEUED = 64
"""Elements that may wait for credit before the writer counts as blocked: controls cost no credit, but memory."""


MOST_MARKERS = 4
"""That may wait at one channel. They measure how long it takes, so they must not be what takes long."""


class Link(Protocol):
    """What carries a channel's elements: a connection, or the gate itself in the same process."""

    ready: bool
    """Whether it takes data now."""

    def frames(self, channel: OutputChannel, batch: Batch) -> Iterator[tuple[int, Any, int]]:
        """(flags, body, bytes) pieces of `batch` that fit the channel's frame limit."""
        ...

    def send_data(self, number: int, flags: int, body: Any, size: int) -> None: ...

    def send_control(self, number: int, element: Control) -> None: ...

    def wait(self, channel: OutputChannel) -> None:
        """Call `channel.pump()` once when ready again."""
        ...


class Shippable(Protocol):
    """Rows that wait to leave. `rows` says how many, `shipped_at` when some last left (monotonic)."""

    rows: int
    shipped_at: float

    def ship(self) -> None: ...


class Flusher(Protocol):
    """Calls `ship()` of what has waited long enough."""

    def now(self) -> float:
        """Seconds, monotonic."""
        ...

    def schedule(self, waiting: Shippable) -> None:
        """`waiting` has its first row."""
        ...

    def failed(self, error: Exception) -> None:
        """Rows could not be shipped, and no task is there to tell."""
        ...


class OutputChannel:
    """Rows and controls from one producer to one consumer.

    stalled   it takes no more for now: credit or socket is missing and its buffers are full
    on_stall  told when that changes
    """

    __slots__ = (
        "_flusher",
        "_full_bytes",
        "_full_rows",
        "_markers",
        "_parts",
        "_queue",
        "consumer",
        "credit",
        "due",
        "format",
        "frame_limit",
        "link",
        "number",
        "on_stall",
        "producer",
        "queued_bytes",
        "rows",
        "sent_batches",
        "sent_bytes",
        "shipped_at",
        "stalled",
        "waiting",
        "waiting_bytes",
    )

    def __init__(
        self,
        producer: int,
        consumer: int,
        wire: WireFormat,
        settings: ExchangeSettings,
        flusher: Flusher,
    ) -> None:
        self.producer = producer
        self.consumer = consumer
        self.format = wire
        self.link: Link | None = None
        self.number = 0
        self.credit = SendCredit()
        self.frame_limit = settings.frame_bytes
        self.rows = 0
        self.waiting_bytes = 0
        self.queued_bytes = 0
        self.sent_bytes = 0
        self.sent_batches = 0
        self.shipped_at = float("-inf")
        self.due = False
        self.stalled = False
        self.waiting = False
        self.on_stall: Callable[[bool], None] = _ignore
        self._flusher = flusher
        self._full_rows = settings.batch_rows
        self._full_bytes = settings.frame_bytes
        self._parts: list[Batch] = []
        self._markers: list[Marker] = []
        self._queue: deque[tuple[int, Any, int] | Control] = deque()

    @property
    def buffered_bytes(self) -> int:
        """Rows not shipped and frames not sent, in bytes."""
        return self.waiting_bytes + self.queued_bytes

    @property
    def empty(self) -> bool:
        """Whether all that was written has been handed to the link."""
        return not self._parts and not self._queue

    def append(self, batch: Batch, rows: int) -> None:
        """Rows for this channel; `batch` conforms to the edge and is not empty. They leave in time."""
        first = not self._parts
        self.add(batch, rows)
        if first and self._parts:
            self._flusher.schedule(self)

    def add(self, batch: Batch, rows: int) -> None:
        """The same, but only their number makes them leave: the caller calls `ship`."""
        self._parts.append(batch)
        self.rows += rows
        self.waiting_bytes += self.format.size(batch)
        if self.rows >= self._full_rows or self.waiting_bytes >= self._full_bytes:
            self.ship()

    def control(self, element: Control) -> None:
        """Goes out after every row so far."""
        if self._parts:
            self._encode()
        queue = self._queue
        if not queue and self.link is not None:
            self.link.send_control(self.number, element)
            return
        if queue and isinstance(element, Watermark) and isinstance(queue[-1], Watermark):
            queue[-1] = element
        else:
            queue.append(element)
        self._judge()

    def mark(self, marker: Marker) -> None:
        """Goes out behind every row so far, when they go: unlike other elements it makes nothing leave sooner."""
        if self._parts:
            if len(self._markers) < MOST_MARKERS:
                self._markers.append(marker)
        elif self._queue:
            if sum(isinstance(e, Marker) for e in self._queue) < MOST_MARKERS:
                self._queue.append(marker)
        elif self.link is not None:
            self.link.send_control(self.number, marker)

    def overtake(self, barrier: Barrier) -> list[Frame]:
        """The barrier goes out now, before everything that still waits here: that is returned, and follows."""
        if self._parts:
            self._encode()
        overtaken = [e for e in self._queue if isinstance(e, tuple)]
        if self.link is not None:
            self.link.send_control(self.number, barrier)
        else:
            self._queue.appendleft(barrier)
        return overtaken

    def holds(self, checkpoint: int) -> bool:
        """Whether its barrier is still waiting here."""
        return any(isinstance(e, Barrier) and e.checkpoint == checkpoint for e in self._queue)

    def hasten(self, barrier: Barrier) -> list[Frame]:
        """The same for a barrier that waits here in its place: what is behind it is not overtaken."""
        overtaken: list[Frame] = []
        for element in self._queue:
            if isinstance(element, tuple):
                overtaken.append(element)
            elif isinstance(element, Barrier) and element.checkpoint == barrier.checkpoint:
                self._queue.remove(element)
                if self.link is not None:
                    self.link.send_control(self.number, barrier)
                self._judge()
                return overtaken
        return []

    def ship(self) -> None:
        """The rows should leave now: they do, or stay where more can join them until they can."""
        if self._parts:
            if self._queue or not self._may_send():
                self.due = True
                self._await_link()
            else:
                self._encode()
        self._judge()

    def credited(self, returned: int, granted: int) -> None:
        """The consumer has consumed some and allows more."""
        if self.credit.available == 0 and self.credit.outstanding == 0 and granted:
            # The first grant is the smallest window there will be: frames should fit it.
            self.frame_limit = min(self.frame_limit, granted)
        self.credit.add(returned, granted)
        self.pump()

    def pump(self) -> None:
        """Credit or the link came back: send what waits, as far as they go."""
        if self._queue:
            self._drain()
        if self.due and self._parts and not self._queue:
            if self._may_send():
                try:
                    self._encode()
                except Exception as error:  # noqa: BLE001 - called from the loop: nobody else would hear of it
                    self._flusher.failed(error)
            else:
                self._await_link()
        if self.stalled:
            self._judge()

    def _may_send(self) -> bool:
        link = self.link
        return link is not None and link.ready and self.credit.available > 0

    def _await_link(self) -> None:
        if self.link is not None and not self.link.ready and not self.waiting:
            self.waiting = True
            self.link.wait(self)

    def _encode(self) -> None:
        """Turn the buffered rows into frames: sent straight away, or behind what is queued."""
        batch = concat(self._parts)
        self._parts.clear()
        self.rows = self.waiting_bytes = 0
        self.due = False
        self.shipped_at = self._flusher.now()
        link = self.link
        frames = link.frames(self, batch) if link is not None else self._unlinked(batch)
        queue = self._queue
        for flags, body, size in frames:
            if not queue and link is not None and link.ready and self.credit.allows(size):
                self._send(link, flags, body, size)
            else:
                queue.append((flags, body, size))
                self.queued_bytes += size
        if queue:
            self._await_link()
        if self._markers:
            markers, self._markers = self._markers, []
            for marker in markers:
                self.mark(marker)

    def _unlinked(self, batch: Batch) -> Iterator[tuple[int, Any, int]]:
        raise RuntimeError("an output was written to before its exchange was connected")

    def _send(self, link: Link, flags: int, body: Any, size: int) -> None:
        self.credit.spend(size)
        self.sent_bytes += size
        self.sent_batches += 1
        link.send_data(self.number, flags, body, size)

    def _drain(self) -> None:
        queue, link = self._queue, self.link
        if link is None:
            return
        while queue:
            head = queue[0]
            if not isinstance(head, tuple):
                link.send_control(self.number, head)
            elif link.ready and self.credit.allows(head[2]):
                self.queued_bytes -= head[2]
                self._send(link, *head)
            else:
                break
            queue.popleft()
        if queue:
            self._await_link()

    def _judge(self) -> None:
        full = self.rows >= self._full_rows or self.waiting_bytes >= self._full_bytes
        stalled = full or self.queued_bytes >= self._full_bytes or len(self._queue) >= MOST_QUEUED
        if stalled != self.stalled:
            self.stalled = stalled
            self.on_stall(stalled)


def _ignore(stalled: bool) -> None:
    """Before a writer listens."""
