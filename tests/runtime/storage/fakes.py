"""Chance from a seed, a store that fails by chance, and a small log to write: what the tests here share."""

from __future__ import annotations

import asyncio
import random

import msgspec

from flowjob.runtime.storage.job_log import JobLog, LogRules
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


class Claimed(msgspec.Struct, frozen=True, tag=True):
    generation: int
    revision: str


class Said(msgspec.Struct, frozen=True, tag=True):
    generation: int
    word: str


class Story(msgspec.Struct, frozen=True):
    """All that was said, and by which generation; only what the newest claimant says counts."""

    generation: int = 0
    words: tuple[tuple[int, str], ...] = ()


def told(story: Story, record: Claimed | Said) -> Story:
    if isinstance(record, Claimed):
        return Story(record.generation, story.words)
    assert record.generation == story.generation, "a former leader has written"
    return Story(story.generation, (*story.words, (record.generation, record.word)))


RULES: LogRules[Claimed | Said, Story] = LogRules(
    record_type=Claimed | Said,
    state_type=Story,
    empty=Story(),
    apply=told,
    generation=lambda story: story.generation,
    claim=Claimed,
)


def log_of(store: ObjectStore, seed: int = 0) -> JobLog[Claimed | Said, Story]:
    return JobLog(store, JobPaths.of("j"), RULES, MockClock(), SeededRandom(seed))
