"""What sinks have prepared and are not known to have committed, and how often they are asked to.

Entries live from a task's acknowledgement to its TaskCommitted, whatever becomes of the snapshot in between: a file
that was prepared for an aborted one is committed with the next. It must not know how snapshots come about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flowjob.core.checkpoint_records import Told, by_number
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.commits import CommitPermit
from flowjob.core.coordinator_events import NotifyCommitted, Prepared, Started
from flowjob.core.job_events import TaskId

MOST_LATE = 4
"""Restarts for sinks that have not committed in time, each with twice the time of the one before."""


@dataclass(slots=True)
class _Entry:
    """`since`: when it was committed, so that the task has to follow; None: it is not."""

    prepared: tuple[Prepared, ...]
    former: bool = False
    since: float | None = None


class CommitLedger:
    """Per task and snapshot. `upto` is the newest committed snapshot: everything prepared for it or before is to be
    made visible."""

    def __init__(self, settings: CheckpointSettings, generation: int, upto: int) -> None:
        self.upto = upto
        self.settings = settings
        self._generation = generation
        self._entries: dict[TaskId, dict[int, _Entry]] = {}
        self._done: dict[TaskId, int] = {}
        self._ask_at = 0.0
        self._late = 0

    def started(self, event: Started, now: float) -> list[NotifyCommitted]:
        """New tasks know nothing, and what is dealt to them is theirs to commit. Others are asked once more."""
        new = event.tasks if event.restarted is None else event.restarted
        for task in {*self._entries, *self._done}:
            if task in new or task not in event.tasks:
                self._entries.pop(task, None)
                self._done.pop(task, None)
        self.upto = max(self.upto, event.restored)
        for entries in self._entries.values():
            for entry in entries.values():
                entry.since = None
        for prepared in event.pending:
            entries = self._entries.setdefault(prepared.task, {})
            entry = entries.setdefault(event.restored, _Entry((), former=True))
            entry.prepared, entry.former = (*entry.prepared, prepared), True
        waiting = self.waiting()
        return [self.notify(waiting, now)] if waiting else []

    def prepared(
        self, checkpoint: int, task: TaskId, prepared: tuple[Prepared, ...], now: float
    ) -> None:
        """A task has acknowledged `checkpoint`. Again, or after it has committed that: changes nothing."""
        if any(p.items for p in prepared) and checkpoint > self._done.get(task, 0):
            since = now if checkpoint <= self.upto else None
            self._entries.setdefault(task, {}).setdefault(checkpoint, _Entry(prepared, since=since))

    def committed(self, checkpoint: int, task: TaskId) -> None:
        """The task has committed everything up to `checkpoint`."""
        if checkpoint > self.upto:
            return
        self._done[task] = max(checkpoint, self._done.get(task, 0))
        entries = self._entries.get(task, {})
        for number in [n for n in entries if n <= checkpoint]:
            del entries[number]
        if not entries:
            self._entries.pop(task, None)
        if not self.waiting():
            self._late = 0

    def waiting(self) -> tuple[TaskId, ...]:
        """Tasks that have something to commit now."""
        return tuple(sorted(t for t, e in self._entries.items() if any(n <= self.upto for n in e)))

    def holds(self, checkpoint: int) -> bool:
        """Whether something that was prepared for `checkpoint` or before is not known to be committed."""
        return any(n <= checkpoint for entries in self._entries.values() for n in entries)

    def needs_checkpoint(self, checkpoint: int) -> bool:
        """Whether something was that no snapshot which is committed has brought with it."""
        numbers = [n for entries in self._entries.values() for n in entries]
        return any(self.upto < n <= checkpoint for n in numbers)

    def notify(self, tasks: Iterable[TaskId], now: float) -> NotifyCommitted:
        """Tells `tasks` to commit. What was dealt goes along every time until it is answered, because a task's answer
        to a later snapshot says that this is done, too."""
        for entries in self._entries.values():
            for number, entry in entries.items():
                if number <= self.upto and entry.since is None:
                    entry.since = now
        self._ask_at = now + self.settings.resend
        tasks = tuple(tasks)
        former = tuple(
            p
            for task in tasks
            for _, entry in sorted(self._entries.get(task, {}).items())
            if entry.former
            for p in entry.prepared
        )
        return NotifyCommitted(CommitPermit(self.upto, self._generation), tasks, former)

    def ask_again(self, now: float) -> list[NotifyCommitted]:
        waiting = self.waiting()
        return [self.notify(waiting, now)] if waiting and now >= self._ask_at else []

    @property
    def patience(self) -> float:
        """Seconds that a task gets to commit: twice as long with every time that this was not enough, until everything
        is committed once. A sink that is slower than the timeout of checkpoints would be restarted for ever else."""
        return float(self.settings.timeout * 2 ** min(self._late, MOST_LATE))

    @property
    def is_hopeless(self) -> bool:
        """It was never enough: another restart would change nothing."""
        return self._late > MOST_LATE

    def overdue(self, now: float, told: Told = by_number) -> str | None:
        """Why the job cannot go on like this, if a task takes too long. The next time it gets longer."""
        oldest = self._oldest()
        if oldest is None or now < oldest[0] + self.patience:
            return None
        _, task, checkpoint = oldest
        waited = self.patience
        self._late += 1
        then = (
            "that was the last of its tries"
            if self.is_hopeless
            else f"after a restart it gets {self.patience:g} s"
        )
        return (
            f"the sink in {told(task)} has not committed its results of checkpoint {checkpoint} within {waited:g} s; "
            f"{then}. If it only needs that long, raise the timeout of checkpoints"
        )

    @property
    def wake_at(self) -> float | None:
        """When to look for `overdue` and `ask_again`."""
        oldest = self._oldest()
        return None if oldest is None else min(self._ask_at, oldest[0] + self.patience)

    def _oldest(self) -> tuple[float, TaskId, int] | None:
        return min(
            (
                (entry.since, task, number)
                for task, entries in self._entries.items()
                for number, entry in entries.items()
                if entry.since is not None
            ),
            default=None,
        )

    def carried(self, checkpoint: int) -> tuple[Prepared, ...]:
        """What the manifest of `checkpoint` must hold besides what its own acknowledgements do: each item once."""
        found: list[Prepared] = []
        for task in sorted(self._entries):
            entries = self._entries[task]
            own = entries.get(checkpoint)
            seen = {(p.sink, i) for p in (own.prepared if own else ()) for i in p.items}
            for number in sorted(n for n in entries if n < checkpoint):
                for prepared in entries[number].prepared:
                    fresh = [i for i in prepared.items if (prepared.sink, i) not in seen]
                    items = tuple(dict.fromkeys(fresh))
                    seen.update((prepared.sink, i) for i in items)
                    if items:
                        found.append(Prepared(task, prepared.sink, items))
        return tuple(found)
