"""Directories on local disk that a run may fill and that nobody finds afterwards.

Light: imported by the command line before anything else."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path


def run_directory() -> Path:
    """A new directory that only this user can read. Whoever made it calls `remove`."""
    return Path(tempfile.mkdtemp(prefix="flowjob-"))


def remove(directory: Path) -> None:
    """With all that is in it; never an error, for it is called on the way out of other errors."""
    shutil.rmtree(directory, ignore_errors=True)
