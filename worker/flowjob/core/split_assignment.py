"""Who reads which split of a source: pure bookkeeping between an enumerator's finds and subtasks'
questions.

Subtasks always ask and are always answered once per question, later when there is nothing yet. Of a split only its id
is looked at. The asyncio side (running enumerators, reading snapshots) is runtime/jobmanager/splits.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class HasId(Protocol):
    @property
    def id(self) -> str: ...


S = TypeVar("S", bound=HasId)


@dataclass(frozen=True, slots=True)
class Given(Generic[S]):
    """An answer. `complete`: this subtask will never be given another split and need not ask
    again."""

    subtask: int
    splits: tuple[S, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Remembered(Generic[S]):
    """What a snapshot knows of a source: splits that were being read, with how far they were, and the ids of those
    that had been read to their end."""

    unfinished: tuple[S, ...] = ()
    finished: frozenset[str] = frozenset()


class SplitAssigner(Generic[S]):
    """Splits of one source vertex.

    pull: each asker gets the next split (`deal` false), so fast subtasks read more. What a snapshot had begun is dealt.
    deal: the i-th split found belongs to subtask i % parallelism, whoever asks first; an answer
    holds all that are there."""

    def __init__(self, parallelism: int, *, deal: bool) -> None:
        self._deal = deal
        self.parallelism = parallelism
        self._free: deque[S] = deque()
        # Of one subtask each: all when dealt, else what was begun. Then what may only go to some: seldom much.
        self._own: list[deque[S]] = [deque() for _ in range(parallelism)]
        self._some: list[tuple[frozenset[int], S]] = []
        self._asking: dict[int, None] = {}  # in order of asking
        self._found: dict[str, S] = {}  # every split as it was found
        self._place: dict[str, int] = {}  # of all of them, and of those that a snapshot had begun
        self._given: dict[str, tuple[int, S]] = {}
        self._read: set[str] = set()
        self._begun: set[str] = set()  # as the snapshots say from which tasks were started
        self._unplaced: dict[str, S] = {}  # remembered, and not found again yet: for dealing only
        self._owed: set[str] = set()  # remembered, and given to nobody yet
        # Given by a JobManager before this one, and not found again yet: to whom, and whose it is when that is gone.
        self._owners: dict[str, int] = {}
        self._heirs: dict[str, frozenset[int]] = {}
        self._complete = False

    @property
    def unassigned(self) -> int:
        """Splits found and given to nobody yet."""
        return len(self._free) + len(self._some) + sum(len(q) for q in self._own)

    @property
    def waiting(self) -> Iterator[S]:
        """They themselves."""
        yield from self._free
        yield from (split for _, split in self._some)
        for queue in self._own:
            yield from queue

    @property
    def owes(self) -> bool:
        """Whether splits that a snapshot had begun wait: it alone knows how far they were, so no later one may count
        before somebody has them."""
        return bool(self._owed)

    def adopt(
        self,
        had: Mapping[int, Collection[str]],
        remembered: Remembered[S] | None = None,
        ended: Collection[int] = (),
    ) -> None:
        """Before anything else, where subtasks of an earlier JobManager go on: the ids of what they `had` been given,
        which of them have `ended`, and what the newest snapshot remembers. What was being read there and nobody has is
        owed to those that have had nothing yet: they were started from there, and never answered."""
        remembered = remembered or Remembered()
        new = {subtask: set(ids) - remembered.finished for subtask, ids in had.items()}
        self._owners.update({id: subtask for subtask, ids in new.items() for id in ids})
        self._read |= remembered.finished
        asking = sorted(new.keys() - set(ended))
        if takers := [s for s in asking if not new[s]] or asking:  # else `reset` gives it to others
            owed = [split for split in remembered.unfinished if split.id not in self._owners]
            self._begun |= {split.id for split in owed}
            self._owed |= {split.id for split in owed}
            self._owe(owed, takers)

    def found(self, splits: Iterable[S], *, complete: bool) -> list[Given[S]]:
        """The enumerator found `splits`, in reading order; `complete`: there will be no more. Those it has found
        before, in this life or a former one, are not read again."""
        for split in splits:
            self._found.setdefault(split.id, split)
            if split.id in self._place:
                continue
            self._place[split.id] = len(self._place)
            split = self._unplaced.pop(split.id, split)
            owner = self._owners.pop(split.id, None)
            if owner is not None:
                self._given[split.id] = owner, split
            elif split.id not in self._given and split.id not in self._read:
                self._enqueue(split, self._heirs.pop(split.id, None))
        self._place_remembered()
        self._complete = self._complete or complete
        return self._answers()

    def knows_more(self, remembered: Remembered[S]) -> bool:
        """Whether splits are known to be read, or begun, of which an older snapshot does not know it. All subtasks
        together may begin again there; of some alone nobody knows what they, and not the others, have read."""
        begun = {split.id for split in remembered.unfinished} | remembered.finished
        return not (self._read <= remembered.finished and self._begun <= begun)

    def asked(self, subtask: int) -> list[Given[S]]:
        """`subtask` is idle. An empty answer means it waits; asking again while waiting changes
        nothing."""
        if not 0 <= subtask < self.parallelism:
            raise ValueError(f"subtask {subtask} of {self.parallelism} asked for splits")
        self._asking.setdefault(subtask)
        answer = self._answer(subtask)
        return [] if answer is None else [answer]

    def reset(
        self, subtasks: Collection[int], remembered: Remembered[S] | None = None
    ) -> list[Given[S]]:
        """`subtasks` are gone, and will come back as they were in the snapshot that remembers `remembered` (None:
        as at the beginning). What they had goes to their successors, and to no one else unless all are gone: the event
        time of the others may have passed it."""
        remembered = remembered or Remembered()
        only = None if len(set(subtasks)) == self.parallelism else frozenset(subtasks)
        for subtask in subtasks:
            self._asking.pop(subtask, None)
        lost = self._lost(subtasks, everybody=only is None)
        self._read |= remembered.finished
        for id in [id for id, owner in self._owners.items() if owner in subtasks]:
            del self._owners[id]
            if only is not None:
                self._heirs[id] = only
        held = {*self._given, *self._owners}
        again = {s.id: s for s in remembered.unfinished if s.id not in held}
        self._begun |= {split.id for split in remembered.unfinished}
        self._owed = {id for id in {*self._owed, *again} if id not in self._read}
        rest = [s for id, s in lost.items() if id not in again and id not in self._read]
        self._forget_waiting({*again, *remembered.finished})
        self._owe(list(again.values()), sorted(subtasks))
        before = list(self._free)
        self._free.clear()
        for split in sorted(rest, key=lambda s: self._place[s.id]):
            self._enqueue(split, only)
        self._free.extend(before)  # what was found earlier comes first
        return self._answers()

    def _lost(self, subtasks: Collection[int], *, everybody: bool) -> dict[str, S]:
        """What these had is nobody's any more. `everybody` begins as with nothing but what was found: the snapshot may
        be an older one than before, which knows less to be read, and of less how far."""
        if everybody:
            for known in (self._given, self._free, self._some, self._owed, self._unplaced):
                known.clear()
            for own in self._own:
                own.clear()
            self._read.clear()
            self._begun.clear()
            self._place = {id: place for place, id in enumerate(self._found)}
            return dict(self._found)
        lost = {id: split for id, (owner, split) in self._given.items() if owner in subtasks}
        for id in lost:
            del self._given[id]
        return lost

    def _owe(self, begun: list[S], subtasks: list[int]) -> None:
        """What was being read at the same time is read at the same time again, by as many subtasks as there are: one
        after the other, the rows of the second would be late."""
        if self._deal and not self._place:
            self._unplaced.update({split.id: split for split in begun})
            return
        for number, split in enumerate(begun):
            self._place.setdefault(split.id, len(self._place))
            if self._deal:
                self._enqueue(split)
            else:
                self._own[subtasks[number % len(subtasks)]].append(split)

    def _forget_waiting(self, ids: Collection[str]) -> None:
        if not ids:
            return
        self._free = deque(s for s in self._free if s.id not in ids)
        self._own = [deque(s for s in q if s.id not in ids) for q in self._own]
        self._some = [(only, s) for only, s in self._some if s.id not in ids]

    def _place_remembered(self) -> None:
        """Remembered splits that the enumerator does not find any more are dealt behind the others."""
        unplaced, self._unplaced = self._unplaced, {}
        for split in unplaced.values():
            self._place[split.id] = len(self._place)
            self._enqueue(split)

    def _enqueue(self, split: S, only: frozenset[int] | None = None) -> None:
        if self._deal:
            self._own[self._place[split.id] % self.parallelism].append(split)
        elif only is not None:
            self._some.append((only, split))
        else:
            self._free.append(split)

    def _answers(self) -> list[Given[S]]:
        answers = [self._answer(subtask) for subtask in list(self._asking)]
        return [a for a in answers if a is not None]

    def _answer(self, subtask: int) -> Given[S] | None:
        splits = self._take(subtask)
        if not splits and not self._complete:
            return None
        del self._asking[subtask]
        for split in splits:
            self._given[split.id] = subtask, split
            self._owed.discard(split.id)
        return Given(subtask, splits, self._complete and not self._has_more(subtask))

    def _take(self, subtask: int) -> tuple[S, ...]:
        if self._deal or self._own[subtask]:
            splits = tuple(self._own[subtask])
            self._own[subtask].clear()
            return splits
        for i, (only, split) in enumerate(self._some):
            if subtask in only:
                del self._some[i]
                return (split,)
        return (self._free.popleft(),) if self._free else ()

    def _has_more(self, subtask: int) -> bool:
        """Behind what it has just been given, which is all of its own."""
        return bool(self._free) or any(subtask in only for only, _ in self._some)
