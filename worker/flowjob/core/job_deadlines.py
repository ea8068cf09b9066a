"""The deadlines a job machine has set and not cancelled: one that passes too late must mean nothing.

Bookkeeping only: the clock is the shell's."""

from __future__ import annotations

from flowjob.core.job_events import CancelDeadline, Instruction, SetDeadline, Wait


class Deadlines:
    """Those of a job (region 0) and of its regions."""

    def __init__(self) -> None:
        self._set: dict[tuple[Wait, int], None] = {}

    def __contains__(self, wait: Wait) -> bool:
        return any(w is wait for w, _ in self._set)

    def set(self, wait: Wait, seconds: float, region: int = 0) -> SetDeadline:
        self._set[wait, region] = None
        return SetDeadline(wait, seconds, region)

    def clear(self, *waits: Wait, region: int = 0) -> list[Instruction]:
        return self._cancel([key for key in self._set if key[0] in waits and key[1] == region])

    def clear_region(self, region: int, *, but: tuple[Wait, ...]) -> list[Instruction]:
        """All of a region except `but`, which are the job's."""
        return self._cancel([key for key in self._set if key[1] == region and key[0] not in but])

    def clear_all(self) -> list[Instruction]:
        return self._cancel(list(self._set))

    def passed(self, wait: Wait, region: int) -> bool:
        """Whether it was still set; it no longer is."""
        known = (wait, region) in self._set
        self._set.pop((wait, region), None)
        return known

    def _cancel(self, keys: list[tuple[Wait, int]]) -> list[Instruction]:
        for key in keys:
            del self._set[key]
        return [CancelDeadline(*key) for key in keys]
