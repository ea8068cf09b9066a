"""Small batches, gathered before they are partitioned: the calls cost more than the rows.

Why here: hashing and gathering 64 rows takes as long as 1000. It must keep order, and add no wait of its own: what a
timer or a control element asks to leave goes through to the channels and out."""

from __future__ import annotations

from collections.abc import Sequence

from flowjob.core.elements import Marker
from flowjob.runtime.batch import Batch, concat
from flowjob.runtime.exchange.channels import MOST_MARKERS, Flusher, OutputChannel
from flowjob.runtime.exchange.partitioners import Partitioner

ENOUGH_ROWS = 4096
"""Partitioning gains nothing from more at a time."""


class Stage:
    """In front of an edge's channels; see channels.Shippable."""

    __slots__ = (
        "_channels",
        "_flusher",
        "_markers",
        "_partitioner",
        "_parts",
        "rows",
        "shipped_at",
    )

    def __init__(
        self, channels: Sequence[OutputChannel], partitioner: Partitioner, flusher: Flusher
    ) -> None:
        self.rows = 0
        self.shipped_at = float("-inf")
        self._channels = channels
        self._partitioner = partitioner
        self._flusher = flusher
        self._parts: list[Batch] = []
        self._markers: list[tuple[OutputChannel, Marker]] = []

    @property
    def buffered_bytes(self) -> int:
        return sum(self._channels[0].format.size(part) for part in self._parts)

    def append(self, batch: Batch, rows: int) -> None:
        """Rows for whichever channel; `batch` conforms to the edge and is not empty."""
        self._parts.append(batch)
        self.rows += rows
        if self.rows >= ENOUGH_ROWS:
            channels = self._channels
            for target, part in self._partitioner.split(self._take()):
                channels[target].append(part, part.columns.num_rows)
            self._mark()
        elif len(self._parts) == 1:
            self._flusher.schedule(self)

    def deal(self) -> None:
        """Hand all rows to their channels, which need not hurry."""
        if self._parts:
            channels = self._channels
            for target, part in self._partitioner.split(self._take()):
                channels[target].add(part, part.columns.num_rows)
            self._mark()

    def mark(self, channel: OutputChannel, marker: Marker) -> None:
        """For one channel, behind all rows so far."""
        if not self._parts:
            channel.mark(marker)
        elif len(self._markers) < MOST_MARKERS:
            self._markers.append((channel, marker))

    def ship(self) -> None:
        """The rows should leave now."""
        self.shipped_at = self._flusher.now()
        self.deal()
        for channel in self._channels:
            if channel.rows:
                channel.ship()

    def _mark(self) -> None:
        if self._markers:
            markers, self._markers = self._markers, []
            for channel, marker in markers:
                channel.mark(marker)

    def _take(self) -> Batch:
        batch = concat(self._parts)
        self._parts.clear()
        self.rows = 0
        return batch
