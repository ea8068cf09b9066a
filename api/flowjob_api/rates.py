"""How often something may be asked for: a bucket of tokens per caller, which fills again with time.

Bounded: callers that have not asked for long are forgotten. The clock is given, so that tests need not wait."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from flowjob_api.problems import Refused


class Rates:
    """`burst` at once, `per_minute` in the long run; `clock`: monotonic seconds."""

    def __init__(
        self, clock: Callable[[], float], *, burst: int, per_minute: float, remembered: int = 10_000
    ) -> None:
        self._clock = clock
        self._burst = burst
        self._rate = per_minute / 60
        self._remembered = remembered
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> None:
        """Raises Refused: TOO_MANY, with when to come again."""
        now = self._clock()
        left, at = self._buckets.pop(who, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._rate)
        allowed = left >= 1
        self._buckets[who] = (left - 1 if allowed else left, now)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        if not allowed:
            seconds = ceil((1 - left) / self._rate)
            raise Refused(
                "TOO_MANY",
                f"too many requests of this kind: come again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
