"""When checkpoints may begin: not before every split that a snapshot had begun is with somebody."""

from __future__ import annotations

from typing import Any

import flowjob as fj
from flowjob.core.job_events import TaskId
from flowjob.plan import compile_job
from flowjob.runtime import messages as m
from flowjob.runtime.jobmanager.deploying import Deployment, Way
from flowjob.runtime.jobmanager.shape import shape_of
from flowjob.runtime.wire import TaskInventory
from flowjob.testing.virtual_time import run_virtually


class Splits:
    """Notes what becomes of splits."""

    def __init__(self) -> None:
        self.owes = False
        self.adopted: dict[TaskId, TaskInventory] = {}

    def adopt(self, adopted: dict[TaskId, TaskInventory], remembered: Any) -> None:
        self.adopted = adopted

    def reset(self, tasks: Any, remembered: Any) -> None: ...


class Checkpoints:
    def __init__(self) -> None:
        self.begun: list[frozenset[TaskId] | None] = []
        self.heard: list[m.FromSlotBody] = []

    def started(self, restarted: frozenset[TaskId] | None) -> None:
        self.begun.append(restarted)

    def received(self, message: m.FromSlotBody) -> None:
        self.heard.append(message)


class Numbers(fj.Schema):
    x: int


def deployment() -> tuple[Deployment, Any, Any]:
    job = fj.Job("j")
    job.write(job.read(fj.from_rows([Numbers(1)], Numbers)), fj.discard())
    graph = compile_job(job, parallelism=1)
    splits: Any = Splits()
    missing: Any = None
    made = Deployment(missing, graph, shape_of(graph), splits, Way(missing, missing))
    return made, splits, Checkpoints()


def test_a_checkpoint_does_not_come_before_those_who_read_on_have_their_splits() -> None:
    deploying, splits, checkpoints = deployment()
    run_virtually(deploying.begin(checkpoints, None))
    splits.owes = True
    deploying.running()
    assert checkpoints.begun == []
    splits.owes = False
    deploying.running()
    deploying.running()
    assert checkpoints.begun == [None]


def test_adopted_tasks_keep_their_splits_and_are_known_to_have_ended() -> None:
    deploying, splits, checkpoints = deployment()
    run_virtually(deploying.begin(checkpoints, None))
    task = TaskId(0, 0)
    has = TaskInventory(task, ended=True, splits=["a"], read=["b"])
    deploying.go_on({task: has})
    assert splits.adopted == {task: has}
    deploying.running()
    assert checkpoints.begun == [None]
    assert checkpoints.heard == [m.TaskEnded(task=task)]
