"""A file that is complete and not yet visible, as plain data: what a sink's snapshot holds of it, and what commits it.

Why here: whoever commits may be another process than the one that wrote, in another life of the job. It must not know
writers."""

from __future__ import annotations

from typing import Protocol

import msgspec

from flowjob.connectors.leftovers import Leftovers
from flowjob.errors import FlowjobError, LostData


class Staged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a sink.

    place   the directory, absolute, or `s3://bucket/prefix`
    name    what it will be called there
    size    its bytes
    upload, parts   of a multipart upload on S3: its id and the entity tags of its parts, in order
    """

    place: str
    name: str
    size: int
    upload: str = ""
    parts: list[str] = []

    def encode(self) -> bytes:
        return _encoder.encode(self)

    @staticmethod
    def decode(data: bytes) -> Staged:
        """Raises LostData for what is none: the snapshot is of another kind of sink, or damaged."""
        try:
            return _decoder.decode(data)
        except (msgspec.MsgspecError, ValueError) as error:
            raise LostData(
                f"a pending file of the snapshot cannot be read: {error}; it is damaged, or of another sink"
            ) from error


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Staged)


class Place(Protocol):
    """Where a sink's files go. Every method blocks; all are called off the loop."""

    def prepare(self, prefix: str) -> int:
        """Makes the place, removes unfinished files that begin with `prefix`, and returns the first number behind it
        that was never used: a published file is never written over."""
        ...

    def sweep(self, run: str, leftovers: Leftovers, keep: frozenset[str]) -> None:
        """Removes unfinished and staged files of earlier attempts (`is_left`), except those named in `keep`. The number
        of attempts must not matter: they are counted in thousands."""
        ...

    def path(self, name: str) -> str:
        """Where the file is written until it is staged."""
        ...

    def stage(self, name: str) -> Staged:
        """Makes the written file durable, still invisible."""
        ...

    def publish(self, staged: Staged) -> None:
        """Makes it visible. Idempotent, whoever staged it. Raises LostData when it is neither here nor there."""
        ...

    def discard(self, name: str, staged: Staged | None) -> None:
        """Removes what `path` or `stage` left of it; no error when there is nothing."""
        ...


def is_left(name: str, run: str, leftovers: Leftovers) -> bool:
    """Whether a file is among them: it is called `<run><attempt>-<subtask>-…` (`run` ends with a dash)."""
    if not name.startswith(run):
        return False
    attempt, _, rest = name.removeprefix(run).partition("-")
    subtask = rest.partition("-")[0]
    numbers = attempt.isdigit() and subtask.isdigit()
    return numbers and leftovers.include(int(attempt), int(subtask))


def lost(staged: Staged, found: str) -> FlowjobError:
    """The error of a file that was promised by a snapshot and is gone."""
    return LostData(
        f"{staged.place}/{staged.name} ({staged.size:,} bytes) was complete when the snapshot was taken, and {found}: "
        "its rows are lost. Was the directory emptied, or are unfinished uploads deleted by a rule of the bucket? "
        "Restore from an older snapshot, whose rows are then written again"
    )
