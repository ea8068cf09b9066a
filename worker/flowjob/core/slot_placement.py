"""Which TaskManager each slot goes to.

Pure and alone, because elastic clusters will want another rule here. It must not know what slots run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flowjob.core.region import SlotRecord


def room_left(offers: Mapping[str, int], taken: Iterable[SlotRecord]) -> dict[str, int]:
    """Free slots of each TaskManager, in the order of their registration."""
    room = dict(offers)
    for slot in taken:
        if slot.taskmanager in room:
            room[slot.taskmanager] = max(0, room[slot.taskmanager] - 1)
    return room


def place_slots(slots: int, offers: Mapping[str, int]) -> Iterable[str]:
    """The TaskManager of each slot 0 … slots-1: always the one with most room left, so that slots
    spread evenly; ties go to the one that registered first. `offers` must hold enough."""
    room = dict(offers)
    for _ in range(slots):
        name = max(room, key=lambda t: room[t])
        room[name] -= 1
        yield name


@dataclass(frozen=True, slots=True)
class Places:
    """Which TaskManagers' slots may be used.

    below     the first so many, by the ordinal that ends their names (`flights-tm-3`); others have none to give. None:
              all; a TaskManager without an ordinal always may
    leaving   those that are about to end
    """

    below: int | None = None
    leaving: frozenset[str] = frozenset()

    def usable(self, taskmanager: str, slots: int) -> int:
        """Of the `slots` that a TaskManager offers."""
        ordinal = ordinal_of(taskmanager)
        above = self.below is not None and ordinal is not None and ordinal >= self.below
        return 0 if above or taskmanager in self.leaving else slots


def ordinal_of(taskmanager: str) -> int | None:
    """The number at the end of a pod's name."""
    number = taskmanager.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and number != taskmanager else None
