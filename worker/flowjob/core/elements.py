"""The control elements that travel between batches, and the two ends of event time.

They keep their place in a channel: everything sent before an element is seen before it. Pure data, shared by
the wire codec, the operators and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MIN_TIME = -(2**63)
"""Before any event: the watermark of an input that has sent none. Microseconds since the epoch, UTC."""

MAX_TIME = 2**63 - 1
"""After every event: the watermark of an input that has ended."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """No row with a timestamp <= `time` (µs UTC) follows, unless it is late."""

    time: int


class Status(Enum):
    """Whether an input takes part in event time."""

    IDLE = "idle"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class EndOfInput:
    """Nothing follows on this channel."""


END_OF_INPUT = EndOfInput()


class Stop(Enum):
    """What sources do behind a barrier."""

    NO = "no"  # they go on
    SUSPEND = (
        "suspend"  # they give nothing more: the job ends as it is, its state is in the snapshot
    )
    DRAIN = "drain"  # they end: time runs to its end, windows fire, before the snapshot is taken


@dataclass(frozen=True, slots=True)
class Barrier:
    """Everything before it belongs to snapshot `checkpoint`, nothing behind it does.

    checkpoint  ascending over the life of a job; never used twice
    savepoint   a person asked for it: self-contained, and no sink may have something pending in it unless `stop`
    unaligned   it overtakes data, which then is part of the snapshot
    directory   where the snapshot's objects go, below the job's root: only sources hear of it from the JobManager
    """

    checkpoint: int
    savepoint: bool = False
    unaligned: bool = False
    stop: Stop = Stop.NO
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Marker:
    """How long have rows been on their way? It left a source when the rows did that went before it.

    It means nothing to what is computed: no operator sees it, it hurries no rows, it may get lost, no snapshot has it.

    vertex  of the source
    time    of the wall clock there (µs UTC), when it left
    """

    vertex: int
    time: int


Control = Watermark | Status | EndOfInput | Barrier | Marker
"""What may stand between two batches."""
