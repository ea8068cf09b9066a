"""Event time of one source subtask: a watermark per split, combined into one.

Pure: the caller passes in how far each split's rows have come and what time it is. A split that has been silent for
`idle_after` holds nothing back; time during which the subtask could not send (back-pressure) is not silence.
All times are µs; `now` is any clock that does not go back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from flowjob.core.elements import MAX_TIME, MIN_TIME, Status, Watermark
from flowjob.core.watermark_valve import Combined


class _Split:
    __slots__ = ("active_at", "idle", "reached")

    def __init__(self, reached: int, active_at: int) -> None:
        self.reached = reached
        self.active_at = active_at
        self.idle = False


class SplitWatermarks:
    """The splits of one subtask. Each call returns what is to be sent on, in order; mostly nothing.

    A split's watermark is its largest timestamp - max_delay - 1: a row as old as the newest may still follow.
    Between its splits a subtask keeps its watermark, and turns idle like a silent split. After `end` it is done."""

    def __init__(self, max_delay: int, idle_after: int | None, *, now: int) -> None:
        self._max_delay = max_delay
        self._idle_after = idle_after
        self._splits: dict[Hashable, _Split] = {}
        self._blocked = 0
        self._waiting_since = now
        self._ended = False
        self.time = MIN_TIME
        """The combined watermark (µs UTC)."""
        self.status = Status.ACTIVE

    def add_split(self, split: Hashable, now: int, reached: int = MIN_TIME) -> Combined:
        """The subtask owns `split` from now on; `reached` is its largest timestamp in an earlier run."""
        return self.add_splits([(split, reached)], now)

    def add_splits(self, splits: Sequence[tuple[Hashable, int]], now: int) -> Combined:
        """The same for several at once: none of them lets time pass another one by."""
        for split, reached in splits:
            self._splits[split] = _Split(reached, now - self._blocked)
        return self._combine() if splits else ()

    def finish_split(self, split: Hashable, now: int) -> Combined:
        """All rows of `split` were sent."""
        del self._splits[split]
        self._waiting_since = now - self._blocked
        return self._combine()

    def observe(self, split: Hashable, largest: int, now: int) -> Combined:
        """Rows of `split` were sent, the latest of them with timestamp `largest`."""
        state = self._splits[split]
        state.active_at = now - self._blocked
        was_idle, state.idle = state.idle, False
        if largest > state.reached:
            state.reached = largest
        elif not was_idle and self.status is Status.ACTIVE:
            return ()
        return self._combine()

    def on_time(self, now: int) -> Combined:
        """Time has passed: splits may have turned idle. Worth calling from `idle_at()` on."""
        if self._idle_after is None:
            return ()
        silent_since = now - self._blocked - self._idle_after
        for state in self._splits.values():
            if state.active_at <= silent_since:
                state.idle = True
        return self._combine(waited_too_long=self._waiting_since <= silent_since)

    def was_blocked(self, duration: int) -> None:
        """For `duration` µs the subtask could not send what it had: not counted as silence."""
        self._blocked += duration

    def idle_at(self) -> int | None:
        """When the next split (or the wait for one) turns idle if nothing comes until then."""
        if self._idle_after is None or self._ended:
            return None
        waiting = [s.active_at for s in self._splits.values() if not s.idle]
        if not self._splits and self.status is Status.ACTIVE:
            waiting.append(self._waiting_since)
        return min(waiting) + self._idle_after + self._blocked if waiting else None

    def reached(self, split: Hashable) -> int:
        """The largest timestamp of `split`, MIN_TIME before its first row: belongs in its snapshot."""
        return self._splits[split].reached

    def end(self) -> Combined:
        """No split will follow: event time is over."""
        self._ended = True
        self._splits.clear()
        if self.time == MAX_TIME:
            return ()
        self.time = MAX_TIME
        woken = (Status.ACTIVE,) if self.status is Status.IDLE else ()
        self.status = Status.ACTIVE
        return (*woken, Watermark(MAX_TIME))

    def _combine(self, *, waited_too_long: bool = False) -> Combined:
        active = [s.reached for s in self._splits.values() if not s.idle]
        idle = [s.reached for s in self._splits.values() if s.idle]
        outputs: list[Watermark | Status] = []
        if active and self.status is Status.IDLE:
            self.status = Status.ACTIVE
            outputs.append(Status.ACTIVE)
        reached = min(active) if active else max(idle, default=MIN_TIME)
        if reached != MIN_TIME:
            time = max(MIN_TIME, reached - self._max_delay - 1)
            if time > self.time:
                self.time = time
                outputs.append(Watermark(time))
        silent = bool(idle) if self._splits else waited_too_long
        if not active and silent and self.status is Status.ACTIVE:
            self.status = Status.IDLE
            outputs.append(Status.IDLE)
        return tuple(outputs)
