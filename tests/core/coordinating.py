"""A coordinator with a few tasks and a clock, for tests: events in, what was said kept."""

from __future__ import annotations

from typing import Any, TypeVar

from flowjob.core import coordinator_events as ev
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.coordinator import Coordinator
from flowjob.core.coordinator_events import Prepared
from flowjob.core.elements import Stop
from flowjob.core.job_events import TaskId

S0, S1 = TaskId(0, 0), TaskId(0, 1)
K0, K1 = TaskId(1, 0), TaskId(1, 1)
SOURCES = frozenset((S0, S1))
TASKS = frozenset((S0, S1, K0, K1))

T = TypeVar("T")


class Job:
    """Started at time 0, unless told otherwise; each call returns what was said to it."""

    def __init__(self, *, start: bool = True, **settings: Any) -> None:
        settings.setdefault("interval", 10.0)
        settings.setdefault("min_pause", 0.0)
        settings.setdefault("timeout", 60.0)
        self.coordinator: Coordinator[str] = Coordinator(CheckpointSettings(**settings), 7)
        self.now = 0.0
        if start:
            self.start()

    def start(self, *pending: Prepared, restored: int = 0) -> list[ev.Instruction[str]]:
        return self.tell(ev.Started(TASKS, SOURCES, restored, pending))

    def tell(self, *events: ev.Event[str]) -> list[ev.Instruction[str]]:
        return [i for e in events for i in self.coordinator.handle(e, self.now)]

    def at(self, now: float) -> list[ev.Instruction[str]]:
        """Time has come to `now`."""
        self.now = now
        return self.tell(ev.Tick())

    def ack(
        self, checkpoint: int, *tasks: TaskId, items: bytes | None = None
    ) -> list[ev.Instruction[str]]:
        """All tasks, or those. With `items`, sinks prepare one each."""
        return self.tell(
            *(
                ev.Acknowledged(checkpoint, t, f"{checkpoint}:{t.vertex}/{t.subtask}", prepared)
                for t in tasks or sorted(TASKS)
                for prepared in [(item(t, items),) if items and t in (K0, K1) else ()]
            )
        )

    def complete(self, checkpoint: int, items: bytes | None = None) -> list[ev.Instruction[str]]:
        """All acknowledge, and it is stored."""
        return [*self.ack(checkpoint, items=items), *self.tell(ev.Stored(checkpoint))]

    def committed(self, checkpoint: int, *tasks: TaskId) -> list[ev.Instruction[str]]:
        return self.tell(*(ev.TaskCommitted(checkpoint, t) for t in tasks or (K0, K1)))

    def savepoint(self, request: str = "r", stop: Stop = Stop.NO) -> list[ev.Instruction[str]]:
        return self.tell(ev.SavepointRequested(request, f"to/{request}", stop))

    def end(self, *tasks: TaskId) -> list[ev.Instruction[str]]:
        return self.tell(*(ev.TaskEnded(t) for t in tasks or sorted(TASKS)))


def item(task: TaskId, name: bytes) -> Prepared:
    return Prepared(task, "files", (name + b"%d" % task.subtask,))


def only(kind: type[T], said: list[ev.Instruction[str]]) -> list[T]:
    return [i for i in said if isinstance(i, kind)]


def one(kind: type[T], said: list[ev.Instruction[str]]) -> T:
    """The only instruction of that kind."""
    found = only(kind, said)
    assert len(found) == 1, said
    return found[0]


def triggered(said: list[ev.Instruction[str]]) -> list[int]:
    return [t.barrier.checkpoint for t in only(ev.Trigger, said)]
