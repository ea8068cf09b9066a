"""One question for many who ask it: those that come while it is being answered, or right after, get that answer.

A hundred pages that follow one job cost its JobManager as much as one. Rights are looked at before: what is shared here
is only given to who may see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any

from flowjob_api.clock import Clock


@dataclass(slots=True)
class _Answer:
    task: asyncio.Task[Any]
    waiting: int = 0
    at: float | None = None


class Sharing:
    """Answers are kept for `seconds` behind their arrival, failures not at all; those that are over make room when
    there are `most`."""

    def __init__(self, clock: Clock, *, most: int = 1000) -> None:
        self._clock = clock
        self._most = most
        self._answers: dict[Hashable, _Answer] = {}

    async def ask(
        self, key: Hashable, seconds: float, question: Callable[[], Awaitable[Any]]
    ) -> Any:
        """What `question` answers, now or a moment ago. Raises what it raises."""
        answer = self._answers.get(key)
        if answer is None or self._is_over(answer, seconds):
            answer = self._begin(key, question)
        answer.waiting += 1
        try:
            return await asyncio.shield(answer.task)
        finally:
            answer.waiting -= 1
            if answer.waiting == 0 and not answer.task.done():
                answer.task.cancel()  # nobody wants to know any more
                self._forget(key, answer)

    def _is_over(self, answer: _Answer, seconds: float) -> bool:
        return answer.at is not None and self._clock.monotonic() - answer.at >= seconds

    def _begin(self, key: Hashable, question: Callable[[], Awaitable[Any]]) -> _Answer:
        if len(self._answers) >= self._most:
            done = [k for k, a in self._answers.items() if a.task.done()]
            for old in done:
                del self._answers[old]
        answer = _Answer(asyncio.ensure_future(_asked(question)))
        self._answers[key] = answer

        def arrived(task: asyncio.Task[Any]) -> None:
            answer.at = self._clock.monotonic()
            if task.cancelled() or task.exception() is not None:
                self._forget(key, answer)

        answer.task.add_done_callback(arrived)
        return answer

    def _forget(self, key: Hashable, answer: _Answer) -> None:
        if self._answers.get(key) is answer:
            del self._answers[key]


async def _asked(question: Callable[[], Awaitable[Any]]) -> Any:
    return await question()
