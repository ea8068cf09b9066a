"""One question for many who ask it: those that come while it is being answered, or right after, get that answer.

A hundred pages that follow one job cost its JobManager as much as one. Rights are looked at before: what is shared here
is only given to who may see it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from flowjob_api.clock import Clock

UNKNOWN: Final = object()
"""What nobody has asked, or too long ago."""


@dataclass(slots=True)
class _Answer:
    """`at`: when it was asked for; what it says may be as old as that."""

    task: asyncio.Task[Any]
    at: float
    waiting: int = 0
    next: asyncio.Task[Any] | None = None


class Sharing:
    """Answers are given out until `seconds` behind the question, failures to those only who wait for them. At most
    `most` are kept, and none for longer than `forgotten_after` seconds if others are asked for."""

    def __init__(self, clock: Clock, *, most: int = 1000, forgotten_after: float = 60.0) -> None:
        self._clock = clock
        self._most = most
        self._forgotten_after = forgotten_after
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def known(self, key: Hashable, seconds: float) -> Any:
        """What was answered no longer ago than that, or UNKNOWN."""
        answer = self._answers.get(key)
        if answer is None or not answer.task.done() or self._is_over(answer, seconds):
            return UNKNOWN
        return UNKNOWN if _failed(answer.task) else answer.task.result()

    async def ask(
        self,
        key: Hashable,
        seconds: float,
        question: Callable[[], Awaitable[Any]],
        again: float | None = None,
    ) -> Any:
        """What `question` answers, now or a moment ago. Raises what it raises. `again`: seconds behind a question when
        it is asked again, while what it was answered is still given out."""
        answer = self._answers.get(key)
        if answer is None or self._is_over(answer, seconds):
            answer = self._begin(key, question)
        elif answer.task.done():
            if again is not None and answer.next is None and self._is_over(answer, again):
                self._ask_again(key, answer, question)
            return answer.task.result()
        answer.waiting += 1
        try:
            return await asyncio.shield(answer.task)
        finally:
            answer.waiting -= 1
            if answer.waiting == 0 and not answer.task.done():
                answer.task.cancel()  # nobody wants to know any more
                self._forget(key, answer)

    def forget(self, key: Hashable) -> None:
        """Whoever asks from now on is told anew."""
        self._answers.pop(key, None)

    def _is_over(self, answer: _Answer, seconds: float) -> bool:
        return answer.task.done() and self._clock.monotonic() - answer.at >= seconds

    def _begin(self, key: Hashable, question: Callable[[], Awaitable[Any]]) -> _Answer:
        now = self._clock.monotonic()
        self._answers.pop(key, None)
        self._make_room(now)
        answer = _Answer(asyncio.ensure_future(_asked(question)), now)
        self._answers[key] = answer

        def arrived(task: asyncio.Task[Any]) -> None:
            if _failed(task):
                self._forget(key, answer)

        answer.task.add_done_callback(arrived)
        return answer

    def _ask_again(
        self, key: Hashable, old: _Answer, question: Callable[[], Awaitable[Any]]
    ) -> None:
        now = self._clock.monotonic()
        old.next = asyncio.ensure_future(_asked(question))

        def arrived(task: asyncio.Task[Any]) -> None:
            # A failure is for whoever asks when the old answer is over.
            if not _failed(task) and self._answers.get(key) is old:
                del self._answers[key]
                self._answers[key] = _Answer(task, now)

        old.next.add_done_callback(arrived)

    def _make_room(self, now: float) -> None:
        """The oldest go first; those that are waited for are only no more shared then."""
        while self._answers:
            oldest = next(iter(self._answers.values()))
            is_old = oldest.task.done() and now - oldest.at >= self._forgotten_after
            if not is_old and len(self._answers) < self._most:
                return
            self._answers.popitem(last=False)

    def _forget(self, key: Hashable, answer: _Answer) -> None:
        if self._answers.get(key) is answer:
            del self._answers[key]


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None


async def _asked(question: Callable[[], Awaitable[Any]]) -> Any:
    return await question()
