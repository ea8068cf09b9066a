"""Operations: every POST begins one, and answers with it before it is done.

Asked again under the same Idempotency-Key it is the same operation."""

from __future__ import annotations

from typing import Literal

from flowjob_api.schemas.history import SnapshotFacts
from flowjob_api.schemas.model import Answer, Time, example

OperationKind = Literal[
    "Savepoint", "Stop", "Upgrade", "Suspend", "Resume", "Scale", "Cancel", "Restart",
    "VerifySnapshot", "DeleteSnapshot", "Submit", "Restore",
]  # fmt: skip


class JobRef(Answer):
    """Which job."""

    namespace: str
    name: str


class Progress(Answer):
    """How far an operation is. `share`: 0 to 1; null when that cannot be told."""

    share: float | None = None
    step: str = ""
    """What it is doing, or waits for."""


class OperationError(Answer):
    """Why it failed."""

    code: str
    """As in docs/rest.md and docs/errors.md."""
    message: str


class OperationResult(Answer):
    """What it has brought."""

    snapshot: SnapshotFacts | None = None
    parallelism: int | None = None
    notes: list[str] = []


class Operation(Answer):
    """Something that was asked for, and what has become of it."""

    model_config = example(
        id="9a3c.7", kind="Scale", job={"namespace": "shop", "name": "orders"}, state="Running",
        progress={"share": 0.5, "step": "waits for a checkpoint"}, startedAt="2026-03-01T12:00:00.000Z",
        endedAt=None, error=None, result=None,
    )  # fmt: skip
    id: str
    kind: OperationKind
    job: JobRef
    state: Literal["Pending", "Running", "Done", "Failed"]
    progress: Progress = Progress()
    started_at: Time | None = None
    ended_at: Time | None = None
    error: OperationError | None = None
    result: OperationResult | None = None
