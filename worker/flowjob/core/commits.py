"""Permission to make results visible: what a commit must show.

Why here: only the coordinator may decide that a snapshot is final, and this is the one object that says so. It must
not know sinks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommitPermit:
    """The job's log has taken `checkpoint` as committed, under the leadership of `generation`.

    Made by the checkpoint coordinator when the log says so, and by a slot from the message that carries it."""

    checkpoint: int
    generation: int
