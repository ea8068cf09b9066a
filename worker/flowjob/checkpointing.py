"""What a job says about its checkpoints: `fj.Job("flights", checkpoints=fj.Checkpoints(retained=5))`.

Plain declarations; what is done about them is runtime/jobmanager/checkpoints.py. It must not import the runtime:
declaring is light."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from os import PathLike
from typing import TYPE_CHECKING, Literal, TypeVar

from flowjob.core.checkpoint_settings import CheckpointSettings, Mode, Unaligned
from flowjob.core.restart_strategy import ExponentialDelay, FailureRate, FixedDelay, NoRestart
from flowjob.errors import PlanError
from flowjob.plan.where import caller

if TYPE_CHECKING:
    from flowjob.core.restartable import RestartStrategy

E = TypeVar("E", bound=Enum)

__all__ = ["Checkpoints", "ExponentialDelay", "FailureRate", "FixedDelay", "NoRestart"]

DEFAULT_LOCATION = ".flowjob"
"""In the current directory of whoever runs the job."""


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """How a job saves what it has done, so that a failure, a restart or another version of it continues from there.

    location            a directory, or `s3://bucket/prefix` with the credentials that botocore finds; each job has its
                        own part of it. None: `.flowjob` in the current directory
    endpoint, region    of an S3 other than Amazon's, or elsewhere
    interval            from one checkpoint to the next; None: only on demand and at the end of all input
    min_pause           at least this long after one checkpoint before the next
    timeout             a checkpoint that takes longer is given up
    retained            the newest checkpoints that are kept
    mode                `at_least_once`: no input waits for another, and after a restart rows may count twice
    unaligned           whether barriers may overtake rows that wait, which are then stored too: `auto` does it when
                        waiting takes longer than `alignment_timeout`
    spill_bytes         per task, on disk, for what arrives on inputs that wait; 0: senders are held back instead
    max_concurrent      checkpoints under way at once
    tolerable_failures  so many checkpoints in a row may fail; the next one fails the job
    restarts            what to do about failures: `fj.FixedDelay(…)`, `fj.FailureRate(…)`, `fj.NoRestart()`;
                        None: delays that grow from a tenth of a second, and six restarts in a row at most

    Raises PlanError for what cannot be meant."""

    location: str | PathLike[str] | None = None
    endpoint: str | None = None
    region: str | None = None
    interval: timedelta | None = timedelta(seconds=10)
    min_pause: timedelta = timedelta(milliseconds=500)
    timeout: timedelta = timedelta(minutes=10)
    retained: int = 3
    mode: Literal["exactly_once", "at_least_once"] = "exactly_once"
    unaligned: Literal["never", "auto", "always"] = "never"
    alignment_timeout: timedelta = timedelta(seconds=1)
    spill_bytes: int = 0
    max_concurrent: int = 1
    tolerable_failures: int = 10
    restarts: RestartStrategy | None = None

    def __post_init__(self) -> None:
        self.settings()

    def settings(self) -> CheckpointSettings:
        """For the coordinator. Raises PlanError."""
        self._check_types()
        try:
            return CheckpointSettings(
                interval=None if self.interval is None else self.interval.total_seconds(),
                min_pause=self.min_pause.total_seconds(),
                max_concurrent=self.max_concurrent,
                timeout=self.timeout.total_seconds(),
                tolerable_failures=self.tolerable_failures,
                retained=self.retained,
                mode=_one_of(Mode, "mode", self.mode),
                unaligned=_one_of(Unaligned, "unaligned", self.unaligned),
                alignment_timeout=self.alignment_timeout.total_seconds(),
                spill_bytes=self.spill_bytes,
            )
        except ValueError as error:
            raise PlanError(f"checkpoints: {error}", where=caller()) from None

    def _check_types(self) -> None:
        if not isinstance(self.location, str | PathLike | None):
            raise _wrong("location", self.location, "a directory, or s3://bucket/prefix")
        for name in ("interval", "min_pause", "timeout", "alignment_timeout"):
            value = getattr(self, name)
            if not isinstance(value, timedelta) and not (name == "interval" and value is None):
                raise _wrong(name, value, "a time, such as timedelta(seconds=10)")
        for name in ("retained", "spill_bytes", "max_concurrent", "tolerable_failures"):
            if not isinstance(getattr(self, name), int):
                raise _wrong(name, getattr(self, name), "a whole number")
        if self.restarts is not None and not callable(getattr(self.restarts, "next", None)):
            raise _wrong("restarts", self.restarts, "a strategy, such as fj.FixedDelay(…)")

    def strategy(self) -> RestartStrategy:
        """A new one for each run: strategies remember failures."""
        if self.restarts is None:
            return ExponentialDelay(
                initial=0.1, longest=30.0, multiplier=2.0, reset_after=60.0, attempts=6
            )
        import copy

        return copy.deepcopy(self.restarts)


def _one_of(kind: type[E], name: str, value: object) -> E:
    known = [str(member.value) for member in kind]
    if value not in known:
        raise _wrong(name, value, " or ".join(repr(k) for k in known))
    return kind(value)


def _wrong(name: str, value: object, expected: str) -> PlanError:
    return PlanError(f"checkpoints: {name} is {value!r}: it must be {expected}", where=caller())
