"""What a client and its JobManager must not wait for before they start."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numba", "boto3", "botocore", "flowjob.kernels")


@pytest.mark.slow
def test_a_job_manager_starts_without_a_compiler_and_without_clouds() -> None:
    program = (
        "import sys, flowjob.cli.run, flowjob.runtime.minicluster, flowjob.runtime.real.host\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
