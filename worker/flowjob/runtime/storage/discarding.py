"""Deletes all checkpoints of a job that is over and is not to go on: as a new leader, which first says so in the log.

Whoever still led can commit nothing more, and whoever begins later finds no name of what is not there any more.
Savepoints stay: they are of those who took them. It must not know who asks for it."""

from __future__ import annotations

from flowjob.core.snapshot_log import DISCARDED, Finish, Retire
from flowjob.runtime.env import Env
from flowjob.runtime.storage.garbage import delete_all
from flowjob.runtime.storage.job_log import JobLog, Terms
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import JobPaths, prefix_of


async def discard_checkpoints(env: Env, store: ObjectStore, paths: JobPaths) -> int:
    """How many objects were deleted. May be done again. Raises StorageError, LostLeadership."""
    log = JobLog(store, paths, env.clock, env.random)
    state = await log.read()
    if state.generation:  # else it has never begun
        log.terms = Terms(state.job_revision, state.parallelism, state.asked)
        generation = await log.claim("discards all checkpoints")
        await log.append(Finish(generation, DISCARDED))
        for checkpoint in log.state.retained:
            await log.append(Retire(generation, checkpoint))
    deleted = 0
    for name in (paths.checkpoints, paths.shared, paths.probes):
        deleted += len([info async for info in store.scan(prefix_of(name))])
        await delete_all(store, name)
    return deleted
