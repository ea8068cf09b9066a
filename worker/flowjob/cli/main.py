"""How the `flowjob` command begins and ends: for people with all its words, for a cluster's pods with what they need.

A pod is one of very few commands, and a job without a JobManager waits for it: whatever reads a person's command line,
0.15 s of a processor, is not even imported there. It must not know what commands do."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowjob.cli.exits import EXIT_CANCELLED, EXIT_FAILED, exit_with
from flowjob.errors import FlowjobError

if TYPE_CHECKING:
    from flowjob.cli.cluster_services import PodOptions

PROCESSES = ("run", "jobmanager", "taskmanager", "preflight", "storage")
"""Words that processes of jobs begin with: all others are put together only where one of them may be meant."""

YOUNG = 20_000
"""Objects until the youngest are looked through for garbage. Python's 700 is 15 % of the time that imports take."""

_PODS = ("jobmanager", "taskmanager")
_OF_PODS = {"--job-file": "job_file", "--token-file": "token_file", "--directory": "directory"}
_CANNOT_WRITE = (errno.ENOSPC, errno.EIO, errno.EDQUOT)


def main() -> None:
    """The console script: runs the command and exits with its status (docs/command-line.md lists them)."""
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    open_standard_streams()
    try:
        _run(sys.argv[1:])
    except FlowjobError as error:
        sys.exit(exit_with(error, sys.stderr, as_json="--json" in sys.argv))
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        print(f"error: output could not be written: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_CANCELLED)


def _run(arguments: Sequence[str]) -> None:
    pod = of_pod(arguments)
    if pod is not None:
        from flowjob.cli.cluster_services import serve_jobmanager, serve_taskmanager

        (serve_jobmanager if arguments[0] == "jobmanager" else serve_taskmanager)(pod)
        return
    if not arguments or arguments[0] not in PROCESSES:
        from flowjob.cli.everything import app
    else:
        from flowjob.cli.commands import app
    app(_with_address(arguments))


def of_pod(arguments: Sequence[str]) -> PodOptions | None:
    """Options of a cluster's pod as the operator gives them; None: a command that is read as a person's, who is told
    what is wrong with it."""
    word, *more = arguments or ("",)
    if word not in _PODS or len(more) % 2 or "--job-file" not in more[::2]:
        return None
    if not set(more[::2]) <= _OF_PODS.keys() or any(value.startswith("-") for value in more[1::2]):
        return None
    from flowjob.cli.cluster_services import PodOptions

    return PodOptions(**{_OF_PODS[name]: value for name, value in zip(more[::2], more[1::2])})


def _with_address(given: Sequence[str]) -> list[str]:
    """`--web` may stand without its value."""
    if "--web" not in given:
        return list(given)
    from flowjob.cli.web import with_address

    return with_address(list(given))


def open_standard_streams() -> None:
    """Closed ones (`flowjob run … >&-`) lead nowhere, so that no socket of ours takes their numbers."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", closefd=False))  # noqa: SIM115
