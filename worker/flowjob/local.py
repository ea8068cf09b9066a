"""Runs a job on this machine, with the processes and protocols of a cluster: `job.run()` and `flowjob run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowjob.job import Job


def run(job: Job, *, parallelism: int = 1, **options: Any) -> Any:
    """Runs `job` to its end in worker processes of this machine.

    options are those of runtime.minicluster.run_local. Raises JobFailed and its kin."""
    from flowjob.runtime.minicluster import run_local

    return run_local(job, parallelism=parallelism, **options)
