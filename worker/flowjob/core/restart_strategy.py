"""After a failure: start again, when, or give up. Four strategies behind the protocol of core/restartable.py.

Pure bookkeeping: the time of the failure and a random number are passed in. Which failures are worth asking about is
`restartable.can_help`'s decision."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from flowjob.core.restartable import GiveUp, Restart


def _check(**least: tuple[float, float]) -> None:
    for name, (value, bound) in least.items():
        if not value >= bound:
            raise ValueError(f"{name} is {value:g}: at least {bound:g} is needed")


@dataclass(frozen=True, slots=True)
class NoRestart:
    """The first failure ends the job: right where nothing was saved."""

    def next(self, time: float, chance: float) -> Restart | GiveUp:
        return GiveUp("restarts are off")


@dataclass(slots=True)
class FixedDelay:
    """So many attempts over the life of the job, each after the same delay (seconds)."""

    attempts: int = 3
    delay: float = 1.0
    _made: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        _check(attempts=(self.attempts, 0), delay=(self.delay, 0))

    def next(self, time: float, chance: float) -> Restart | GiveUp:
        if self._made >= self.attempts:
            return GiveUp(f"it was restarted {_times(self._made)} already, which is the limit")
        self._made += 1
        return Restart(self.delay)


@dataclass(slots=True)
class FailureRate:
    """Gives up at more than `failures` within `interval` seconds: a job may fail for ever, but not all the time."""

    failures: int = 3
    interval: float = 300.0
    delay: float = 1.0
    _times: deque[float] = field(default_factory=deque, init=False, repr=False)

    def __post_init__(self) -> None:
        _check(failures=(self.failures, 0), interval=(self.interval, 0), delay=(self.delay, 0))

    def next(self, time: float, chance: float) -> Restart | GiveUp:
        self._times.append(time)
        while self._times[0] <= time - self.interval:
            self._times.popleft()
        if len(self._times) > self.failures:
            return GiveUp(
                f"it has failed {_times(len(self._times))} within {self.interval:g} s, "
                f"{self.failures} are allowed"
            )
        return Restart(self.delay)


@dataclass(slots=True)
class ExponentialDelay:
    """Delays grow from `initial` to `longest` seconds, by `multiplier` with each failure, and begin anew after
    `reset_after` seconds without one. Each is made up to `jitter` longer or shorter, so that jobs that failed together
    do not come back together. Never gives up unless `attempts` (in a row, before a reset) is set.

    The default where there are checkpoints: a machine that dies once costs a second, and a store that is away for
    hours is not hammered."""

    initial: float = 1.0
    longest: float = 60.0
    multiplier: float = 1.5
    reset_after: float = 300.0
    jitter: float = 0.1
    attempts: int | None = None
    _delay: float = field(default=0.0, init=False, repr=False)
    _made: int = field(default=0, init=False, repr=False)
    _runs_from: float | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        _check(
            initial=(self.initial, 0),
            longest=(self.longest, self.initial),
            multiplier=(self.multiplier, 1),
            reset_after=(self.reset_after, 0),
            jitter=(self.jitter, 0),
        )
        if self.jitter > 1:
            raise ValueError(f"jitter is {self.jitter:g}: more than 1 would make delays negative")

    def next(self, time: float, chance: float) -> Restart | GiveUp:
        """The time without failure counts from when the last attempt could start, not from the last failure: else
        long delays would reset themselves."""
        if self._runs_from is None or time - self._runs_from >= self.reset_after:
            self._delay, self._made = self.initial, 0
        else:
            self._delay = min(self._delay * self.multiplier, self.longest)
        if self.attempts is not None and self._made >= self.attempts:
            return GiveUp(f"it was restarted {_times(self._made)} in a row, which is the limit")
        self._made += 1
        after = self._delay * (1 + self.jitter * (2 * chance - 1))
        self._runs_from = time + after
        return Restart(after)


def _times(number: int) -> str:
    return {0: "no time", 1: "once", 2: "twice"}.get(number, f"{number} times")
