"""What a new JobManager begins with where another one led: regions that go on as they are, and regions to start again.

A part of core/job_machine.py; which is which was judged by core/adoption.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowjob.core.adoption import Adopt, Restart
from flowjob.core.job_events import Address, Lost
from flowjob.core.region import Region, RegionPhase, SlotPhase, SlotRecord


@dataclass(frozen=True, slots=True)
class AdoptedSlot:
    """A slot of a region that goes on."""

    number: int
    taskmanager: str
    address: Address
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Takeover:
    """`verdicts`: one per region, in order. `slots`: of all regions that go on. `offers`: slots of every TaskManager
    that is there. `over`: the run has come to its end, so that nothing is started again."""

    verdicts: tuple[Adopt | Restart, ...] = ()
    slots: tuple[AdoptedSlot, ...] = ()
    offers: Mapping[str, int] = field(default_factory=dict)
    over: bool = False


def nothing_left(regions: Sequence[Region], found: Takeover | None) -> bool:
    """Whether the job ends at once: it is over, and tasks are missing that could be told. Those that are all there end
    as they would have."""
    waiting = any(r.phase is RegionPhase.WAITING for r in regions)
    return found is not None and found.over and waiting


def take_over(regions: Sequence[Region], found: Takeover) -> None:
    """Brings the records of `regions`, which wait, to what was found. One that is started again did run: what goes
    wrong with it is no first failure."""
    slots = {slot.number: slot for slot in found.slots}
    for verdict in found.verdicts:
        region = regions[verdict.region]
        region.has_run = True
        if isinstance(verdict, Restart):
            region.attempt = max(region.attempt, verdict.attempt)
            region.cause = Lost("the JobManager was replaced", verdict.reason)
            continue
        region.attempt, region.phase = verdict.attempt, RegionPhase.RUNNING
        region.slots = {
            n: SlotRecord(n, s.taskmanager, SlotPhase.DEPLOYED, s.pid, s.address)
            for n, s in ((n, slots[n]) for n in region.numbers)
        }
