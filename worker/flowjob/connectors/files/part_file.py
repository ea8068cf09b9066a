"""One output file from hidden name to visible one, in steps that a commit can come between. Blocking.

open -> write … -> seal (complete and on disk, still hidden) -> publish (renamed), or abandon (gone). Readers never see
half a file, because they ignore the hidden name and a rename is atomic."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pyarrow as pa

from flowjob.connectors.files.encoders import Encoder, Encoding
from flowjob.connectors.files.listing import IN_PROGRESS


def hidden_name(name: str) -> str:
    """What a file is called until it is published."""
    return f".{name}{IN_PROGRESS}"


class PartFile:
    """Created by `open`; every other method may be called once, `write` any number of times."""

    def __init__(self, directory: str, name: str, encoder: Encoder, opened_at: int) -> None:
        self.opened_at = opened_at
        self.rows = 0
        self._visible = os.path.join(directory, name)
        self._hidden = os.path.join(directory, hidden_name(name))
        self._encoder = encoder
        self._sealed = False

    @classmethod
    def open(
        cls, directory: str, name: str, encoding: Encoding, schema: pa.Schema, now: int
    ) -> PartFile:
        encoder = encoding.open(os.path.join(directory, hidden_name(name)), schema)
        return cls(directory, name, encoder, now)

    def write(self, batch: pa.RecordBatch) -> None:
        self._encoder.write(batch)
        self.rows += batch.num_rows

    def size(self) -> int:
        return self._encoder.size()

    def seal(self) -> None:
        """Complete, and on disk."""
        self._sealed = True
        self._encoder.close()
        _sync(self._hidden)

    def publish(self) -> None:
        """Visible under its name; only after `seal`."""
        os.replace(self._hidden, self._visible)
        _sync(os.path.dirname(self._visible) or ".")

    def abandon(self) -> None:
        """Gone, whatever state it is in."""
        with contextlib.suppress(OSError, pa.ArrowException):
            if not self._sealed:
                self._encoder.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._hidden)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prepare_directory(directory: str, prefix: str) -> int:
    """Makes the directory, removes what an earlier attempt with this prefix left unfinished, and returns the first
    sequence number that it did not use: a published file is never written over."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    used = -1
    for name in os.listdir(directory):
        if name.startswith(f".{prefix}") and name.endswith(IN_PROGRESS):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))
        elif name.startswith(prefix):
            digits = name[len(prefix) :].split(".")[0]
            used = max(used, int(digits)) if digits.isdigit() else used
    return used + 1
