"""Which snapshots may be deleted: the ones nobody can need, and only after a newer one is committed.

Committed checkpoints beyond the newest few are retired; what aborted ones left is discarded. It must not know how
anything is deleted, nor savepoints that have become complete: those are the user's."""

from __future__ import annotations

from collections.abc import Iterable

from flowjob.core.coordinator_events import Discard, Retire

REMEMBERED = 256
"""So many discarded snapshots are known, so that a task that was late with its part is cleaned up after."""


class Retention:
    """`committed` are the checkpoints the log has when this begins, oldest first, savepoints left out."""

    def __init__(self, retained: int, committed: Iterable[int] = ()) -> None:
        self._retained = retained
        self._kept = sorted(committed)
        self._used: dict[int, int] = {}
        self._failed: dict[int, str | None] = {}
        self._discarded: dict[int, str | None] = {}
        self._newest = max(self._kept, default=0)

    @property
    def kept(self) -> tuple[int, ...]:
        """Committed and not retired, oldest first."""
        return tuple(self._kept)

    def keep(self, retained: int) -> list[Retire]:
        """So many from here on."""
        self._retained = retained
        return self._retire()

    def committed(self, checkpoint: int, *, is_savepoint: bool) -> list[Retire | Discard]:
        """A restore point is in the log. One that is a savepoint keeps the newest checkpoints as they are."""
        self._newest = max(self._newest, checkpoint)
        if not is_savepoint:
            self._kept.append(checkpoint)
        return [*self._retire(), *self._discard()]

    def failed(self, checkpoint: int, savepoint: str | None) -> list[Discard]:
        """A snapshot came to nothing; tasks may still be storing parts of it."""
        self._failed[checkpoint] = savepoint
        return self._discard()

    def late(self, checkpoint: int) -> list[Discard]:
        """A task has just stored its part of a snapshot that is over."""
        if checkpoint not in self._discarded:
            return []
        return [Discard(checkpoint, self._discarded[checkpoint])]

    def reused(self, savepoint: str) -> None:
        """Another snapshot goes where failed ones were to be: nobody may delete there any more."""
        for known in (self._failed, self._discarded):
            for checkpoint in [c for c, place in known.items() if place == savepoint]:
                del known[checkpoint]

    def use_began(self, checkpoint: int) -> None:
        """May be said several times; each has its own `use_ended`."""
        self._used[checkpoint] = self._used.get(checkpoint, 0) + 1

    def use_ended(self, checkpoint: int) -> list[Retire]:
        left = self._used.pop(checkpoint, 1) - 1
        if left > 0:
            self._used[checkpoint] = left
        return self._retire()

    def _retire(self) -> list[Retire]:
        old = [c for c in self._kept[: -self._retained] if c not in self._used]
        self._kept = [c for c in self._kept if c not in old]
        return [Retire(c) for c in old]

    def _discard(self) -> list[Discard]:
        """Only what is older than a commit: whoever deletes has then just shown to the log that it leads."""
        old = sorted(c for c in self._failed if c < self._newest)
        found = [Discard(c, self._failed.pop(c)) for c in old]
        self._discarded.update((d.checkpoint, d.savepoint) for d in found)
        while len(self._discarded) > REMEMBERED:
            del self._discarded[min(self._discarded)]
        return found
