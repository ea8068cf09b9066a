"""What an exchange is told: its limits, who it is, where the others are and which channels end in it.

Plain data, made by the slot from what the JobManager sends and the job sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flowjob.core.handshake import Party
from flowjob.plan.job_graph import Edge

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """Sizes in bytes, times in seconds.

    batch_rows          a channel's buffer leaves when it holds so many rows; no frame has more
    frame_bytes         … or about so many bytes; larger frames are split by rows
    flush_interval      … or when its first row has waited so long; 0: at once
    compression         of frames that cross a socket
    receive_budget      in flight to, or queued in, this slot, over all channels
    exclusive_bytes     of that, a channel's own part (less where there are very many channels)
    largest_window      the most that one channel's window may grow to out of the rest
    write_queue         in user space per connection
    read_ahead          buffer per incoming connection, out of which small frames are cut
    largest_row         a frame that cannot be split may be so large
    connect_deadline    until every peer must have answered, retries included
    handshake_deadline  for a peer that has connected to show who it is
    max_strangers       connections that have not shown it yet; the oldest gives way
    """

    batch_rows: int = 16_384
    frame_bytes: int = 256 * KIB
    flush_interval: float = 0.001
    compression: Literal["lz4", "zstd"] | None = None
    receive_budget: int = 64 * MIB
    exclusive_bytes: int = 256 * KIB
    largest_window: int = 4 * MIB
    write_queue: int = 512 * KIB
    read_ahead: int = 128 * KIB
    largest_row: int = 256 * MIB
    connect_deadline: float = 30.0
    handshake_deadline: float = 5.0
    max_strangers: int = 32


Identity = Party
"""This slot, in one attempt of one job. `slot` is its name, unique in the attempt and shown in errors."""


@dataclass(frozen=True, slots=True)
class SlotAddress:
    """Where a slot listens."""

    slot: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One input channel of a gate: the rows of `edge` that its subtask `producer` sends."""

    edge: Edge
    producer: int
