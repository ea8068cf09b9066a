"""A job's life as a pure state machine: `handle(event) -> [Instruction]`.

It decides what starts when, what a failure's root cause is, whether a failure ends the job or has slots replaced, and
that everything is stopped before the job ends with exactly one outcome. The shell that carries instructions out is
runtime/jobmanager/. It must not know clocks (deadlines are instructions, their passing is an event) or messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_adopting import Takeover, nothing_left, take_over
from flowjob.core.job_deadlines import Deadlines
from flowjob.core.job_ending import Ending, stop_slots
from flowjob.core.job_events import (
    Cancelled,
    CancelRequested,
    DeadlinePassed,
    Deployed,
    EnumeratorFailed,
    Event,
    Failed,
    GaveUp,
    Instruction,
    JobShape,
    Lost,
    Outcome,
    ReplaceTaskManager,
    ResetTasks,
    Restarting,
    RestartRequested,
    SlotExited,
    SlotFailed,
    SlotReady,
    SlotStarted,
    SnapshotSaved,
    SnapshotsFailed,
    StartEnumerators,
    StopCompleted,
    Succeeded,
    TaskFinished,
    TaskId,
    TaskManagerLost,
    TaskManagerRegistered,
    Tell,
    Timeouts,
    Wait,
)
from flowjob.core.job_starting import Starting
from flowjob.core.region import Region, RegionPhase, SlotPhase, SlotRecord, slots_on
from flowjob.core.restartable import GiveUp, RestartStrategy, can_help


class JobState(Enum):
    WAITING = "waiting for slots"
    STARTING = "starting slots"
    DEPLOYING = "deploying tasks"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    ENDED = "ended"


_OVER = (JobState.STOPPING, JobState.ENDED)
_OF_THE_JOB = (Wait.REGISTRATION, Wait.STOP, Wait.KILL)
_IN_ORDER = (
    (RegionPhase.WAITING, JobState.WAITING),
    (RegionPhase.STARTING, JobState.STARTING),
    (RegionPhase.DEPLOYING, JobState.DEPLOYING),
)


class JobMachine:
    """One job. Call `start` once, then `handle` for everything that happens.

    Each region (core/region.py) goes this way; the job's state is that of the region that is furthest back:

        WAITING ──enough slots──▶ STARTING ──all ready──▶ DEPLOYING ──all deployed──▶ RUNNING
           ▲                         └──────────── a failure that may be restarted ──────┘
           └──all its slots gone, pause over── RESTARTING ◀──┘

    Cancelling, success, and a failure that is not restarted take the whole job to STOPPING, and when all slots are gone
    to ENDED. Without `restarts` every failure does.

    A lost connection between slots is a symptom: its reason (a killed process, a user error on the other side) may
    arrive a moment later. It is held back for `Timeouts.root_cause` and only counts when nothing better shows up."""

    def __init__(
        self,
        shape: JobShape,
        timeouts: Timeouts | None = None,
        restarts: RestartStrategy | None = None,
    ) -> None:
        self.shape = shape
        self.timeouts = timeouts or Timeouts()
        self.regions = [Region(i, shape, r, 1) for i, r in enumerate(shape.all_regions)]
        self._region_of = {n: region for region in self.regions for n in region.numbers}
        self.restarts = restarts
        self._missing: dict[str, None] = {}
        self._deadlines = Deadlines()
        self._starting = Starting(self.regions, self.timeouts, self._deadlines)
        self._ending = Ending(self.regions, self.timeouts, self._deadlines)
        self._moment = (0.0, 0.0)
        self._saved = True

    @property
    def state(self) -> JobState:
        if self._ending.outcome is not None:
            return JobState.ENDED if self._ending.ended else JobState.STOPPING
        if any(r.phase is not RegionPhase.RUNNING and r.cause is not None for r in self.regions):
            return JobState.RESTARTING
        phases = {r.phase for r in self.regions}
        return next((state for phase, state in _IN_ORDER if phase in phases), JobState.RUNNING)

    @property
    def outcome(self) -> Outcome | None:
        """How the job ends, from when that is clear."""
        return self._ending.outcome

    @property
    def slots(self) -> Mapping[int, SlotRecord]:
        """By number; those of regions that wait for places are missing."""
        return {n: slot for region in self.regions for n, slot in region.slots.items()}

    def attempt_of(self, slot: int) -> int:
        """The current attempt of a slot's region; 0 for an unknown slot."""
        region = self._region_of.get(slot)
        return 0 if region is None else region.attempt

    def start(
        self, attempt: int = 1, *, saved: bool = True, found: Takeover | None = None
    ) -> list[Instruction]:
        """The first instructions; attempts are counted from `attempt`. `saved`: see restartable.can_help. `found`: what
        another JobManager has left."""
        self._saved = saved
        if self.state in _OVER:  # cancelled before
            return []
        for region in self.regions:
            region.attempt = region.least = attempt
        if found is not None:
            self._starting.offers.update(found.offers)
            take_over(self.regions, found)
        if self.shape.slots == 0 or nothing_left(self.regions, found):
            return self._ending.end(Succeeded())
        instructions: list[Instruction] = [StartEnumerators(), *self._starting.place()]
        if any(r.phase is RegionPhase.WAITING for r in self.regions):
            limit = self.timeouts.registration
            instructions.append(self._deadlines.set(Wait.REGISTRATION, limit))
        return instructions

    def handle(self, event: Event, at: float = 0.0, chance: float = 0.5) -> list[Instruction]:
        """What to do about `event`, in order. Events of other attempts or unknown slots do nothing.

        at, chance  seconds of a clock that never goes back, and a random number in [0, 1): for the restart strategy"""
        self._moment = (at, chance)
        if self.state is JobState.ENDED:
            return []
        match event:
            case TaskManagerRegistered():
                return self._taskmanager_registered(event)
            case TaskManagerLost():
                return self._taskmanager_lost(event)
            case CancelRequested(reason):
                if self.state is JobState.STOPPING:  # asked twice: somebody is in a hurry
                    return self._ending.kill_slots() if Wait.STOP in self._deadlines else []
                return self._ending.end(Cancelled(reason))
            case EnumeratorFailed(vertex, error):
                return self._enumerator_failed(vertex, error)
            case SnapshotsFailed(error):
                return self._snapshots_failed(error)
            case SnapshotSaved():
                self._saved = True
                return []
            case RestartRequested():
                return [] if self.state in _OVER else self._restart_asked(event)
            case StopCompleted():
                return self._ending.end(Succeeded())
            case DeadlinePassed(wait, number):
                known = self._deadlines.passed(wait, number)
                return self._deadline_passed(wait, self.regions[number]) if known else []
        region = self._region_of.get(event.slot)
        slot = None if region is None else region.slots.get(event.slot)
        if region is None or slot is None or event.attempt != region.attempt or not slot.living:
            return []
        return self._slot_event(region, slot, event)

    # Slots

    def _slot_event(
        self,
        region: Region,
        slot: SlotRecord,
        event: SlotStarted | SlotReady | SlotFailed | Deployed | TaskFinished | SlotExited,
    ) -> list[Instruction]:
        match event:
            case SlotStarted(pid=pid):
                slot.pid = pid
                return []
            case SlotExited():
                return self._slot_exited(region, slot, event)
            case SlotFailed(error=error):
                return self._slot_failed(region, slot, error)
        if self.state in _OVER:
            return []
        match event:
            case SlotReady(address=address):
                return self._starting.slot_ready(region, slot, address)
            case Deployed():
                return self._starting.slot_deployed(region, slot)
            case TaskFinished(task=task):
                return self._task_finished(region, slot, task)

    def _task_finished(self, region: Region, slot: SlotRecord, task: TaskId) -> list[Instruction]:
        if region.phase is not RegionPhase.RUNNING or task not in self.shape.tasks_of(slot.number):
            return []
        region.finished.add(task)
        done = all(len(r.finished) == len(r.tasks) for r in self.regions)
        return self._ending.end(Succeeded()) if done else []

    # Failures

    def _slot_failed(self, region: Region, slot: SlotRecord, error: ErrorInfo) -> list[Instruction]:
        failed = Failed(error, slot.label)
        if error.kind is not ErrorKind.CONNECTION:
            return self._failed(failed, [region])
        if (
            self.state in _OVER
            or region.phase is RegionPhase.RESTARTING
            or region.symptom is not None
        ):
            return []
        region.symptom = failed
        return [self._deadlines.set(Wait.ROOT_CAUSE, self.timeouts.root_cause, region.number)]

    def _slot_exited(
        self, region: Region, slot: SlotRecord, event: SlotExited
    ) -> list[Instruction]:
        slot.phase = SlotPhase.GONE
        if self.state in _OVER:
            return self._ending.finish_if_stopped()
        if region.phase is RegionPhase.RESTARTING:
            return self._begin_if_clear(region)
        tail = "".join(f"\n  {line}" for line in event.last_output)
        said = f"; last output:{tail}" if tail else "; it printed nothing"
        doing = f"{region.phase.value} {self.shape.describe(slot.number)}"
        short = f"{slot.label} {event.reason}"
        return self._failed(Lost(f"{short} while {doing}{said}", short), [region], died=True)

    def _taskmanager_lost(self, event: TaskManagerLost) -> list[Instruction]:
        known = self._starting.offers.pop(event.taskmanager, None) is not None
        self._missing[event.taskmanager] = None
        if self.state in _OVER or self._on(event.taskmanager):
            return self._slots_lost(event.taskmanager, event.reason)
        return self._idle_taskmanager_lost(event, known=known)

    def _taskmanager_registered(self, event: TaskManagerRegistered) -> list[Instruction]:
        name = event.taskmanager
        self._starting.offers[name] = event.slots
        self._missing.pop(name, None)
        if self._on(name):
            return self._slots_lost(name, "lost its connection and came back")
        return [] if self.state in _OVER else self._starting.place()

    def _on(self, taskmanager: str) -> list[SlotRecord]:
        return [s for r in self.regions for s in r.living if s.taskmanager == taskmanager]

    def _slots_lost(self, taskmanager: str, reason: str) -> list[Instruction]:
        """All slots of a TaskManager are gone."""
        hit = self._on(taskmanager)
        for slot in hit:
            slot.phase = SlotPhase.GONE
        if self.state in _OVER:
            return self._ending.finish_if_stopped()
        struck = [r for r in self.regions if any(s.number in r.numbers for s in hit)]
        living = [r for r in struck if r.phase is not RegionPhase.RESTARTING]
        doing = "; ".join(f"slot {s.number}: {self.shape.describe(s.number)}" for s in hit)
        short = f"{taskmanager} {reason}"
        told = self._failed(Lost(f"{short} while it had {doing}", short), living, died=True)
        return [*told, *(i for r in struck for i in self._begin_if_clear(r))]

    def _idle_taskmanager_lost(self, event: TaskManagerLost, *, known: bool) -> list[Instruction]:
        """One without slots of ours. It matters to those who wait for it: a replacement that does not come up is the
        next failure."""
        waiting = [r for r in self.regions if r.phase is RegionPhase.WAITING]
        again = any(r.cause is not None for r in self.regions)
        if not event.fatal:
            return self._replace_missing() if waiting and again else []
        if self.restarts is not None and not waiting:
            return []
        before = "" if known else " before it had registered"
        lost = Lost(f"{event.taskmanager} {event.reason}{before}")
        return self._failed(lost, waiting or self.regions)

    def _enumerator_failed(self, vertex: int, error: ErrorInfo) -> list[Instruction]:
        name = next((v.name for v in self.shape.vertices if v.id == vertex), str(vertex))
        regions = [r for r in self.regions if any(t.vertex == vertex for t in r.tasks)]
        return self._failed(Failed(error, f"finding the splits of {name}"), regions)

    def _snapshots_failed(self, error: ErrorInfo) -> list[Instruction]:
        began = [r for r in self.regions if r.phase is not RegionPhase.WAITING]
        return self._failed(Failed(error, "the JobManager"), began or self.regions)

    def _restart_asked(self, event: RestartRequested) -> list[Instruction]:
        """No failure: the restart strategy is not asked, and nothing is counted."""
        struck = [r for r in self.regions if r.slots and r.phase is not RegionPhase.RESTARTING]
        if event.without is not None:
            self._starting.offers[event.without] = 0
            struck = [r for r in struck if slots_on([r], event.without)]
        cause = Cancelled(event.reason)
        return [i for r in struck for i in self._restart(r, cause, 0.0)]

    def _deadline_passed(self, wait: Wait, region: Region) -> list[Instruction]:
        match wait:
            case Wait.REGISTRATION:
                waiting = [r for r in self.regions if r.phase is RegionPhase.WAITING]
                return self._failed(Lost(self._starting.missing(self.shape.slots)), waiting)
            case Wait.SLOT_READY:
                late, limit = region.labels(SlotPhase.STARTING), self.timeouts.slot_ready
                said = f"not ready within {limit:g} s of being started: {late}"
                return self._failed(Lost(said), [region])
            case Wait.DEPLOY:
                late, limit = region.labels(SlotPhase.READY), self.timeouts.deploy
                said = f"tasks not deployed within {limit:g} s: {late}"
                return self._failed(Lost(said), [region])
            case Wait.ROOT_CAUSE:
                symptom = region.symptom
                return [] if symptom is None else self._failed(symptom, [region])
            case Wait.CLEAR:
                return self._give_up_on(region)
            case Wait.PAUSE:
                region.paused = True
                return self._begin_if_clear(region)
            case Wait.STOP:
                return self._ending.kill_slots()
            case Wait.KILL:
                return self._ending.finish()

    # Restarts

    def _failed(
        self, outcome: Failed | Lost, regions: Sequence[Region], *, died: bool = False
    ) -> list[Instruction]:
        """Replaces the slots of `regions`, or ends the job. `died`: a process is gone that was there; anything else
        that goes wrong before a region has ever run would go wrong again."""
        struck = [r for r in regions if r.phase is not RegionPhase.RESTARTING]
        if self.state in _OVER or not struck:
            return []
        started = died or all(r.has_run for r in struck)
        if self.restarts is None or not started or not can_help(outcome, saved=self._saved):
            return self._ending.end(outcome)
        decision = self.restarts.next(*self._moment)
        if isinstance(decision, GiveUp):
            return [Tell(GaveUp(outcome, decision.reason)), *self._ending.end(outcome)]
        return [i for r in struck for i in self._restart(r, outcome, decision.after)]

    def _restart(self, region: Region, cause: Outcome, after: float) -> list[Instruction]:
        region.phase, region.cause, region.paused = RegionPhase.RESTARTING, cause, after <= 0
        instructions: list[Instruction] = [
            Tell(Restarting(region.numbers, region.next_attempt, cause, after)),
            *self._deadlines.clear_region(region.number, but=_OF_THE_JOB),
            *stop_slots("it is being restarted", region, kill=True),
        ]
        if region.living:
            instructions.append(self._deadlines.set(Wait.CLEAR, self.timeouts.clear, region.number))
        if not region.paused:
            instructions.append(self._deadlines.set(Wait.PAUSE, after, region.number))
        return [*instructions, *self._begin_if_clear(region)]

    def _begin_if_clear(self, region: Region) -> list[Instruction]:
        """The next attempt: when nothing is left of the last one, and not too soon."""
        if region.phase is not RegionPhase.RESTARTING or region.living or not region.paused:
            return []
        if self.state in _OVER:
            return []
        region.reset()
        instructions: list[Instruction] = [
            *self._deadlines.clear(Wait.CLEAR, region=region.number),
            ResetTasks(region.numbers, region.tasks),
            *self._replace_missing(),
        ]
        placed = self._starting.place()
        if not placed and Wait.REGISTRATION not in self._deadlines:
            limit = self.timeouts.registration
            placed = [self._deadlines.set(Wait.REGISTRATION, limit)]
        return [*instructions, *placed]

    def _give_up_on(self, region: Region) -> list[Instruction]:
        """Slots that even a kill does not end are their TaskManagers' fault: do without those."""
        for name in dict.fromkeys(s.taskmanager for s in region.living):
            self._starting.offers.pop(name, None)
            self._missing[name] = None
        for slot in region.living:
            slot.phase = SlotPhase.GONE
        return self._begin_if_clear(region)

    def _replace_missing(self) -> list[Instruction]:
        missing, self._missing = self._missing, {}
        return [ReplaceTaskManager(name) for name in missing]
