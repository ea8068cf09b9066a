"""A job's life as a pure state machine: `handle(event) -> [Instruction]`.

It decides what starts when, what a failure's root cause is, and that everything is stopped before the job ends with
exactly one outcome. The shell that carries instructions out is runtime/jobmanager/. It must not know clocks (deadlines
are instructions, their passing is an event), connections or messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import (
    Address,
    CancelDeadline,
    Cancelled,
    CancelRequested,
    DeadlinePassed,
    Deploy,
    Deployed,
    EnumeratorFailed,
    Event,
    Failed,
    Finish,
    Instruction,
    JobShape,
    Lost,
    Outcome,
    Run,
    SetDeadline,
    SlotExited,
    SlotFailed,
    SlotReady,
    SlotStarted,
    StartEnumerators,
    StartSlot,
    StopSlot,
    Succeeded,
    TaskFinished,
    TaskId,
    TaskManagerLost,
    TaskManagerRegistered,
    TaskPlace,
    Timeouts,
    Wait,
)


class JobState(Enum):
    WAITING = "waiting for slots"
    STARTING = "starting slots"
    DEPLOYING = "deploying tasks"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


class SlotPhase(Enum):
    STARTING = "starting"
    READY = "ready"
    DEPLOYED = "deployed"
    GONE = "gone"


@dataclass(slots=True)
class SlotRecord:
    """What is known of one slot of the current attempt."""

    number: int
    taskmanager: str
    phase: SlotPhase = SlotPhase.STARTING
    pid: int | None = None
    address: Address | None = None

    @property
    def label(self) -> str:
        pid = "" if self.pid is None else f" (pid {self.pid})"
        return f"slot {self.number}{pid} of {self.taskmanager}"


_OVER = (JobState.STOPPING, JobState.ENDED)


class JobMachine:
    """One job, one attempt. Call `start` once, then `handle` for everything that happens.

    WAITING ──enough slots──▶ STARTING ──all ready──▶ DEPLOYING ──all deployed──▶ RUNNING
       └───────────┴── any failure, cancel, deadline ──┴───────── or all finished ────┘
                                        ▼
                                    STOPPING ──all slots gone──▶ ENDED

    A lost connection between slots is a symptom: its reason (a killed process, a user error on the other side) may
    arrive a moment later. It is held back for `Timeouts.root_cause` and only told when nothing better shows up."""

    def __init__(self, shape: JobShape, timeouts: Timeouts | None = None, attempt: int = 1) -> None:
        self.shape = shape
        self.timeouts = timeouts or Timeouts()
        self.attempt = attempt
        self.state = JobState.WAITING
        self.outcome: Outcome | None = None
        self.slots: dict[int, SlotRecord] = {}
        self._offers: dict[str, int] = {}
        self._finished: set[TaskId] = set()
        self._symptom: Outcome | None = None
        self._waits: set[Wait] = set()

    def start(self) -> list[Instruction]:
        """The first instructions."""
        if self.shape.slots == 0:
            return self._end(Succeeded())
        return [StartEnumerators(), self._set(Wait.REGISTRATION, self.timeouts.registration)]

    def handle(self, event: Event) -> list[Instruction]:
        """What to do about `event`, in order. Events of other attempts or unknown slots do
        nothing."""
        if self.state is JobState.ENDED:
            return []
        match event:
            case TaskManagerRegistered():
                return self._registered(event)
            case TaskManagerLost():
                return self._taskmanager_lost(event)
            case CancelRequested(reason):
                if self.state is JobState.STOPPING:  # asked twice: somebody is in a hurry
                    return self._kill_slots() if Wait.STOP in self._waits else []
                return self._end(Cancelled(reason))
            case EnumeratorFailed(vertex, error):
                name = next((v.name for v in self.shape.vertices if v.id == vertex), str(vertex))
                return self._end(Failed(error, f"finding the splits of {name}"))
            case DeadlinePassed(wait):
                return self._deadline_passed(wait) if wait in self._waits else []
        slot = self.slots.get(event.slot)
        if slot is None or event.attempt != self.attempt or slot.phase is SlotPhase.GONE:
            return []
        return self._slot_event(slot, event)

    # Slots

    def _slot_event(
        self,
        slot: SlotRecord,
        event: SlotStarted | SlotReady | SlotFailed | Deployed | TaskFinished | SlotExited,
    ) -> list[Instruction]:
        match event:
            case SlotStarted(pid=pid):
                slot.pid = pid
                return []
            case SlotExited():
                return self._slot_exited(slot, event)
            case SlotFailed(error=error):
                return self._slot_failed(slot, error)
            case SlotReady(address=address):
                return self._slot_ready(slot, address)
            case Deployed():
                return self._slot_deployed(slot)
            case TaskFinished(task=task):
                return self._task_finished(slot, task)

    def _registered(self, event: TaskManagerRegistered) -> list[Instruction]:
        if self.state is not JobState.WAITING:
            return []
        self._offers[event.taskmanager] = event.slots
        if sum(self._offers.values()) < self.shape.slots:
            return []
        self.state = JobState.STARTING
        self.slots = {
            number: SlotRecord(number, taskmanager)
            for number, taskmanager in enumerate(place_slots(self.shape.slots, self._offers))
        }
        return [
            *self._clear(Wait.REGISTRATION),
            self._set(Wait.SLOT_READY, self.timeouts.slot_ready),
            *(StartSlot(s.taskmanager, s.number, self.attempt) for s in self.slots.values()),
        ]

    def _slot_ready(self, slot: SlotRecord, address: Address) -> list[Instruction]:
        if self.state is not JobState.STARTING or slot.phase is not SlotPhase.STARTING:
            return []
        slot.phase, slot.address = SlotPhase.READY, address
        if any(s.phase is not SlotPhase.READY for s in self.slots.values()):
            return []
        self.state = JobState.DEPLOYING
        places = tuple(
            TaskPlace(task, s.number, s.address)
            for s in self.slots.values()
            if s.address is not None
            for task in self.shape.tasks_of(s.number)
        )
        return [
            *self._clear(Wait.SLOT_READY),
            self._set(Wait.DEPLOY, self.timeouts.deploy),
            *(
                Deploy(s.taskmanager, s.number, self.attempt, self.shape.tasks_of(s.number), places)
                for s in self.slots.values()
            ),
        ]

    def _slot_deployed(self, slot: SlotRecord) -> list[Instruction]:
        if self.state is not JobState.DEPLOYING or slot.phase is not SlotPhase.READY:
            return []
        slot.phase = SlotPhase.DEPLOYED
        if any(s.phase is not SlotPhase.DEPLOYED for s in self.slots.values()):
            return []
        self.state = JobState.RUNNING
        return [
            *self._clear(Wait.DEPLOY),
            *(Run(s.taskmanager, s.number, self.attempt) for s in self.slots.values()),
        ]

    def _task_finished(self, slot: SlotRecord, task: TaskId) -> list[Instruction]:
        if self.state is not JobState.RUNNING or task not in self.shape.tasks_of(slot.number):
            return []
        self._finished.add(task)
        return self._end(Succeeded()) if self._finished == self.shape.tasks() else []

    # Failures

    def _slot_failed(self, slot: SlotRecord, error: ErrorInfo) -> list[Instruction]:
        failed = Failed(error, slot.label)
        if error.kind is not ErrorKind.CONNECTION:
            return self._end(failed)
        if self.state in _OVER or self._symptom is not None:
            return []
        self._symptom = failed
        return [self._set(Wait.ROOT_CAUSE, self.timeouts.root_cause)]

    def _slot_exited(self, slot: SlotRecord, event: SlotExited) -> list[Instruction]:
        slot.phase = SlotPhase.GONE
        if self.state in _OVER:
            return self._finish_if_stopped()
        tail = "".join(f"\n  {line}" for line in event.last_output)
        said = f"; last output:{tail}" if tail else "; it printed nothing"
        return self._end(Lost(f"{slot.label} {event.reason} while {self._doing(slot)}{said}"))

    def _taskmanager_lost(self, event: TaskManagerLost) -> list[Instruction]:
        known = self._offers.pop(event.taskmanager, None) is not None
        theirs = [s for s in self.slots.values() if s.taskmanager == event.taskmanager]
        living = [s for s in theirs if s.phase is not SlotPhase.GONE]
        for slot in theirs:
            slot.phase = SlotPhase.GONE
        if self.state in _OVER:
            return self._finish_if_stopped()
        if not living and not event.fatal:
            return []
        if living:
            doing = "; ".join(f"slot {s.number}: {self.shape.describe(s.number)}" for s in living)
            return self._end(Lost(f"{event.taskmanager} {event.reason} while it had {doing}"))
        before = "" if known else " before it had registered"
        return self._end(Lost(f"{event.taskmanager} {event.reason}{before}"))

    def _doing(self, slot: SlotRecord) -> str:
        verb = "running" if self.state is JobState.RUNNING else f"{self.state.value} for"
        return f"{verb} {self.shape.describe(slot.number)}"

    def _deadline_passed(self, wait: Wait) -> list[Instruction]:
        self._waits.discard(wait)
        match wait:
            case Wait.REGISTRATION:
                return self._end(Lost(self._missing_slots()))
            case Wait.SLOT_READY:
                late = self._labels(SlotPhase.STARTING)
                limit = self.timeouts.slot_ready
                return self._end(Lost(f"not ready within {limit:g} s of being started: {late}"))
            case Wait.DEPLOY:
                late = self._labels(SlotPhase.READY)
                return self._end(
                    Lost(f"tasks not deployed within {self.timeouts.deploy:g} s: {late}")
                )
            case Wait.ROOT_CAUSE:
                return self._end(self._symptom) if self._symptom is not None else []
            case Wait.STOP:
                return self._kill_slots()
            case Wait.KILL:
                return self._finish()

    def _missing_slots(self) -> str:
        offered = ", ".join(f"{n} from {t}" for t, n in self._offers.items()) or "none"
        return (
            f"the job needs {self.shape.slots} slots; registered within "
            f"{self.timeouts.registration:g} s: {offered}. Start more TaskManagers, give them more "
            "slots, or lower the parallelism."
        )

    def _labels(self, phase: SlotPhase) -> str:
        return ", ".join(s.label for s in self.slots.values() if s.phase is phase)

    # The end

    def _end(self, outcome: Outcome) -> list[Instruction]:
        """The first outcome stands; everything is stopped before it is told."""
        if self.state in _OVER:
            return []
        self.state, self.outcome = JobState.STOPPING, outcome
        cleared = self._clear(*self._waits)
        reason = "the job has finished" if isinstance(outcome, Succeeded) else "the job has ended"
        stops = self._stop_slots(reason, kill=False)
        if not stops:
            return [*cleared, *self._finish()]
        return [*cleared, *stops, self._set(Wait.STOP, self.timeouts.stop)]

    def _living(self) -> list[SlotRecord]:
        return [s for s in self.slots.values() if s.phase is not SlotPhase.GONE]

    def _stop_slots(self, reason: str, *, kill: bool) -> list[Instruction]:
        return [
            StopSlot(s.taskmanager, s.number, self.attempt, reason, kill) for s in self._living()
        ]

    def _kill_slots(self) -> list[Instruction]:
        return [
            *self._clear(Wait.STOP),
            *self._stop_slots("it did not stop in time", kill=True),
            self._set(Wait.KILL, self.timeouts.kill),
        ]

    def _finish_if_stopped(self) -> list[Instruction]:
        if self.state is not JobState.STOPPING or self._living():
            return []
        return self._finish()

    def _finish(self) -> list[Instruction]:
        assert self.outcome is not None
        self.state = JobState.ENDED
        unstopped = tuple(s.label for s in self._living())
        return [*self._clear(*self._waits), Finish(self.outcome, unstopped)]

    # Deadlines

    def _set(self, wait: Wait, seconds: float) -> SetDeadline:
        self._waits.add(wait)
        return SetDeadline(wait, seconds)

    def _clear(self, *waits: Wait) -> list[Instruction]:
        cleared = [w for w in Wait if w in waits and w in self._waits]
        self._waits.difference_update(cleared)
        return [CancelDeadline(w) for w in cleared]


def place_slots(slots: int, offers: dict[str, int]) -> Iterable[str]:
    """The TaskManager of each slot 0 … slots-1: always the one with most room left, so that slots
    spread evenly; ties go to the one that registered first. `offers` must hold enough."""
    room = dict(offers)
    for _ in range(slots):
        name = max(room, key=lambda t: room[t])
        room[name] -= 1
        yield name
