"""What an edit of each field of a FlowJob's spec asks for: the one table of it. One that is missing fails a test.

Pure data. changes.py compares two specs by it; carrying changes out is the reconciler's business."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final


class FieldClass(Enum):
    """Values are the words of the documentation."""

    IGNORE = "Ignore"
    LIVE = "Live"
    RESCALE = "Rescale"
    TM_ROLL = "TM roll"
    UPGRADE = "Upgrade"
    MOVE = "Move"
    STATE = "State"
    NONCE = "Nonce"
    IMMUTABLE = "Immutable"

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS: Final = MappingProxyType(
    {
        FieldClass.IGNORE: "nothing now: it is looked at when there is something to decide",
        FieldClass.LIVE: "the running JobManager is told; no pod is touched",
        FieldClass.RESCALE: "a checkpoint, and the tasks go on at the new parallelism; pods are added or removed",
        FieldClass.TM_ROLL: "a checkpoint, and new TaskManagers; the JobManager stays",
        FieldClass.UPGRADE: "the job is stopped and started again, as upgrade.mode says",
        FieldClass.MOVE: "the same, but always by a savepoint: the job goes on in another storage",
        FieldClass.STATE: "the job is started, suspended or cancelled",
        FieldClass.NONCE: "a new number asks for something once; removing it does nothing",
        FieldClass.IMMUTABLE: "refused",
    }
)

_FIELDS: Final = {
    FieldClass.IGNORE: """
        job.restoreFrom job.allowNonRestored job.stop.drain
        snapshots.schedule snapshots.retention.count snapshots.retention.maxAge
        upgrade.mode upgrade.fallback upgrade.savepointTimeout upgrade.maxCheckpointAge upgrade.preflight
        upgrade.preflightTimeout upgrade.slotsTimeout upgrade.rollback.enabled upgrade.rollback.checkpoints
        upgrade.rollback.deadline
        deletionPolicy deletionTimeout priorState
    """,
    FieldClass.LIVE: """
        job.restarts.strategy job.restarts.attempts job.restarts.delay job.restarts.longest job.restarts.failures
        job.restarts.within
        checkpoints.interval checkpoints.minPause checkpoints.timeout checkpoints.mode checkpoints.unaligned
        checkpoints.alignmentTimeout checkpoints.retained checkpoints.maxConcurrent checkpoints.tolerableFailures
    """,
    FieldClass.RESCALE: "job.parallelism",
    # Tasks are told at their deployment how much they may spill.
    FieldClass.TM_ROLL: """
        taskManager.slots taskManager.resources taskManager.localVolume taskManager.podTemplate checkpoints.spillBytes
    """,
    # Another region or credentials of one endpoint name the same objects. Should they not, a start that does not find
    # the log it was told to expect is refused.
    FieldClass.UPGRADE: """
        image imagePullPolicy imagePullSecrets serviceAccountName
        job.entrypoint job.script job.artifact job.main job.args config
        checkpoints.region checkpoints.secretRef checkpoints.caBundleRef
        jobManager.replicas jobManager.resources jobManager.podTemplate
        security.dataPlane metrics.detail
    """,
    # The same path at another endpoint is another place.
    FieldClass.MOVE: "checkpoints.storage checkpoints.endpoint",
    FieldClass.STATE: "job.state",
    FieldClass.NONCE: "job.restartNonce job.restoreNonce job.savepointNonce job.checkpointNonce",
    FieldClass.IMMUTABLE: "job.maxParallelism",
}

CLASS_OF: Final = MappingProxyType(
    {path: kind for kind, paths in _FIELDS.items() for path in paths.split()}
)
"""By path."""
