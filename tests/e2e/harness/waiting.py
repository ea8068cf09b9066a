"""Waiting for what a cluster does in its own time, with a reason and everything one wants to see when it does not.

Conditions are asked again and again: a missed event must not fail a test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

BETWEEN_SECONDS = 0.25


class TooLate(AssertionError):
    """What was waited for did not come. The message ends with the state of the namespace."""


def patience() -> float:
    """How much longer than on an idle machine everything may take: FLOWJOB_E2E_PATIENCE."""
    return float(os.environ.get("FLOWJOB_E2E_PATIENCE", "1"))


def wait_until(
    reason: str,
    condition: Callable[[], T | None],
    *,
    within: float,
    explain: Callable[[], str] = str,
) -> T:
    """The condition's first answer that is neither None nor False. Raises TooLate, with `reason` and `explain()`."""
    began = time.monotonic()
    limit = within * patience()
    while True:
        answer = condition()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() - began > limit:
            raise TooLate(f"{reason}: not within {limit:.0f} s\n{explain()}")
        time.sleep(BETWEEN_SECONDS)
