"""How long a person waits for the first row: from the start of the command to the first line on its output.

The whole way of `flowjob run`: interpreter, imports, worker processes, plan, deployment, one row, one table."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parent / "one_row.py"
COMMAND = "from flowjob.cli.main import main; main()"
TRIES = 5


def startup(parallelism: int) -> dict[str, Any]:
    """The median of some tries, in seconds."""
    seconds = sorted(first_row(parallelism) for _ in range(TRIES))
    return {
        "name": "startup",
        "rows": 1,
        "seconds": round(seconds[TRIES // 2], 3),
        "slowest_seconds": round(seconds[-1], 3),
        "parallelism": parallelism,
    }


def first_row(parallelism: int) -> float:
    """Seconds from the start of the process to the first row that the job prints."""
    arguments = ["run", str(SCRIPT), "--no-progress", "-p", str(parallelism)]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.monotonic() - began
        process.stdout.read()
    if process.returncode or "first" not in line:
        raise RuntimeError(f"the job ended with {process.returncode} and printed {line!r}")
    return seconds
