"""The job that verifies itself (tests/recovery), as a FlowJob whose results are in the bucket: each row exactly once.

What is wrong with the results is said by the same judge that judges struck processes on one machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.e2e.harness.storage import Bucket
from tests.recovery.verifier import problems

RESULTS = "results"


def rows_so_far(bucket: Bucket) -> int:
    """Distinct rows that are in the published results by now."""
    lines = (
        line for name in bucket.names(f"{RESULTS}/rows/") for line in bucket.read(name).splitlines()
    )
    return len({json.loads(line)["n"] for line in lines})


def files_so_far(bucket: Bucket) -> int:
    """Published files of rows: cheap to ask for, and each is a sign of life."""
    return len(bucket.names(f"{RESULTS}/rows/"))


def what_is_wrong(bucket: Bucket, rows: int, results: str = RESULTS, *, runs: int = 1) -> list[str]:
    """Of the results of a job that has ended; empty: each of its `rows` is there exactly once, in order. Where other
    jobs have begun them, in `runs` all together, names of files say nothing of the order."""
    with tempfile.TemporaryDirectory() as folder:
        found = problems(bucket.download(results, Path(folder)), rows, run="none")
    return [problem for problem in found if runs == 1 or " comes after " not in problem]
