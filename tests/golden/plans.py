"""How golden jobs are disturbed: parallelisms, moments, modes of snapshots. All of it in virtual time.

`DEFAULT` are for every test run, two that alternate; all are for `make golden`."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.golden.cluster import SAVED, Life, Mode


@dataclass(frozen=True)
class Plan:
    """The lives of a job, and how snapshots are taken in them."""

    lives: tuple[Life, ...]
    mode: Mode = field(default_factory=Mode)


def lives(*given: Life) -> tuple[Life, ...]:
    """The first one begins with nothing."""
    first, *rest = given
    return (Life(**{**first.__dict__, "since": None}), *rest)


PLANS = {
    "aligned": Plan(lives(Life(2, killed=2), Life(3, killed=1), Life(1))),
    "unaligned": Plan(lives(Life(3, killed=2), Life(2, killed=1), Life(1)), Mode("always")),
    "patient": Plan(lives(Life(1, killed=1), Life(4, killed=2), Life(2)), Mode("auto")),
    "at once": Plan(lives(Life(3, killed=2, delay=0.0), Life(2, killed=1, delay=0.0), Life(3))),
    "spilling": Plan(
        lives(Life(3, killed=3), Life(2, killed=2, delay=0.002), Life(4)),
        Mode(spill_bytes=1 << 20, batch_rows=3),
    ),
    "at the same time": Plan(
        lives(Life(3, killed=3, delay=0.001), Life(2, killed=2, delay=0.008), Life(1)),
        Mode("always", max_concurrent=3, interval=0.003),
    ),
    "crowded": Plan(
        lives(Life(2, killed=2), Life(3, killed=2), Life(1)),
        Mode("always", pause=0.0005, slow=0.006, exchange=300, batch_rows=3),
    ),
    "crowded, waiting": Plan(
        lives(Life(3, killed=2), Life(2, killed=1), Life(4)),
        Mode("never", pause=0.0005, slow=0.006, exchange=300, batch_rows=3),
    ),
    "savepoint": Plan(
        lives(Life(2, killed=1, savepoint="a"), Life(3, killed=1), Life(1)), Mode(pause=0.006)
    ),
    "stopped": Plan(
        lives(
            Life(1, killed=1, savepoint="a", stop=True),
            Life(3, killed=1, savepoint="b", stop=True, since=SAVED),
            Life(2, since=SAVED),
        )
    ),
    "often": Plan(
        lives(
            Life(2, killed=1),
            Life(3, killed=1),
            Life(3, killed=1, delay=0.0),
            Life(2, killed=1, delay=0.01),
            Life(1),
        ),
        Mode("auto", pause=0.004),
    ),
    "at least once": Plan(
        lives(Life(3, killed=2), Life(2, killed=2, delay=0.006), Life(1)),
        Mode(twice=True, batch_rows=3),
    ),
}

DEFAULT = ("aligned", "unaligned")
"""One after the other, job by job."""

FEW = ("stopped", "savepoint")
"""For some jobs in every test run."""
