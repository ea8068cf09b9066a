"""A sink that takes everything and keeps nothing: for benchmarks, and to end a stream whose effects are elsewhere.

It touches no row, so that it measures the job and not itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.plan.types import Mode

if TYPE_CHECKING:
    from flowjob.runtime.batch import Batch


def discard() -> DiscardSink:
    """Takes every row, in any mode, and forgets it."""
    return DiscardSink()


@dataclass(frozen=True, kw_only=True)
class DiscardSink(Sink):
    """See `discard`."""

    @property
    def name(self) -> str:
        return "discard"

    @property
    def keeps_state(self) -> bool:
        return False

    @property
    def accepts(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def writer(self, context: SinkContext) -> SinkWriter:
        return DiscardWriter()


class DiscardWriter(SinkWriter):
    def write(self, batch: Batch) -> None:
        return None
