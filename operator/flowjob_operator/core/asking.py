"""The ids under which a JobManager is asked: made of what status remembers, so that a request is the same one after a
restart of the operator, and another one for another purpose.

Pure. The process layer asks what became of them (`asked_of_job`); the decisions say when to ask."""

from __future__ import annotations

from flowjob_operator.resources.flowjob_status import Operation
from flowjob_operator.resources.kinds import FlowJob


def request_id(operation: Operation, kind: str, attempt: int = 0) -> str:
    """For a request (`Stop`, `Rescale`, …) that is part of an operation. Two operations of one generation differ in
    their revision or type."""
    base = f"{operation.id}.{operation.type.value}.{operation.revision or 0}.{kind}"
    return base if attempt == 0 else f"{base}.{attempt}"


def checkpoint_id(job: FlowJob, nonce: int) -> str:
    """For spec.job.checkpointNonce."""
    return f"{job.metadata.uid}.checkpoint.{nonce}"


KINDS = ("Stop", "Cancel", "Rescale", "Settings", "Checkpoint", "NewAttempt")


def asked_of_job(job: FlowJob) -> tuple[str, ...]:
    """All ids that status may have asked under: what the JobManager says of them belongs into Observed.operations."""
    found = []
    operation = job.status.operation
    if operation is not None:
        found = [request_id(operation, kind, operation.attempts) for kind in KINDS]
    nonce = job.spec.job.checkpoint_nonce
    done = None if job.status.nonces is None else job.status.nonces.checkpoint
    if nonce is not None and nonce != done:
        found.append(checkpoint_id(job, nonce))
    return tuple(found)
