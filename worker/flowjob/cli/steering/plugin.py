"""Whether this process is `kubectl flowjob`: the same program, which asks the cluster of kubectl unless told otherwise.

kubectl runs the console script `kubectl-flowjob`. Imported for every command: it must import nothing of ours."""

from __future__ import annotations

import os
import sys

NAME = "kubectl-flowjob"


def is_plugin() -> bool:
    """By the name that it was started under."""
    return os.path.basename(sys.argv[0]).removesuffix(".exe") == NAME
