"""Takes a job over from whoever ran it before: claims its log, and decides from what the run begins.

Comes before anything is started: where it raises, nothing was. What is decided is said in core/recovery.py."""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.checkpoints import CheckpointService, Shell
from flowjob.runtime.jobmanager.manifests import JobAtHand
from flowjob.runtime.jobmanager.request import JobRequest
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint, SnapshotStore

ATTEMPTS_PER_GENERATION = 1000
"""Attempts of different JobManagers must differ: names of objects are made of them."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Leadership of a job. `initial`: what its run begins from."""

    generation: int
    checkpoints: CheckpointService
    initial: RestorePoint | None

    @property
    def attempts_before(self) -> int:
        return (self.generation - 1) * ATTEMPTS_PER_GENERATION


async def take_lead(env: Env, request: JobRequest, shell: Shell) -> Lead | None:
    """None when the job takes no snapshots. Raises StorageError and SnapshotError."""
    settings, plan = request.checkpoints, request.job.checkpoints
    if settings is None or plan is None:
        return None
    store = SnapshotStore(env, plan.location, plan.root)
    state = await store.claim(request.job.digest)
    await store.begin(request.job.run_id, "")
    at_hand = JobAtHand(request.graph, request.job.run_id, request.job.explain)
    service = CheckpointService(env, settings, store, at_hand, shell)
    service.open(None)
    return Lead(state.generation, service, None)
