"""What is known of a region: the slots that exchange data with each other, and so live and die together.

Each has its own attempts: a failure replaces its slots and leaves the others' alone. Records only; what happens when is
decided in core/job_machine.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from flowjob.core.job_events import Address, Failed, JobShape, Outcome, TaskId, TaskPlace


class RegionPhase(Enum):
    """Values continue the sentence `slot 1 was killed while …`."""

    WAITING = "waiting for slots for"
    STARTING = "starting slots for"
    DEPLOYING = "deploying tasks for"
    RUNNING = "running"
    RESTARTING = "restarting"


class SlotPhase(Enum):
    STARTING = "starting"
    READY = "ready"
    DEPLOYED = "deployed"
    GONE = "gone"


@dataclass(slots=True)
class SlotRecord:
    """What is known of one slot of its region's current attempt."""

    number: int
    taskmanager: str
    phase: SlotPhase = SlotPhase.STARTING
    pid: int | None = None
    address: Address | None = None

    @property
    def label(self) -> str:
        pid = "" if self.pid is None else f" (pid {self.pid})"
        return f"slot {self.number}{pid} of {self.taskmanager}"

    @property
    def living(self) -> bool:
        return self.phase is not SlotPhase.GONE


@dataclass(slots=True)
class Region:
    """`numbers` are its slots; `slots` those of the current attempt, empty while it waits for places.

    cause    why the current attempt had to be started
    symptom  a lost connection whose reason has not shown yet
    paused   the pause before the next attempt is over
    has_run  some attempt was running
    least    attempts of this JobManager's begin there: adopted ones are older
    """

    number: int
    shape: JobShape
    numbers: tuple[int, ...]
    attempt: int
    phase: RegionPhase = RegionPhase.WAITING
    slots: dict[int, SlotRecord] = field(default_factory=dict)
    finished: set[TaskId] = field(default_factory=set)
    cause: Outcome | None = None
    symptom: Failed | None = None
    paused: bool = False
    has_run: bool = False
    least: int = 1

    @property
    def next_attempt(self) -> int:
        return max(self.attempt + 1, self.least)

    @property
    def living(self) -> list[SlotRecord]:
        return [s for s in self.slots.values() if s.living]

    @property
    def tasks(self) -> tuple[TaskId, ...]:
        return tuple(t for n in self.numbers for t in self.shape.tasks_of(n))

    def places(self) -> tuple[TaskPlace, ...]:
        """Where each of its tasks is; tasks of other regions are no peers."""
        return tuple(
            TaskPlace(task, s.number, s.address)
            for s in self.slots.values()
            if s.address is not None
            for task in self.shape.tasks_of(s.number)
        )

    def all_are(self, phase: SlotPhase) -> bool:
        return all(s.phase is phase for s in self.slots.values())

    def labels(self, phase: SlotPhase) -> str:
        return ", ".join(s.label for s in self.slots.values() if s.phase is phase)

    def begin(self, places: list[str]) -> None:
        """The slots of an attempt, one on each TaskManager of `places`."""
        self.phase = RegionPhase.STARTING
        self.slots = {n: SlotRecord(n, t) for n, t in zip(self.numbers, places)}

    def reset(self) -> None:
        """Nothing is left of the last attempt: wait for places for the next one."""
        self.attempt = self.next_attempt
        self.phase = RegionPhase.WAITING
        self.slots = {}
        self.finished = set()
        self.symptom = None


def slots_on(regions: Iterable[Region], taskmanager: str) -> list[tuple[int, int]]:
    """(number, attempt) of all that live there."""
    return [
        (s.number, r.attempt) for r in regions for s in r.living if s.taskmanager == taskmanager
    ]
