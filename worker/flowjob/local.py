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
    from dataclasses import fields

    from flowjob.runtime.jobmanager.request import Listeners
    from flowjob.runtime.minicluster import LocalOptions, run_local

    known = [f.name for kind in (LocalOptions, Listeners) for f in fields(kind)]
    known += ["options", "listeners"]
    for name in options:
        if name not in known:
            raise TypeError(f"run has no option `{name}`; it has: parallelism, {', '.join(known)}")
    if "listeners" not in options:
        options.setdefault("on_output", show_output)
    return run_local(job, parallelism=parallelism, **options)


def show_output(slot: int, stream: str, lines: list[str]) -> None:  # noqa: ARG001 - a listener gets it
    """Prints lines of a worker where this process prints."""
    to = sys.stderr if stream == "stderr" else sys.stdout
    if to is None:  # this process was started without
        return
    to.write("".join(f"{line}\n" for line in lines))
    to.flush()
