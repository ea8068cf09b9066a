"""What a FlowJob remembers of snapshots, and the nonces it has acted upon.

Parts of FlowJobStatus (flowjob_status.py). A fact names a snapshot so exactly that no other is taken for it."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from flowjob_operator.resources.fields import Bytes, Count, Digest, Name, Nonce, Text, Time
from flowjob_operator.resources.model import Model


class SnapshotType(Enum):
    SAVEPOINT = "Savepoint"
    CHECKPOINT = "Checkpoint"


class SnapshotFact(Model):
    """A complete snapshot, as the job's log has it."""

    type: SnapshotType = Field(
        description="A savepoint is nobody else's; a checkpoint is retired by later ones."
    )
    id: Count | None = Field(default=None, description="Its number in the log.")
    path: Text = Field(description="Where it lies.")
    checksum: Digest | None = Field(default=None, description="Of its manifest.")
    completed_at: Time | None = Field(default=None, description="When it was completed.")
    size: Bytes | None = Field(default=None, description="In bytes.")
    name: Name | None = Field(default=None, description="Its FlowSnapshot, if it has one.")


class Nonces(Model):
    """The last ones that were acted upon; absent: none."""

    restart: Nonce | None = Field(default=None, description="spec.job.restartNonce.")
    restore: Nonce | None = Field(default=None, description="spec.job.restoreNonce.")
    savepoint: Nonce | None = Field(default=None, description="spec.job.savepointNonce.")
    checkpoint: Nonce | None = Field(default=None, description="spec.job.checkpointNonce.")
