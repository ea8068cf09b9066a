"""Counts which snapshots need which shared file, so that none is deleted early and none stays for ever.

Pure. A file that no committed snapshot needs any more may still be needed by one that is under way and was begun on top
of a retired one: it goes only when nothing begins there any more."""

from __future__ import annotations

from collections.abc import Iterable


class SharedFiles:
    """Names are used once only (paths.shared_file), so one that has been given up never comes back."""

    def __init__(self) -> None:
        self._needed: dict[int, frozenset[str]] = {}
        self._given_up: dict[str, int] = {}

    @property
    def needed(self) -> frozenset[str]:
        """By committed snapshots."""
        return frozenset[str]().union(*self._needed.values())

    def committed(self, snapshot: int, names: Iterable[str]) -> None:
        """`snapshot` is in the log as committed, and its manifest has these names."""
        self._needed[snapshot] = frozenset(names)
        for name in self._needed[snapshot]:
            self._given_up.pop(name, None)

    def retired(self, snapshot: int) -> None:
        """`snapshot` is in the log as retired."""
        names = self._needed.pop(snapshot, frozenset())
        for name in names - self.needed:
            self._given_up[name] = snapshot

    def deletable(self, oldest_base: int) -> list[str]:
        """Takes out what can be deleted now. `oldest_base`: no task builds on a snapshot below this one, neither in one
        under way nor in one to come: all tasks have acknowledged its commit, and what was begun before is over."""
        names = [name for name, last in self._given_up.items() if last < oldest_base]
        for name in names:
            del self._given_up[name]
        return sorted(names)
