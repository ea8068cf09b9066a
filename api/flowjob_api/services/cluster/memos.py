"""What was asked of a FlowJob through this service, kept on the object itself: any replica can answer from it.

An annotation, written in the same apply as the change: kind, generation, and the hashes of the caller's Idempotency-Key
and of the request. The last few are kept. Pure."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from flowjob_api.services.cluster.kubernetes import Object

ANNOTATION: Final = "flowjob.dev/api-operations"
KEY_ANNOTATION: Final = "flowjob.dev/idempotency-key"
KEPT: Final = 8


class Memo(msgspec.Struct, frozen=True, omit_defaults=True):
    """`wish`: of what was asked for, to tell a repetition from another request. `wanted`: the parallelism asked for."""

    kind: str
    generation: int
    at: str
    key: str = ""
    wish: str = ""
    wanted: int | None = None


def read(found: Object) -> list[Memo]:
    """Newest last. What people have written there instead is nothing."""
    text = (found["metadata"].get("annotations") or {}).get(ANNOTATION, "[]")
    try:
        return msgspec.json.decode(text, type=list[Memo])
    except (msgspec.MsgspecError, TypeError):
        return []


def written(memos: list[Memo]) -> str:
    return msgspec.json.encode(memos[-KEPT:]).decode()


def hashed(*words: str) -> str:
    """Short, and no way back: keys are the callers'."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:24]
