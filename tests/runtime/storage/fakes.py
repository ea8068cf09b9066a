"""Chance from a seed, a store that fails by chance, and a small log to write: what the tests here share."""

from __future__ import annotations

import asyncio
import random

from flowjob.core.snapshot_log import Commit, LogState
from flowjob.runtime.storage.job_log import JobLog
from flowjob.runtime.storage.memory import NoFaults
from flowjob.runtime.storage.object_store import ObjectStore, StorageError
from flowjob.runtime.storage.paths import JobPaths
from flowjob.testing import MockClock


class SeededRandom:
    """Env.random from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def random(self) -> float:
        return self._random.random()

    def token(self) -> str:
        return f"{self._random.getrandbits(64):016x}"


class ChanceFaults(NoFaults):
    """Every operation waits a while, and fails before or after it has happened with this probability each."""

    def __init__(self, seed: int, probability: float) -> None:
        self._random = random.Random(seed)
        self._probability = probability

    async def before(self, operation: str, name: str) -> None:
        await self._happen(f"{operation} {name}: not done")

    async def after(self, operation: str, name: str) -> None:
        await self._happen(f"{operation} {name}: done, but the answer was lost")

    async def _happen(self, message: str) -> None:
        if self._random.random() < 0.5:
            await asyncio.sleep(self._random.random())
        if self._random.random() < self._probability:
            raise StorageError(message)


def log_of(store: ObjectStore, seed: int = 0) -> JobLog:
    return JobLog(store, JobPaths.of("j"), MockClock(), SeededRandom(seed))


def said(log: JobLog, word: str) -> Commit:
    """The next commit of the leader: `word` stands for its manifest."""
    return Commit(log.state.generation, log.state.highest + 1, word, 0)


def story(state: LogState) -> list[str]:
    """All that was said."""
    return [commit.manifest for commit in state.committed]
