"""What the process knows between two looks at an object and could find out again: answers that cost a request each.

Everything here may be lost at any time. Bounded, or forgotten with the object it is about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from flowjob_operator.core.observed import DryRunAnswer, IdentityFacts
from flowjob_operator.process.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENDING_SECONDS: Final = 30.0
SECRETS_SECONDS: Final = 30.0


class Cache(Generic[K, V]):
    """The newest `most` values, each for `seconds`."""

    def __init__(self, clock: Clock, seconds: float, most: int = 1024) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        found = self._kept.get(key)
        if found is None or self._clock.monotonic() - found[0] > self._seconds:
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: K, value: V) -> V:
        self._kept[key] = (self._clock.monotonic(), value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return value

    def drop(self, wanted: Callable[[K], bool]) -> None:
        for key in [key for key in self._kept if wanted(key)]:
            del self._kept[key]


class Remembered:
    """By uid of FlowJobs and FlowSnapshots, but for namespaces."""

    def __init__(self, clock: Clock) -> None:
        self.dry_runs: dict[str, DryRunAnswer] = {}
        self.identities: dict[str, IdentityFacts] = {}
        self.refusals: dict[str, str] = {}
        """What the API server has said to actions of the last look"""
        self.secrets: Cache[str, bool] = Cache(clock, SECRETS_SECONDS)
        """Jobs whose Secret was there"""
        self.ending: Cache[str, bool] = Cache(clock, ENDING_SECONDS)
        """Namespaces that are being deleted; not for long: one of the name may be made again"""

    def forget(self, uid: str) -> None:
        self.dry_runs.pop(uid, None)
        self.identities.pop(uid, None)
        self.refusals.pop(uid, None)
