"""Data that a barrier overtakes, on both sides of a channel: kept for the snapshot, and still delivered as ever.

References only, until the snapshot is written: bodies are frames as they came or will go, or batches of this process.
It must not know how they are stored (runtime/checkpoint/in_flight.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flowjob.core.elements import Barrier, EndOfInput
from flowjob.plan.job_graph import ChainNode, Edge, Exchange
from flowjob.plan.partials import two_phase_possible
from flowjob.plan.specs import WindowAggregateSpec
from flowjob.runtime.batch import Batch
from flowjob.runtime.exchange.serialization import WireFormat

LOCAL = -1
"""In place of a frame's flags: the body is a Batch of this process."""
CONTROL = -2
"""In place of a frame's flags: the body is a control element."""
SPILLED = -3
"""In place of a frame's flags: the body says where on disk the frame is. Its credit has been returned."""


def overtaken_as(edge: Edge, consumer: ChainNode) -> str | None:
    """The uid under which rows of an edge are kept when a barrier overtakes them; None: barriers keep their place.

    Only keyed rows can be dealt to other subtasks at another parallelism, and only edges into an operator with a uid
    are found again, whatever the parallelism makes of the job's other edges. Nor may it change what they carry: windows
    that can get aggregated rows get them as they are when nothing is parallel."""
    spec = consumer.spec
    if isinstance(spec, WindowAggregateSpec) and (spec.from_partials or two_phase_possible(spec)):
        return None
    return consumer.uid if edge.partitioning.exchange is Exchange.HASH else None


Frame = tuple[int, Any, int]
"""(flags, body, bytes)"""


@dataclass(frozen=True, slots=True)
class InFlight:
    """What of one channel a barrier overtook, in order. `received`: by its consumer; else still with its producer.
    `operator`: the uid of the one they go to."""

    operator: str
    edge: Edge
    producer: int
    consumer: int
    received: bool
    format: WireFormat
    frames: list[Frame] = field(default_factory=list)

    def batches(self) -> Iterator[Batch]:
        """Raises ProtocolError for a frame that can't be read."""
        for flags, body, size in self.frames:
            yield body if flags == LOCAL else self.format.decode(flags, body, size)

    @property
    def bytes(self) -> int:
        return sum(size for _, _, size in self.frames)


class Capture:
    """What the inputs of a gate bring in front of the barrier of one checkpoint. `done` when all have brought it;
    failed, with the reason, when one of them never will."""

    def __init__(self, checkpoint: int, channels: dict[int, InFlight]) -> None:
        self.checkpoint = checkpoint
        self.done: asyncio.Future[list[InFlight]] = asyncio.get_running_loop().create_future()
        self._found = channels
        self._open = set(channels)
        self._judge()

    def follows(self, channel: int) -> bool:
        """Whether what `channel` brings is of interest."""
        return channel in self._open

    def add_all(self, channel: int, queued: Iterable[Frame]) -> None:
        """What has been brought and not been given yet."""
        for flags, body, size in queued:
            if self.follows(channel):
                self.add(channel, flags, body, size)

    def add(self, channel: int, flags: int, body: Any, size: int) -> None:
        if flags != CONTROL:
            self._found[channel].frames.append((flags, body, size))
        elif isinstance(body, EndOfInput):
            self._close(channel)
        elif isinstance(body, Barrier) and body.checkpoint >= self.checkpoint:
            self._close(channel)
            if body.checkpoint > self.checkpoint and not self.done.done():
                reason = f"an input brought barrier {body.checkpoint} and never this one"
                self.done.set_exception(SkippedBarrier(reason))

    def give_up(self) -> None:
        """Nobody wants it any more."""
        self._open.clear()
        self.done.cancel()

    @property
    def over(self) -> bool:
        return not self._open

    def _close(self, channel: int) -> None:
        self._open.discard(channel)
        self._judge()

    def _judge(self) -> None:
        if not self._open and not self.done.done():
            self.done.set_result(list(self._found.values()))


class SkippedBarrier(Exception):
    """Said as it is: why a snapshot can't be had."""
