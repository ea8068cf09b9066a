"""What becomes of a job between its lives: how one ends before its job has, and from what the next one begins.

Pure, like scenario.py. Who carries it out is playing.py."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from dataclasses import dataclass
from enum import Enum


class Leave(Enum):
    """How a life ends."""

    STAY = "stays to the job's end"
    STOP = "is stopped with a savepoint"
    DRAIN = "is drained into a savepoint"
    KILL = "loses its JobManager"
    YIELD = "is overtaken by the next one"


@dataclass(frozen=True, slots=True)
class Departure:
    """The end of a life and the beginning of the next, which runs with `parallelism` on `taskmanagers` of them.

    at              virtual seconds from the moment the job runs
    pause           YIELD: so long does the old JobManager stand still before it finds out
    savepoint_at    a savepoint is taken then, too; None: none is
    from_savepoint  the next life begins from the newest savepoint, and the outside system is set back to it; otherwise
                    from the newest snapshot of all
    """

    leave: Leave
    at: float = 0.1
    parallelism: int = 2
    taskmanagers: int = 1
    pause: float = 0.0
    savepoint_at: float | None = None
    from_savepoint: bool = False

    @property
    def is_last(self) -> bool:
        """A drained job is not continued: its windows have said all they will."""
        return self.leave is Leave.DRAIN

    def __str__(self) -> str:
        savepoint = "" if self.savepoint_at is None else f", savepoint at {self.savepoint_at:.4f} s"
        begins = "savepoint" if self.from_savepoint else "newest snapshot"
        return (
            f"after running for {self.at:.4f} s it {self.leave.value}{savepoint}; the next life: parallelism "
            f"{self.parallelism} on {self.taskmanagers} TaskManagers, from the {begins}"
        )


def departures_of(chance: random.Random) -> tuple[Departure, ...]:
    """One to three."""
    found = []
    for _ in range(chance.choice([1, 1, 2, 3])):
        departure = _departure(chance)
        found.append(departure)
        if departure.is_last:
            break
    return tuple(found)


def _departure(chance: random.Random) -> Departure:
    parallelism = chance.choice([1, 2, 3])
    takes_savepoint = chance.random() < 0.4
    at = 3 * 10 ** (-3 * chance.random())
    return Departure(
        leave=chance.choice([*Leave, Leave.STOP]),
        at=at,
        parallelism=parallelism,
        taskmanagers=chance.randint(1, parallelism),
        pause=chance.choice([0.0, 1.0, 30.0]) * chance.random(),
        savepoint_at=at * chance.random() if takes_savepoint else None,
        from_savepoint=takes_savepoint and chance.random() < 0.5,
    )
