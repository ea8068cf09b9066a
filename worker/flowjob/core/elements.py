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

Control = Watermark | Status | EndOfInput
"""What may stand between two batches. Barriers join this union with checkpoints."""
