"""The tasks of a slot process: a TaskSet with its data plane, behind the slot's protocol (runtime/slot.py).

It translates between the two: places become addresses, questions for splits become messages. It must not know how
messages travel."""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Mapping
from typing import Any

from flowjob.core.commits import CommitPermit
from flowjob.core.elements import Barrier, Stop
from flowjob.core.job_events import Address, TaskId, TaskPlace
from flowjob.runtime.checkpoint.in_flight import replay
from flowjob.runtime.checkpoint.manifest import TaskSnapshot
from flowjob.runtime.checkpoint.manifest_io import read_manifest
from flowjob.runtime.checkpoint.restoring import Place, SnapshotReader
from flowjob.runtime.checkpoint.sections import RestoredState
from flowjob.runtime.exchange import ExchangeSettings, Identity, SlotAddress, SlotExchange
from flowjob.runtime.messages import (
    AbortSnapshot,
    CommitSnapshot,
    ReleaseTasks,
    TaskInventory,
    TriggerSnapshot,
)
from flowjob.runtime.slot import Assigned, RestoreFrom, SlotContext, SnapshotOrder
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.task_set import (
    DEFAULT_BATCH_ROWS,
    LATENCY_INTERVAL,
    RunOptions,
    Snapshots,
    TaskKey,
    TaskSet,
)


class SlotTasks:
    """The TaskRunner of real slots. `job.run` may give `batch_rows` (the most rows of any batch), `checked` (assert
    what operators promise) and `exchange` (fields of ExchangeSettings; they win)."""

    def __init__(self, context: SlotContext) -> None:
        self._context = context
        self._store: ObjectStore | None = None
        self._exchange: SlotExchange | None = None
        self._tasks: TaskSet | None = None
        self._locations: dict[TaskKey, SlotAddress] = {}
        self._triggered = 0

    async def open(self) -> Address:
        """Opens the data port."""
        context = self._context
        batch_rows = context.job.run.get("batch_rows", DEFAULT_BATCH_ROWS)
        exchange = {"batch_rows": batch_rows, **context.job.run.get("exchange", {})}
        settings = ExchangeSettings(**exchange)
        identity = Identity(
            job=f"{context.job.name}/{context.job.run_id}",
            attempt=context.attempt,
            key=context.job.token,
            slot=f"slot {context.slot}",
        )
        self._exchange = SlotExchange(context.env, settings, identity)
        options = RunOptions(
            run_id=context.job.run_id,
            batch_rows=batch_rows,
            latency_interval=context.job.run.get("latency_interval", LATENCY_INTERVAL),
            checked=context.job.run.get("checked", False),
        )
        self._tasks = TaskSet(
            context.env,
            context.graph,
            self._exchange,
            self,
            options,
            snapshots=self._open_store(),
            attempt=context.attempt,
        )
        return Address(*await self._exchange.listen(context.host))

    def _open_store(self) -> Snapshots | None:
        plan, open_store = self._context.job.checkpoints, self._context.env.open_store
        if plan is None:
            return None
        assert open_store is not None, "this world has no object store"
        self._store = open_store(plan.location)
        return Snapshots(plan, self._store)

    async def prepare(
        self, tasks: list[TaskId], places: list[TaskPlace], restore: RestoreFrom | None = None
    ) -> None:
        """Builds the tasks: their gates exist from here on. Reads the state they are to begin with."""
        assert self._tasks is not None
        for task, slot, address in places:
            place = SlotAddress(f"slot {slot}", address[0], address[1])
            self._locations[task[0], task[1]] = place
        keys = [(t[0], t[1]) for t in tasks]
        self._tasks.prepare(keys)
        if restore is not None:
            await self._restore(keys, restore)

    async def _restore(self, keys: list[TaskKey], restore: RestoreFrom) -> None:
        open_store = self._context.env.open_store
        assert open_store is not None
        if restore.location is None:
            assert self._store is not None
            await self._restore_from(self._store, keys, restore.manifest)
            return
        store = open_store(restore.location)
        try:
            await self._restore_from(store, keys, restore.manifest)
        finally:
            await store.close()

    async def _restore_from(self, store: ObjectStore, keys: list[TaskKey], name: str) -> None:
        """`name` is that of the manifest's object."""
        assert self._tasks is not None
        graph, directory = self._context.graph, posixpath.dirname(name)
        manifest = await read_manifest(store, directory)
        reader = SnapshotReader(store, directory, manifest)
        asked = [
            (key, Place(uid, key[1], graph.vertex(key[0]).parallelism, graph.max_parallelism))
            for key in keys
            for uid in self._tasks.uids(key)
        ]
        states = await reader.restore_all([place for _, place in asked])
        by_task: dict[TaskKey, dict[str, RestoredState]] = {key: {} for key in keys}
        for (key, place), state in zip(asked, states):
            by_task[key][place.uid] = state
        for key, restored in by_task.items():
            rows = await replay(reader, self._tasks.consumer(key))
            self._tasks.restore(key, restored, rows)

    def obey(self, message: SnapshotOrder) -> None:
        """What the JobManager wants of snapshots."""
        tasks = self._tasks
        assert tasks is not None
        match message:
            case TriggerSnapshot(tasks=triggered, barrier=wire, directory=directory):
                barrier = Barrier(
                    wire.checkpoint, wire.savepoint, wire.unaligned, Stop(wire.stop), directory
                )
                self._triggered = max(self._triggered, wire.checkpoint)
                tasks.trigger([(t[0], t[1]) for t in triggered], barrier)
            case AbortSnapshot(checkpoint=checkpoint):
                tasks.abort(checkpoint)
            case CommitSnapshot(checkpoint=checkpoint, committables=committables):
                given: dict[TaskKey, dict[str, list[bytes]]] = {}
                for task, uid, former in committables:
                    given.setdefault((task[0], task[1]), {}).setdefault(uid, []).extend(former)
                tasks.commit(CommitPermit(checkpoint, message.generation), given)
            case ReleaseTasks():
                tasks.release()

    async def run(self) -> None:
        """Connects and runs until every task has ended."""
        assert self._tasks is not None
        await self._tasks.connect(self._locations)
        await self._tasks.run()

    def metrics(self) -> Mapping[TaskId, Mapping[str, Any]]:
        if self._tasks is None:
            return {}
        return {TaskId(*key): values for key, values in self._tasks.metrics().items()}

    def inventory(self) -> tuple[list[TaskInventory], int]:
        """What there is, for a JobManager that takes over."""
        tasks = self._tasks
        return [] if tasks is None else tasks.inventory(), self._triggered

    async def close(self) -> None:
        if self._exchange is not None:
            await self._exchange.close()
        if self._store is not None:
            await self._store.close()

    # -- what the tasks ask (task_set.Upstairs)

    def request_splits(self, task: TaskKey) -> None:
        assert self._tasks is not None
        tasks = self._tasks

        def deliver(answer: Assigned) -> None:
            tasks.deliver_splits(task, answer.splits, answer.complete)

        self._context.control.ask_splits(*task, deliver)

    def task_finished(self, task: TaskKey) -> None:
        self._context.control.task_finished(*task)

    def sink_report(self, task: TaskKey, sink: str, data: bytes) -> Awaitable[None] | None:
        return self._context.control.report(*task, sink, data)

    def task_ended(self, task: TaskId) -> None:
        self._context.control.task_ended(*task)

    def snapshot_taken(self, checkpoint: int, snapshot: TaskSnapshot) -> None:
        self._context.control.snapshot_taken(checkpoint, snapshot)

    def snapshot_declined(self, checkpoint: int, task: TaskId, reason: str) -> None:
        self._context.control.snapshot_declined(checkpoint, task, reason)

    def snapshot_committed(self, checkpoint: int, task: TaskId) -> None:
        self._context.control.snapshot_committed(checkpoint, task)
