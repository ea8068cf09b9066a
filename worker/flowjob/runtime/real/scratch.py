"""Directories on local disk that a run may fill and that nobody finds afterwards.

Light: imported by the command line before anything else."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

PAUSES = (0.01, 0.05, 0.2, 0.5)
"""Seconds after each try."""


def run_directory() -> Path:
    """A new directory that only this user can read. Whoever made it calls `remove`."""
    return Path(tempfile.mkdtemp(prefix="flowjob-"))


def remove(directory: Path) -> None:
    """With all that is in it; never an error, for it is called on the way out of other errors.

    Again, when something comes while it goes: the copy of a killed slot (freezer.py) dies a moment after it."""
    for pause in PAUSES:
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(pause)
