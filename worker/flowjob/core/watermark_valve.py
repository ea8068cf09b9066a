"""Combine the event time of several inputs into one: the minimum over the active ones.

Pure, and used per channel of a gate as well as per port of an operator. An idle input takes no part; a finished one
(ended, or at the end of time) neither holds time back nor drives it on. Outputs are monotone and never repeated."""

from __future__ import annotations

from collections.abc import Iterator

from flowjob.core.elements import MAX_TIME, MIN_TIME, Status, Watermark

Combined = tuple[Watermark | Status, ...]
"""What to send on, in order; mostly nothing."""


class WatermarkValve:
    """Feed it what each channel says; each call returns what the combination says anew.

    When the last active input turns idle, time first advances to the furthest that any idle input had reached, so that
    the result does not depend on who fell silent first. An input that turns active again holds time back even where
    it is behind what was already sent: its rows up to there are late, those after are not."""

    def __init__(self, channels: int) -> None:
        self._times = [MIN_TIME] * channels
        self._idle = [False] * channels
        self._ended = [False] * channels
        self._open = channels
        self.time = MIN_TIME
        """The combined watermark (µs UTC)."""
        self.status = Status.ACTIVE
        """IDLE when no input is active but some are not finished."""

    @property
    def ended(self) -> bool:
        """Whether every channel has ended."""
        return self._open == 0

    def holding(self) -> Iterator[tuple[int, int]]:
        """Channels that are active, with how far they are: the lowest of them is what time waits for."""
        for channel, time in enumerate(self._times):
            if not self._idle[channel] and not self._ended[channel] and time != MAX_TIME:
                yield channel, time

    def on_watermark(self, channel: int, time: int) -> Combined:
        """`channel` has reached `time`; one that goes back is ignored."""
        before = self._times[channel]
        if time <= before:
            return ()
        self._times[channel] = time
        if before > self.time and time != MAX_TIME and not self._idle[channel]:
            return ()  # ahead of the minimum already: it cannot have been what holds
        return self._combine()

    def on_status(self, channel: int, status: Status) -> Combined:
        """`channel` turned idle or active."""
        idle = status is Status.IDLE
        if self._idle[channel] == idle:
            return ()
        self._idle[channel] = idle
        return self._combine()

    def on_end(self, channel: int) -> Combined:
        """Nothing more comes from `channel`. Its end alone says nothing about time: a watermark MAX_TIME does."""
        if self._ended[channel]:
            return ()
        self._ended[channel] = True
        self._open -= 1
        return self._combine()

    def restore(self, time: int) -> None:
        """Start from a watermark of an earlier run: nothing up to it is sent again."""
        self.time = max(self.time, time)

    def _combine(self) -> Combined:
        lowest, furthest, active, idle = MAX_TIME, MIN_TIME, False, False
        for time, is_idle, ended in zip(self._times, self._idle, self._ended):
            if ended or time == MAX_TIME:
                continue
            if is_idle:
                idle = True
                furthest = max(furthest, time)
            else:
                active = True
                lowest = min(lowest, time)
        outputs: list[Watermark | Status] = []
        if active:
            if self.status is Status.IDLE:
                self.status = Status.ACTIVE
                outputs.append(Status.ACTIVE)
            reached = lowest
        elif idle:
            reached = furthest
        else:
            reached = MAX_TIME if MAX_TIME in self._times else self.time
        if reached > self.time:
            self.time = reached
            outputs.append(Watermark(reached))
        if not active and idle and self.status is Status.ACTIVE:
            self.status = Status.IDLE
            outputs.append(Status.IDLE)
        return tuple(outputs)
