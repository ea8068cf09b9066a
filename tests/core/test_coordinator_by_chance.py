"""The coordinator under random orders of events: what must hold whatever comes late, twice, or not at all.

A small world of tasks, storage and people around it. Sinks prepare an item at every barrier; what they publish is
compared with what a restart would do again, which is what exactly-once means."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from flowjob.core import coordinator_events as ev
from flowjob.core.checkpoint_settings import CheckpointSettings, Unaligned
from flowjob.core.coordinator import Coordinator
from flowjob.core.coordinator_events import Kind, Prepared
from flowjob.core.elements import Stop
from flowjob.core.job_events import TaskId

SOURCES = (TaskId(0, 0), TaskId(0, 1))
SINKS = (TaskId(1, 0), TaskId(1, 1))
TASKS = frozenset((*SOURCES, *SINKS))
tasks = st.sampled_from(sorted(TASKS))
Message = ev.Acknowledged[str] | ev.Declined | ev.TaskCommitted


@dataclass
class Sink:
    """`unpublished`: items by the snapshot they were prepared for."""

    unpublished: dict[bytes, int] = field(default_factory=dict)


class World(RuleBasedStateMachine):
    @initialize(
        concurrent=st.integers(1, 3),
        retained=st.integers(1, 3),
        tolerable=st.integers(0, 3),
        unaligned=st.sampled_from(Unaligned),
        interval=st.sampled_from([None, 1.0, 10.0]),
    )
    def begin(
        self,
        concurrent: int,
        retained: int,
        tolerable: int,
        unaligned: Unaligned,
        interval: float | None,
    ) -> None:
        self.settings = CheckpointSettings(
            interval=interval,
            min_pause=0.5,
            max_concurrent=concurrent,
            retained=retained,
            tolerable_failures=tolerable,
            unaligned=unaligned,
            timeout=20.0,
            resend=2.0,
        )
        self.coordinator: Coordinator[str] = Coordinator(self.settings, 1)
        self.now = 0.0
        self.running = self.ended = self.halted = False
        self.failures_open = 0
        self.ids: list[int] = []
        self.triggered_last: set[int] = set()
        self.open: dict[int, ev.Trigger] = {}
        self.storing: ev.Store[str] | None = None
        self.manifests: dict[int, ev.Store[str]] = {}
        self.items: dict[int, dict[TaskId, tuple[Prepared, ...]]] = {}
        self.committed: list[int] = []
        self.retired: set[int] = set()
        self.asked: dict[str, int] = {}
        self.acknowledged: dict[int, set[TaskId]] = {}
        self.requests = 0
        self.restore_from: int | None = None
        self.lineage: dict[bytes, int] = {}
        self.published: set[bytes] = set()
        self.fresh = 0
        self.finished: set[TaskId] = set()
        self.stopping = False
        self._deploy(None)

    # What tasks do

    def _deploy(self, source: int | None) -> None:
        self.sinks = {t: Sink() for t in SINKS}
        self.seen = dict.fromkeys(TASKS, 0)
        self.wires: list[Message] = []
        self.commits: list[tuple[TaskId, ev.NotifyCommitted]] = []
        self.finished = set()
        pending: list[Prepared] = []
        if source is not None:
            manifest = self.manifests[source]
            mine = [p for ps in self.items[source].values() for p in ps]
            pending = [
                Prepared(SINKS[n % 2], p.sink, p.items)
                for n, p in enumerate([*manifest.carried, *mine])
            ]
        self.lineage = {i: n for i, n in self.lineage.items() if n <= (source or 0)}
        waiting = {i for p in pending for i in p.items}
        assert self.lineage.keys() - self.published <= waiting, "a restart would lose results"
        assert self.published <= self.lineage.keys(), "a restart would publish results twice"
        self.running, self.halted, self.restore_from = True, False, None
        self.open.clear()
        self.tell(ev.Started(TASKS, frozenset(SOURCES), source or 0, tuple(pending)))

    @rule(task=tasks, data=st.data())
    def take_part(self, task: TaskId, data: st.DataObject) -> None:
        mine = [n for n, t in self.open.items() if n > self.seen[task]]
        if not self.running or not mine:
            return
        number = data.draw(st.sampled_from(mine))
        if data.draw(st.integers(0, 9)):
            self._take_part(task, number)
        else:
            self.seen[task] = number
            self.wires.append(ev.Declined(number, task, "disk full"))

    def _take_part(self, task: TaskId, number: int) -> None:
        self.seen[task] = number
        prepared: tuple[Prepared, ...] = ()
        if task in self.sinks:
            sink = self.sinks[task]
            self.fresh += 1
            item = b"%d" % self.fresh
            self.lineage[item] = sink.unpublished[item] = number
            prepared = (Prepared(task, "files", tuple(sink.unpublished)),)
        self.items.setdefault(number, {})[task] = prepared
        self.wires.append(ev.Acknowledged(number, task, f"{number} {task}", prepared))

    @rule(order=st.permutations(sorted(TASKS)), arrived=st.integers(2, 4))
    def everyone_takes_part(self, order: list[TaskId], arrived: int) -> None:
        """Most acknowledgements arrive at once: without this few snapshots would ever be complete."""
        for number in list(self.open):
            for task in order:
                if self.running and number in self.open and self.seen[task] < number:
                    self._take_part(task, number)
        if not self.running:
            return
        coming, self.wires = self.wires, []
        coming.sort(key=lambda m: order.index(m.task))
        late = order[arrived:]
        for message in coming:
            if message.task in late:
                self.wires.append(message)
            elif self.running:
                self.tell(message)

    @precondition(lambda self: self.wires)
    @rule(data=st.data(), again=st.booleans())
    def message_arrives(self, data: st.DataObject, again: bool) -> None:
        message = data.draw(st.sampled_from(self.wires))
        if not again:
            self.wires.remove(message)
        self.tell(message)

    @precondition(lambda self: self.commits)
    @rule(data=st.data(), answered=st.booleans(), again=st.booleans())
    def sink_commits(self, data: st.DataObject, answered: bool, again: bool) -> None:
        order = data.draw(st.sampled_from(self.commits))
        if not again:
            self.commits.remove(order)
        self._commit(order, answered)

    def _commit(self, order: tuple[TaskId, ev.NotifyCommitted], answered: bool) -> None:
        task, notice = order
        upto = notice.permit.checkpoint
        sink = self.sinks[task]
        done = {i for i, n in sink.unpublished.items() if n <= upto}
        sink.unpublished = {i: n for i, n in sink.unpublished.items() if i not in done}
        self.published |= done | {i for p in notice.former if p.task == task for i in p.items}
        if answered:
            self.wires.append(ev.TaskCommitted(upto, task))

    @precondition(lambda self: self.running)
    @rule(task=tasks)
    def task_ends(self, task: TaskId) -> None:
        self.finished.add(task)
        self.tell(ev.TaskEnded(task))

    @rule(number=st.integers(0, 20), task=tasks)
    def nonsense_arrives(self, number: int, task: TaskId) -> None:
        self.tell(ev.Stored(1000 + number))
        self.tell(ev.Acknowledged(1000 + number, task, "?"))
        self.tell(ev.Acknowledged(number, TaskId(9, 9), "?"))
        self.tell(ev.TaskCommitted(1000 + number, task))
        self.tell(ev.Declined(1000 + number, task, "?"))

    # What storage and machines do

    @precondition(lambda self: self.storing is not None)
    @rule(well=st.sampled_from([True, True, True, False]))
    def store_answers(self, well: bool) -> None:
        store = self.storing
        assert store is not None
        self.storing = None
        if not well:
            self.tell(ev.StoreFailed(store.checkpoint, "store is away"))
            return
        assert store.checkpoint not in self.manifests, "committed twice"
        self.manifests[store.checkpoint] = store
        if store.kind.is_restore_point:
            assert store.checkpoint > max(self.committed, default=0), "commits do not ascend"
            self.committed.append(store.checkpoint)
        self.tell(ev.Stored(store.checkpoint))

    @rule(chance=st.integers(0, 3))
    def tasks_fail(self, chance: int) -> None:
        if self.running and not self.halted and chance:
            return  # else nothing would ever come to an end
        self.running = False
        self.wires.clear()
        self.commits.clear()
        self.failures_open = 1
        self.tell(ev.TasksFailed("killed"))

    @precondition(lambda self: self.restore_from is not None)
    @rule()
    def tasks_start_again(self) -> None:
        self._deploy(self.restore_from or None)

    # What people and time do

    @rule(stop=st.sampled_from([Stop.NO] * 4 + [Stop.SUSPEND, Stop.DRAIN]))
    def somebody_wants_a_savepoint(self, stop: Stop) -> None:
        self.requests += 1
        name = f"r{self.requests}"
        self.asked[name] = 0
        self.tell(ev.SavepointRequested(name, f"savepoints/{name}", stop))

    @rule()
    def somebody_wants_a_checkpoint(self) -> None:
        self.requests += 1
        name = f"r{self.requests}"
        self.asked[name] = 0
        self.tell(ev.CheckpointRequested(name))

    @rule(data=st.data())
    def somebody_aborts(self, data: st.DataObject) -> None:
        if self.open and data.draw(st.integers(0, 3)) == 0:
            self.tell(ev.AbortRequested(data.draw(st.sampled_from(sorted(self.open))), "enough"))

    @rule()
    def time_comes(self) -> None:
        at = self.coordinator.wake_at
        if at is not None:
            self.now = max(self.now, at)
            self.tell(ev.Tick())
            later = self.coordinator.wake_at
            assert later is None or later > self.now, "it would be woken for ever"

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.tell(ev.Tick())

    @rule(rounds=st.integers(1, 3), commits=st.booleans())
    def all_goes_well_for_a_while(self, rounds: int, commits: bool) -> None:
        for _ in range(rounds):
            self.time_passes(self.settings.interval or 1.0)
            for number in list(self.open):
                for task in sorted(TASKS):
                    if self.running and number in self.open and self.seen[task] < number:
                        self._take_part(task, number)
            self._deliver()
            if self.storing is not None:
                self.store_answers(well=True)
            while commits and self.commits:
                self._commit(self.commits.pop(0), answered=True)
            self._deliver()

    def _deliver(self) -> None:
        while self.wires:
            self.tell(self.wires.pop(0))

    # What is said

    def tell(self, event: ev.Event[str]) -> None:
        if isinstance(event, ev.Acknowledged):
            self.acknowledged.setdefault(event.checkpoint, set()).add(event.task)
        for said in self.coordinator.handle(event, self.now):
            self._hear(said)

    def _hear(self, said: ev.Instruction[str]) -> None:
        match said:
            case ev.Trigger():
                self._triggered(said)
            case ev.Abort(number):
                self.open.pop(number, None)
                assert self.storing is None or self.storing.checkpoint != number
            case ev.Store():
                assert self.storing is None, "two manifests at once"
                assert set(said.snapshots) == TASKS, "stored without all tasks"
                self.open.pop(said.checkpoint)
                self.storing = said
                if said.kind is Kind.SAVEPOINT:
                    assert said.carried == ()
                    ours = self.lineage_up_to(said.checkpoint)
                    assert ours <= self.published, "a savepoint with unpublished results"
            case ev.NotifyCommitted(permit, told, former):
                assert self.running
                assert permit.checkpoint in (*self.committed, 0)
                self.commits += [(t, said) for t in told if t in self.sinks]
                assert all(p.task in told for p in former)
            case ev.Retire(number):
                self._retired(number)
            case ev.Discard(number):
                assert number not in self.manifests
                assert number < max(self.committed)
            case ev.Answer(request):
                self.asked[request] += 1
                assert self.asked[request] == 1, "answered twice"
                if said.failure is None:
                    assert said.checkpoint in self.manifests
                    assert said.checkpoint not in self.open
            case ev.Restorable(number):
                assert self.failures_open == 1, "told to restart without a failure"
                assert self.storing is None, "restarted while a commit is in doubt"
                assert number == max(self.committed, default=None)
                self.failures_open, self.restore_from = 0, number or 0
            case ev.FailJob() | ev.RestartJob():
                self.halted = True
            case ev.Release(number) | ev.StopJob(number):
                assert number == max(self.committed)
                is_stop = self.manifests[number].kind is Kind.STOP
                assert is_stop or number in self.triggered_last, "input is left"
                assert self.lineage_up_to(number) <= self.published, "ends with unpublished results"

    def lineage_up_to(self, number: int) -> set[bytes]:
        return {i for i, n in self.lineage.items() if n <= number}

    def _triggered(self, said: ev.Trigger) -> None:
        number = said.barrier.checkpoint
        assert self.running
        if number in self.open:
            assert said.barrier == self.open[number].barrier
            assert set(said.tasks) <= self.finished
            return
        assert number > max(self.ids, default=0), "ids do not ascend"
        others = sum(map(self._takes_room, self.open)) + (self.storing is not None)
        assert others < self.settings.max_concurrent
        if self.settings.unaligned is not Unaligned.NEVER:
            alone = said.savepoint is None and not self.finished >= TASKS
            assert not (alone and others), "an unaligned one is not alone"
        assert set(said.tasks) == set(SOURCES) | self.finished
        if self.finished == TASKS:
            self.triggered_last.add(number)
        self.ids.append(number)
        self.open[number] = said

    def _takes_room(self, number: int) -> bool:
        """Savepoints that all have acknowledged only wait for a checkpoint."""
        savepoint = self.open[number].savepoint and self.open[number].barrier.stop is Stop.NO
        return not savepoint or self.acknowledged.get(number, set()) < TASKS

    def _retired(self, number: int) -> None:
        assert number in self.committed
        assert self.manifests[number].kind in (Kind.CHECKPOINT, Kind.FINAL)
        assert number not in self.retired
        self.retired.add(number)
        newer = [c for c in self.committed if c > number]
        assert len(newer) >= self.settings.retained, "retired before newer ones were committed"

    @invariant()
    def history_is_bounded(self) -> None:
        if hasattr(self, "coordinator"):
            assert len(self.coordinator.history) <= self.settings.history

    def teardown(self) -> None:
        if not hasattr(self, "coordinator"):
            return
        self.tell(ev.Closed("the cluster is shut down"))
        assert set(self.asked.values()) <= {1}, "somebody was never answered"
        assert self.coordinator.handle(ev.Tick(), self.now) == []
        assert self.coordinator.wake_at is None


TestCoordinatorByChance = World.TestCase
TestCoordinatorByChance.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
