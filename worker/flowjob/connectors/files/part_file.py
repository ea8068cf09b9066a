"""One output file from its first row to its place, in steps that a commit can come between. Blocking.

open -> write … -> seal (complete and durable, still hidden) -> published by whoever commits, or abandon (gone)."""

from __future__ import annotations

import contextlib

import pyarrow as pa

from flowjob.connectors.files.encoders import Encoder, Encoding
from flowjob.connectors.files.staged import Place, Staged


class PartFile:
    """Created by `open`; every other method may be called once, `write` any number of times."""

    def __init__(self, place: Place, name: str, encoder: Encoder, opened_at: int) -> None:
        self.opened_at = opened_at
        self.rows = 0
        self._place = place
        self._name = name
        self._encoder = encoder
        self._closed = False

    @classmethod
    def open(
        cls, place: Place, name: str, encoding: Encoding, schema: pa.Schema, now: int
    ) -> PartFile:
        return cls(place, name, encoding.open(place.path(name), schema), now)

    def write(self, batch: pa.RecordBatch) -> None:
        self._encoder.write(batch)
        self.rows += batch.num_rows

    def size(self) -> int:
        return self._encoder.size()

    def seal(self) -> Staged:
        """Complete and durable."""
        self._closed = True
        self._encoder.close()
        return self._place.stage(self._name)

    def abandon(self) -> None:
        """Gone, whatever state it is in."""
        with contextlib.suppress(OSError, pa.ArrowException):
            if not self._closed:
                self._encoder.close()
        self._place.discard(self._name, None)
