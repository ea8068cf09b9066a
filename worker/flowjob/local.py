"""Runs a job on this machine, with the processes and protocols of a cluster: `job.run()` and `flowjob run`.

The runtime is imported when a job is run, never before: writing a job must stay light."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowjob.job import Job


def run(job: Job, *, parallelism: int = 1, **options: Any) -> Any:
    """Runs `job` to its end in worker processes of this machine, and prints what they print.

    options are those of runtime.minicluster.run_local. Raises JobFailed and its kin."""
    from flowjob.runtime.minicluster import run_local

    if "listeners" not in options:
        options.setdefault("on_output", show_output)
    return run_local(job, parallelism=parallelism, **options)


def show_output(slot: int, stream: str, lines: list[str]) -> None:  # noqa: ARG001 - a listener gets it
    """Prints lines of a worker where this process prints."""
    to = sys.stderr if stream == "stderr" else sys.stdout
    to.write("".join(f"{line}\n" for line in lines))
    to.flush()
