"""Meets the tasks of an earlier JobManager: collects what TaskManagers and slots report, for a bounded time.

What is to go on and what to start again is judged by core/adoption.py. Everything else that comes in meanwhile waits
until that is clear. It must not know logs or snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from flowjob.core.adoption import Adopt, Adoption, RegionShape, SlotReport, TaskReport, adopt
from flowjob.core.job_adopting import AdoptedSlot, Takeover
from flowjob.core.job_events import JobShape, TaskId
from flowjob.runtime import messages
from flowjob.runtime.env import Clock
from flowjob.runtime.messages import FromSlot, Register, SlotInventory
from flowjob.runtime.wire import TaskInventory

FRESH = 0.3
"""Share of the waiting time after which nobody is expected any more, when there are places for all tasks."""

Place = tuple[str, int]
"""(TaskManager, slot number)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to run: the job's shape, run and plan, under this JobManager's generation."""

    shape: JobShape
    run_id: str
    digest: str
    generation: int


@dataclass(slots=True)
class _Slot:
    attempt: int
    pid: int | None
    inventory: SlotInventory | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`stop`: (TaskManager, slot, attempt) of slots that are of no use. `tasks`: those that go on. `held`: messages
    that came meanwhile, with their senders. `highest`: no snapshot up to it counts."""

    takeover: Takeover
    highest: int
    stop: tuple[tuple[str, int, int], ...] = ()
    tasks: dict[TaskId, TaskInventory] = field(default_factory=dict)
    held: tuple[tuple[str, messages.ToJobManager], ...] = ()

    @property
    def goes_on(self) -> bool:
        """All tasks do."""
        return all(isinstance(v, Adopt) for v in self.takeover.verdicts)

    @property
    def told(self) -> str:
        """For people."""
        verdicts = self.takeover.verdicts
        restarts = [v.reason for v in verdicts if not isinstance(v, Adopt)]
        if not restarts:
            return f"its tasks go on ({len(self.takeover.slots)} worker processes)"
        if len(restarts) < len(verdicts):
            return (
                f"{len(verdicts) - len(restarts)} of {len(verdicts)} regions go on; {restarts[0]}"
            )
        return f"its tasks are started again: {restarts[0]}"


class Adopting:
    """`ask(taskmanager, slot, attempt)` has a slot send its inventory."""

    def __init__(self, clock: Clock, wanted: Wanted, ask: Callable[[str, int, int], None]) -> None:
        self._clock = clock
        self._wanted = wanted
        self._ask = ask
        self._offers: dict[str, int] = {}
        self._slots: dict[Place, _Slot] = {}
        self._held: list[tuple[str, messages.ToJobManager]] = []
        self._changed = asyncio.Event()

    # -- what happens

    def registered(self, hello: Register) -> None:
        name = hello.taskmanager
        self._offers[name] = hello.slots
        pids = dict(zip((number for number, _ in hello.running), hello.pids))
        for number, attempt in hello.running:
            self._slots[name, number] = _Slot(attempt, pids.get(number))
            self._ask(name, number, attempt)
        self._changed.set()

    def lost(self, name: str) -> None:
        """A TaskManager is gone again, and may come back."""
        self._offers.pop(name, None)
        for place in [p for p in self._slots if p[0] == name]:
            del self._slots[place]
        self._held = [(sender, message) for sender, message in self._held if sender != name]
        self._changed.set()

    def received(self, name: str, message: messages.ToJobManager) -> None:
        if isinstance(message, messages.TaskManagerAlive):  # with lines, for the job's log
            self._held.append((name, message))
            return
        slot = self._slots.get((name, getattr(message, "slot", -1)))
        if slot is None or message.attempt != slot.attempt:
            return
        match message:
            case FromSlot(body=body):
                said = messages.from_slot.decode(body)
                if said.generation != self._wanted.generation:
                    return  # to the JobManager before this one
                if isinstance(said, SlotInventory):
                    slot.inventory = said
                    self._changed.set()
                    return
            case messages.SlotGone():
                del self._slots[name, message.slot]
                self._changed.set()
        self._held.append((name, message))

    # -- what comes of it

    async def wait(self, within: float) -> None:
        """Until everything is there that could be, or for `within` seconds."""
        began = self._clock.monotonic()
        while True:
            past = self._clock.monotonic() - began
            enough = within * FRESH if self._has_room() else within
            if self._is_complete() or past >= enough:
                return
            self._changed.clear()
            clock = asyncio.ensure_future(self._clock.sleep(enough - past))
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait([clock, changed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                clock.cancel()
                changed.cancel()

    def _is_complete(self) -> bool:
        """Every task is reported, and every slot has answered."""
        found: set[TaskId] = set()
        for slot in self._slots.values():
            if slot.inventory is None:
                return False
            found.update(t.task for t in slot.inventory.tasks)
        return self._wanted.shape.tasks() <= found

    def _has_room(self) -> bool:
        """There are places for all tasks, and everybody has answered: who is missing is probably gone."""
        answered = all(slot.inventory is not None for slot in self._slots.values())
        return answered and sum(self._offers.values()) >= self._wanted.shape.slots

    def decide(self, highest: int) -> Outcome:
        """`highest`: snapshot id that the log knows."""
        wanted = self._wanted
        regions = [
            RegionShape(i, frozenset(t for n in numbers for t in wanted.shape.tasks_of(n)))
            for i, numbers in enumerate(wanted.shape.all_regions)
        ]
        reports = [self._report(place, slot) for place, slot in self._slots.items()]
        adoption = adopt(
            regions,
            reports,
            digest=wanted.digest,
            generation=wanted.generation,
            highest=max(
                [highest, *(s.inventory.highest for s in self._slots.values() if s.inventory)]
            ),
        )
        return self._outcome(adoption)

    def _report(self, place: Place, slot: _Slot) -> SlotReport:
        inventory = slot.inventory
        if inventory is None:
            return SlotReport(*place, "", 0, ())
        ours = inventory.run_id == self._wanted.run_id
        digest = inventory.digest if ours else "of another run"
        tasks = tuple(
            TaskReport(
                t.task,
                slot.attempt,
                inventory.highest,
                inventory.running and inventory.address is not None and t.running,
                t.ended,
                tuple(t.splits),
            )
            for t in inventory.tasks
        )
        return SlotReport(*place, digest, inventory.generation, tasks)

    def _outcome(self, adoption: Adoption) -> Outcome:
        kept = {p for v in adoption.verdicts if isinstance(v, Adopt) for p in v.slots}
        slots: list[AdoptedSlot] = []
        tasks: dict[TaskId, TaskInventory] = {}
        for place in sorted(kept):
            slot = self._slots[place]
            assert slot.inventory is not None
            assert slot.inventory.address is not None
            slots.append(AdoptedSlot(place[1], place[0], slot.inventory.address, slot.pid))
            tasks.update((t.task, t) for t in slot.inventory.tasks)
        stop = [(*place, slot.attempt) for place, slot in self._slots.items() if place not in kept]
        return Outcome(
            Takeover(adoption.verdicts, tuple(slots), dict(self._offers)),
            adoption.highest,
            tuple(stop),
            tasks,
            tuple(self._held),
        )
