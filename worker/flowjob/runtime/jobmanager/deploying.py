"""What a start or restart of tasks needs besides processes: the snapshot they continue from, and the splits to read.

Slots are told to build their tasks only when both are known. It must not know why tasks start, or where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flowjob.core.job_events import Deploy, Event, JobShape, SnapshotsFailed, TaskId
from flowjob.core.split_assignment import Remembered
from flowjob.errors import DamagedSnapshot, SnapshotError
from flowjob.plan.job_graph import JobGraph
from flowjob.runtime import messages
from flowjob.runtime.blame import EXITS
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.failures import describe
from flowjob.runtime.jobmanager.checkpoints import CheckpointService
from flowjob.runtime.jobmanager.snapshot_store import RestorePoint
from flowjob.runtime.jobmanager.source_restoring import remembered_splits
from flowjob.runtime.jobmanager.splits import SplitService
from flowjob.runtime.outbox import cancel_all
from flowjob.runtime.wire import TaskInventory


@dataclass(frozen=True, slots=True)
class Way:
    """To the job machine and to slots."""

    happened: Callable[[Event], None]
    send: Callable[[str, int, messages.ToSlotBody], None]


class Deployment:
    """Of one job. Without `checkpoints` tasks always start from the beginning."""

    def __init__(
        self, env: Env, graph: JobGraph, shape: JobShape, splits: SplitService, way: Way
    ) -> None:
        self._env = env
        self._graph = graph
        self._all = shape.tasks()
        self._splits = splits
        self._way = way
        self._checkpoints: CheckpointService | None = None
        self._points: dict[int, asyncio.Future[RestorePoint | None]] = {}
        self._deploying: set[asyncio.Future[None]] = set()
        self._new: set[TaskId] = set(self._all)
        self._early: dict[TaskId, messages.TaskEnded] = {}
        self._remembered: dict[int, Remembered[messages.WireSplit]] = {}
        self._begun = False
        self.source = "the beginning"

    async def begin(
        self,
        checkpoints: CheckpointService,
        initial: RestorePoint | None,
        *,
        stand_in: bool = True,
    ) -> None:
        """Before anything starts: reads where `initial` has the splits. Raises SnapshotError and StorageError.
        `stand_in`: no task goes on that has begun from there, so that another one may stand in."""
        self._checkpoints = checkpoints
        while initial is not None:
            try:
                self._remembered = await self._read(initial)
                break
            except DamagedSnapshot as error:
                if not stand_in or not checkpoints.found_damaged(str(error)):
                    raise
            initial = await checkpoints.settled()
        self.source = told(initial)
        self._begun = initial is not None

    def go_on(self, adopted: Mapping[TaskId, TaskInventory]) -> None:
        """At the beginning: splits go on where the snapshot has them, or with the tasks that are `adopted`."""
        remembered = self._remembered
        self._splits.adopt(adopted, remembered)
        if self._begun:
            self._splits.reset([t for t in self._all if t not in adopted], remembered)
        for task, has in adopted.items():
            if has.ended:
                self._early[task] = messages.TaskEnded(task=task)

    def reset(self, slots: tuple[int, ...], tasks: tuple[TaskId, ...]) -> None:
        """These tasks are gone, and will be deployed again."""
        self._new.update(tasks)
        for task in tasks:
            self._early.pop(task, None)
        if self._checkpoints is None:
            self._splits.reset(tasks, {})
            return
        point = asyncio.ensure_future(self._continue(self._checkpoints, tasks))
        former = [self._points[slot] for slot in slots if slot in self._points]
        self._points.update(dict.fromkeys(slots, point))
        for waiting in former:
            if waiting not in self._points.values():
                waiting.cancel()  # nobody is deployed from there any more

    def deploy(self, deploy: Deploy) -> None:
        """As soon as it is known from where."""
        point = self._points.get(deploy.slot)
        if point is not None and not point.done():
            waiting = asyncio.ensure_future(self._deploy_later(deploy, point))
            self._deploying.add(waiting)
            waiting.add_done_callback(self._deploying.discard)
            return
        newest = None if self._checkpoints is None else self._checkpoints.newest
        self._deploy(deploy, newest if point is None else point.result())

    def running(self) -> None:
        """All tasks run. A snapshot must not come before sources have what was begun by others: until then only the
        JobManager knows of it."""
        if self._new and self._checkpoints is not None and not self._splits.owes:
            new = frozenset(self._new)
            self._new.clear()
            self._checkpoints.started(None if new == self._all else new)
            early, self._early = self._early, {}
            for message in early.values():
                self._checkpoints.received(message)

    def received(self, message: messages.FromSlotBody) -> None:
        """A slot's message about snapshots. Regions start one by one, so a task may end before all tasks run: then it
        waits until they do."""
        if self._checkpoints is None:
            return
        if isinstance(message, messages.TaskEnded) and message.task in self._new:
            self._early[message.task] = message
        else:
            self._checkpoints.received(message)

    async def close(self) -> None:
        await cancel_all([*self._deploying, *self._points.values()])

    async def _deploy_later(
        self, deploy: Deploy, point: asyncio.Future[RestorePoint | None]
    ) -> None:
        self._deploy(deploy, await asyncio.shield(point))

    def _deploy(self, deploy: Deploy, point: RestorePoint | None) -> None:
        """A slot of an older attempt is gone, and the message with it."""
        self.source = told(point)
        message = messages.DeployTasks(
            tasks=list(deploy.tasks),
            places=list(deploy.places),
            attempt=deploy.attempt,
            restore=None if point is None else point.name,
            restore_location=self._location(point),
        )
        self._way.send(deploy.taskmanager, deploy.slot, message)

    def _location(self, point: RestorePoint | None) -> StoreLocation | None:
        own = None if self._checkpoints is None else self._checkpoints.location
        return None if point is None or point.location == own else point.location

    async def _continue(
        self, checkpoints: CheckpointService, tasks: tuple[TaskId, ...]
    ) -> RestorePoint | None:
        try:
            while True:
                point = await checkpoints.settled()
                try:
                    await self._restore(tasks, point)
                    break
                except DamagedSnapshot as error:
                    if not checkpoints.found_damaged(str(error)):
                        raise
        except EXITS as error:
            self._way.happened(SnapshotsFailed(describe(error)))
            await asyncio.Event().wait()  # for the next restart, or the end
        return point

    async def _restore(self, tasks: tuple[TaskId, ...], point: RestorePoint | None) -> None:
        remembered = {} if point is None else await self._read(point)
        if self._splits.is_beyond(tasks, remembered):
            raise SnapshotError(
                f"{told(point)} stands in for a newer one that is damaged, but other tasks go on from that. Start the "
                "job again with --from latest, which begins from there with all of them"
            )
        self._splits.reset(tasks, remembered)

    async def _read(self, point: RestorePoint) -> dict[int, Remembered[messages.WireSplit]]:
        assert self._env.open_store is not None
        store = self._env.open_store(point.location)
        try:
            return await remembered_splits(store, point, self._graph)
        finally:
            await store.close()


def told(point: RestorePoint | None) -> str:
    """For a line: `checkpoint 7`."""
    return "the beginning" if point is None else f"{point.manifest.kind} {point.manifest.id}"
