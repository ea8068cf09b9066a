"""The way of a region's slots from being wanted to running, as far as nothing goes wrong.

A part of core/job_machine.py, which decides about everything else."""

from __future__ import annotations

from collections.abc import Sequence

from flowjob.core.job_deadlines import Deadlines
from flowjob.core.job_events import (
    Address,
    Deploy,
    Instruction,
    Restarted,
    Run,
    StartSlot,
    Tell,
    Timeouts,
    Wait,
)
from flowjob.core.region import Region, RegionPhase, SlotPhase, SlotRecord
from flowjob.core.slot_placement import place_slots, room_left


class Starting:
    """`offers`: slots of every TaskManager that is there, in the order of registration."""

    def __init__(self, regions: Sequence[Region], timeouts: Timeouts, deadlines: Deadlines) -> None:
        self._regions = regions
        self._timeouts = timeouts
        self._deadlines = deadlines
        self.offers: dict[str, int] = {}

    def missing(self, needed: int) -> str:
        """What to say when not enough came in time."""
        offered = ", ".join(f"{n} from {t}" for t, n in self.offers.items()) or "none"
        return (
            f"the job needs {needed} slots; registered within {self._timeouts.registration:g} s: {offered}. Start "
            "more TaskManagers, give them more slots, or lower the parallelism."
        )

    def place(self) -> list[Instruction]:
        """Starts the slots of all regions that wait, together, so that they spread evenly."""
        waiting = [r for r in self._regions if r.phase is RegionPhase.WAITING]
        needed = sum(len(r.numbers) for r in waiting)
        room = room_left(self.offers, [s for r in self._regions for s in r.living])
        if not waiting or sum(room.values()) < needed:
            return []
        places = iter(list(place_slots(needed, room)))
        instructions = self._deadlines.clear(Wait.REGISTRATION)
        for r in waiting:
            r.begin([next(places) for _ in r.numbers])
            limit = self._timeouts.slot_ready
            instructions.append(self._deadlines.set(Wait.SLOT_READY, limit, r.number))
            instructions += [
                StartSlot(s.taskmanager, s.number, r.attempt) for s in r.slots.values()
            ]
        return instructions

    def slot_ready(self, region: Region, slot: SlotRecord, at: Address) -> list[Instruction]:
        if region.phase is not RegionPhase.STARTING or slot.phase is not SlotPhase.STARTING:
            return []
        slot.phase, slot.address = SlotPhase.READY, at
        if not region.all_are(SlotPhase.READY):
            return []
        region.phase = RegionPhase.DEPLOYING
        places, tasks_of = region.places(), region.shape.tasks_of
        return [
            *self._deadlines.clear(Wait.SLOT_READY, region=region.number),
            self._deadlines.set(Wait.DEPLOY, self._timeouts.deploy, region.number),
            *(
                Deploy(s.taskmanager, s.number, region.attempt, tasks_of(s.number), places)
                for s in region.slots.values()
            ),
        ]

    def slot_deployed(self, region: Region, slot: SlotRecord) -> list[Instruction]:
        if region.phase is not RegionPhase.DEPLOYING or slot.phase is not SlotPhase.READY:
            return []
        slot.phase = SlotPhase.DEPLOYED
        if not region.all_are(SlotPhase.DEPLOYED):
            return []
        region.phase, region.has_run = RegionPhase.RUNNING, True
        again: list[Instruction] = []
        if region.cause is not None:
            again = [Tell(Restarted(region.numbers, region.attempt, region.cause))]
        return [
            *self._deadlines.clear(Wait.DEPLOY, region=region.number),
            *(Run(s.taskmanager, s.number, region.attempt) for s in region.slots.values()),
            *again,
        ]
