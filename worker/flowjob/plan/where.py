"""Finds the line of the user's program that is calling us, for errors and explain.

Only for people: no decision may depend on it, since it differs between processes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).resolve().parent.parent)


def caller() -> str | None:
    """`file:line` of the nearest frame outside the package; None when there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE) and not code.co_filename.startswith("<"):
            return f"{code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None
