"""How long the end of a job waits for what is still to be logged and deleted: while it gets on, and within a bound.

Nobody should find what only a little more time would have deleted, and nobody should wait for a store that does not
answer. It must not know what the work is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

STALL = 1.0
"""Seconds without any progress after which it is given up; the next start finds the rest."""

LONGEST = 10.0
"""Seconds in all, however well it gets on."""


async def wait_for_last_work(
    work: asyncio.Future[Any], progress: Callable[[], int], *, hurry: bool = False
) -> None:
    """Returns when `work` is done, or is not to be waited for any longer: cancelling it is the caller's. `progress`:
    a number that changes when it gets on. `hurry`: the job goes on elsewhere, and waits for us."""
    for _ in range(1 if hurry else int(LONGEST / STALL)):
        before = progress()
        await asyncio.wait([work], timeout=STALL)
        if work.done() or progress() == before:
            return
