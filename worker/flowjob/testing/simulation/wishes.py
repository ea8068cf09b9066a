"""What an operator asks of a simulated cluster's job: another parallelism, a new attempt, a TaskManager less.

Carried out by whichever JobManager leads at the time, as runtime/jobmanager/operating.py does it; one that dies in the
middle is asked no more. It must not know who keeps the processes up."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from flowjob.core.coordinator_events import CheckpointRequested
from flowjob.core.job_events import RestartRequested
from flowjob.core.slot_placement import Places
from flowjob.errors import FlowjobError
from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import JobRequest
from flowjob.runtime.outbox import first_of

CHECKPOINT_WITHIN = 5.0
"""Virtual seconds."""


class WishKind(Enum):
    RESCALE = "rescale the job"
    NEW_ATTEMPT = "start all tasks again"
    LEAVE = "tell a TaskManager to end"


@dataclass(frozen=True)
class Wish:
    """`at` seconds from when the job first ran; `aim` in [0, 1) chooses the TaskManager."""

    kind: WishKind
    at: float
    parallelism: int = 1
    aim: float = 0.0


def wishes_of(seed: int, parallelism: int) -> tuple[Wish, ...]:
    """Of a seed; half of them have none."""
    chance = random.Random(f"{seed}:wishes")
    if chance.random() < 0.5:
        return ()
    kinds = [WishKind.RESCALE, WishKind.RESCALE, WishKind.NEW_ATTEMPT, WishKind.LEAVE]
    return tuple(
        Wish(
            chance.choice(kinds),
            chance.choice([0.1, 1.0, 5.0]) * chance.random(),
            chance.randint(1, max(1, parallelism)),
            chance.random(),
        )
        for _ in range(chance.choice([1, 1, 2, 4]))
    )


class Granting:
    """Within one JobManager's process. `request(parallelism)` plans; `rescaled` is told when that has come about."""

    def __init__(
        self,
        env: Env,
        manager: JobManager,
        request: Callable[[int], JobRequest],
        rescaled: Callable[[int], None],
    ) -> None:
        self._env = env
        self._manager = manager
        self._request = request
        self._rescaled = rescaled
        self._wishes: asyncio.Queue[Wish] = asyncio.Queue()

    def ask(self, wish: Wish) -> None:
        self._wishes.put_nowait(wish)

    async def run(self) -> None:
        """Until cancelled, one after the other."""
        while True:
            wish = await self._wishes.get()
            try:
                await self._grant(wish)
            except (ValueError, FlowjobError):
                pass  # the job ends, or this JobManager does

    async def _grant(self, wish: Wish) -> None:
        manager = self._manager
        checkpoints = manager.tenure.conductor.checkpoints
        if checkpoints is not None:
            request = CheckpointRequested(self._env.random.token())
            await first_of(checkpoints.request(request), self._env.clock.sleep(CHECKPOINT_WITHIN))
        if wish.kind is WishKind.NEW_ATTEMPT:
            manager.tenure.conductor.handle(RestartRequested("somebody wants it"))
            return
        await manager.succeed(self._request(wish.parallelism), Places(), adopt=False)
        self._rescaled(wish.parallelism)
