"""What processes must not wait for before they start."""

from __future__ import annotations

import subprocess
import sys

import pytest

JOB_MANAGER = (
    "flowjob.cli.run",
    "flowjob.runtime.minicluster",
    "flowjob.runtime.real.host",
)
TASK_MANAGER = ("flowjob.runtime.taskmanager", "flowjob.runtime.real.taskmanager_process")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (JOB_MANAGER, ("numba", "boto3", "botocore", "flowjob.kernels")),
        (TASK_MANAGER, ("numpy", "pyarrow", "cloudpickle", "boto3", "flowjob.plan.specs")),
    ],
    ids=["JobManager", "TaskManager"],
)
def test_a_process_starts_without_what_only_slots_need(
    modules: tuple[str, ...], heavy: tuple[str, ...]
) -> None:
    program = f"import sys, {', '.join(modules)}\nprint([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
