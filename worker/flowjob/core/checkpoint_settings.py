"""What a user may decide about checkpoints, and the limits that follow.

Plain data with its own checks, shared by the coordinator, the CLI and the API. It must not know where snapshots are
stored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mode(Enum):
    """What a barrier guarantees."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = (
        "at_least_once"  # no input waits for another; rows may count twice after a restart
    )


class Unaligned(Enum):
    """Whether barriers may overtake data, which then is part of the snapshot."""

    NEVER = "never"
    AUTO = "auto"  # when aligning takes longer than `alignment_timeout`
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """All times in seconds. Raises ValueError, which names the setting, for what cannot be meant.

    interval            from one periodic trigger to the next; None: only on demand and at the end of all input
    min_pause           at least this long between the end of one checkpoint and the next periodic trigger
    max_concurrent      checkpoints (savepoints included) under way at once
    timeout             a checkpoint that takes longer is given up; also the longest a sink may take to commit
    tolerable_failures  so many checkpoints may fail in a row, the next one fails the job. A store that is away for a
                        moment must not restart a job that works well, but one that has not been safe for long must
                        say so: Flink's 0 does the former, no limit the latter.
    retained            newest checkpoints kept; older ones are deleted
    alignment_timeout   AUTO: seconds of aligning after which a barrier overtakes
    spill_bytes         per task, on disk, for what arrives on inputs that wait; 0: senders are held back instead
    resend              after this long, commits that were not answered are asked for again
    history             ended checkpoints remembered for people
    """

    interval: float | None = 10.0
    min_pause: float = 0.5
    max_concurrent: int = 1
    timeout: float = 600.0
    tolerable_failures: int = 10
    retained: int = 3
    mode: Mode = Mode.EXACTLY_ONCE
    unaligned: Unaligned = Unaligned.NEVER
    alignment_timeout: float = 1.0
    spill_bytes: int = 0
    resend: float = 5.0
    history: int = 20

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)}: at least {least} is needed")
        if self.interval is not None and not self.interval > 0:
            raise ValueError(
                f"interval is {self.interval}: it must be more than 0 seconds, or None for "
                "checkpoints on demand only"
            )
        for name in ("timeout", "resend"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be more than 0 seconds")
        if self.mode is Mode.AT_LEAST_ONCE and self.unaligned is not Unaligned.NEVER:
            raise ValueError(
                f"unaligned is {self.unaligned.value}, but with mode at_least_once barriers wait "
                "for nothing they could overtake: leave one of the two out"
            )

    @property
    def task_alignment_timeout(self) -> float | None:
        """What tasks are told: seconds of waiting after which a barrier overtakes data; None: it never does."""
        return {
            Unaligned.NEVER: None,
            Unaligned.AUTO: self.alignment_timeout,
            Unaligned.ALWAYS: 0.0,
        }[self.unaligned]


_LEAST = {
    "min_pause": 0,
    "max_concurrent": 1,
    "tolerable_failures": 0,
    "retained": 1,
    "alignment_timeout": 0,
    "spill_bytes": 0,
    "history": 0,
}
