"""In which order a gate gives what its channels have brought.

As it arrived; but where channels have event time, those that are behind in it go first. A task that is the bottleneck
then leaves the batches of whoever is ahead lying, whose credit runs out: so back-pressure keeps subtasks together in
event time, and windows and sessions need not remember the difference. It must not know how elements look inside."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from operator import itemgetter
from typing import Any

from flowjob.core.elements import MIN_TIME, Watermark

OLDEST_EVERY = 8
"""So often the element that has waited longest goes first: channels that are ahead always get on a little, even while
the time of one that is behind stands still."""

Arrival = tuple[int, int, Any, int]
"""(channel, flags, body, bytes)"""


class AsArrived(deque[Arrival]):
    """A deque whose channels can be blocked: then nothing is given of what they have brought and still bring."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[int, list[Arrival]] = {}

    def waiting(self, channel: int) -> list[tuple[int, Any, int]]:
        """(flags, body, bytes) of all that a channel has brought and not given yet."""
        return [
            *(a[1:] for a in self._held.get(channel, ())),
            *(a[1:] for a in self if a[0] == channel),
        ]

    def hold(self, arrival: Arrival) -> None:
        """An element of a blocked channel has come."""
        self._held[arrival[0]].append(arrival)

    def block(self, channel: int) -> None:
        self._held[channel] = [arrival for arrival in self if arrival[0] == channel]
        rest = [arrival for arrival in self if arrival[0] != channel]
        self.clear()
        self.extend(rest)

    def unblock(self, channel: int) -> None:
        """What was held has waited longest: it goes first."""
        self.extendleft(reversed(self._held.pop(channel)))


class BehindFirst:
    """A queue like a deque, of the elements of `channels` channels; each channel's stay in order. See AsArrived for
    blocked channels."""

    def __init__(self, channels: int) -> None:
        self._queues: list[deque[tuple[int, Arrival]]] = [deque() for _ in range(channels)]
        self._times = [MIN_TIME] * channels
        self._ready: list[tuple[int, int, int]] = []
        self._arrived = 0
        self._turn = 0
        self._blocked: set[int] = set()

    def __len__(self) -> int:
        """How many channels have something to give."""
        return len(self._ready)

    def append(self, arrival: Arrival) -> None:
        """An element has come."""
        channel = arrival[0]
        queue = self._queues[channel]
        self._arrived += 1
        queue.append((self._arrived, arrival))
        if len(queue) == 1:
            heappush(self._ready, (self._times[channel], self._arrived, channel))

    def waiting(self, channel: int) -> list[tuple[int, Any, int]]:
        """(flags, body, bytes) of all that a channel has brought and not given yet."""
        return [arrival[1:] for _, arrival in self._queues[channel]]

    def hold(self, arrival: Arrival) -> None:
        """An element of a blocked channel has come."""
        self._arrived += 1
        self._queues[arrival[0]].append((self._arrived, arrival))

    def block(self, channel: int) -> None:
        self._blocked.add(channel)
        self._ready = [entry for entry in self._ready if entry[2] != channel]
        heapify(self._ready)

    def unblock(self, channel: int) -> None:
        self._blocked.remove(channel)
        queue = self._queues[channel]
        if queue:
            heappush(self._ready, (self._times[channel], queue[0][0], channel))

    def popleft(self) -> Arrival:
        """The next element. Raises IndexError when there is none."""
        self._turn += 1
        if self._turn % OLDEST_EVERY:
            _, _, channel = heappop(self._ready)
        else:
            channel = self._take_oldest()
        queue = self._queues[channel]
        _, arrival = queue.popleft()
        if isinstance(arrival[2], Watermark):
            self._times[channel] = arrival[2].time
        if queue:
            heappush(self._ready, (self._times[channel], queue[0][0], channel))
        return arrival

    def _take_oldest(self) -> int:
        ready = self._ready
        oldest = min(ready, key=itemgetter(1))
        ready.remove(oldest)
        heapify(ready)
        return oldest[2]
