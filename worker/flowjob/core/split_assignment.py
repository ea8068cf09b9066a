"""Who reads which split of a source: pure bookkeeping between an enumerator's finds and subtasks'
questions.

Subtasks always ask and are always answered once per question, later when there is nothing yet.
Splits are opaque. The asyncio side (running enumerators, sending answers) is
runtime/jobmanager/splits.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Given(Generic[S]):
    """An answer. `complete`: this subtask will never be given another split and need not ask
    again."""

    subtask: int
    splits: tuple[S, ...]
    complete: bool


class SplitAssigner(Generic[S]):
    """Splits of one source vertex.

    pull: each asker gets the next split (`deal` false), so fast subtasks read more.
    deal: the i-th split found belongs to subtask i % parallelism, whoever asks first; an answer
    holds all that are there."""

    def __init__(self, parallelism: int, *, deal: bool) -> None:
        self._deal = deal
        self._queues: list[deque[S]] = [deque() for _ in range(parallelism if deal else 1)]
        self._parallelism = parallelism
        self._waiting: dict[int, None] = {}  # in order of asking
        self._found = 0
        self._complete = False

    @property
    def unassigned(self) -> int:
        """Splits found and given to nobody yet."""
        return sum(len(q) for q in self._queues)

    def found(self, splits: Iterable[S], *, complete: bool) -> list[Given[S]]:
        """The enumerator found `splits`, in reading order; `complete`: there will be no more."""
        for split in splits:
            self._queues[self._found % len(self._queues)].append(split)
            self._found += 1
        self._complete = self._complete or complete
        answers = [self._answer(subtask) for subtask in list(self._waiting)]
        return [a for a in answers if a is not None]

    def asked(self, subtask: int) -> list[Given[S]]:
        """`subtask` is idle. An empty answer means it waits; asking again while waiting changes
        nothing."""
        if not 0 <= subtask < self._parallelism:
            raise ValueError(f"subtask {subtask} of {self._parallelism} asked for splits")
        self._waiting.setdefault(subtask)
        answer = self._answer(subtask)
        return [] if answer is None else [answer]

    def _answer(self, subtask: int) -> Given[S] | None:
        queue = self._queues[subtask if self._deal else 0]
        if not queue and not self._complete:
            return None
        del self._waiting[subtask]
        if self._deal:
            splits = tuple(queue)
            queue.clear()
        else:
            splits = (queue.popleft(),) if queue else ()
        return Given(subtask, splits, self._complete and not queue)
