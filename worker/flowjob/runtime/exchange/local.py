"""A channel whose consumer sits in the same slot: batches pass by reference, under the same credit rules.

So a job behaves alike wherever its tasks are put: same order, same batches, same back-pressure. No bytes here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowjob.core.elements import Control
from flowjob.runtime.batch import Batch
from flowjob.runtime.exchange.channels import OutputChannel
from flowjob.runtime.exchange.gate import InputChannel
from flowjob.runtime.exchange.overtaking import LOCAL
from flowjob.runtime.exchange.serialization import cuts


class LocalLink:
    """See channels.Link."""

    ready = True

    def __init__(self, target: InputChannel, max_rows: int) -> None:
        self._target = target
        self._max_rows = max_rows

    def frames(self, channel: OutputChannel, batch: Batch) -> Iterator[tuple[int, Any, int]]:
        rows, wire = len(batch), channel.format
        size = max(1, wire.size(batch))
        limit = channel.frame_limit
        if size <= limit and rows <= self._max_rows:
            yield LOCAL, batch, size
            return
        step = max(1, min(self._max_rows, rows * limit // size))
        for start, stop in cuts(rows, step, batch.kinds):
            part = batch.slice(start, stop - start)
            yield LOCAL, part, max(1, wire.size(part))

    def send_data(self, number: int, flags: int, body: Any, size: int) -> None:
        self._target.credit.receive(size)
        self._target.deliver(flags, body, size)

    def send_control(self, number: int, element: Control) -> None:
        self._target.deliver_control(element)

    def wait(self, channel: OutputChannel) -> None:
        raise RuntimeError("a local link is always ready")


def connect(channel: OutputChannel, target: InputChannel, slot: str, max_rows: int) -> None:
    """Wire producer and consumer of this slot."""
    channel.link = LocalLink(target, max_rows)
    target.connect(slot, channel.credited)
    channel.pump()
