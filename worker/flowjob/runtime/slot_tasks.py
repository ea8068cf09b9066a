"""The tasks of a slot process: a TaskSet with its data plane, behind the slot's protocol (runtime/slot.py).

It translates between the two: places become addresses, questions for splits become messages. It must not know how
messages travel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from flowjob.connectors.base import Split
from flowjob.core.job_events import Address, TaskId, TaskPlace
from flowjob.runtime.exchange import ExchangeSettings, Identity, SlotAddress, SlotExchange
from flowjob.runtime.slot import SlotContext
from flowjob.runtime.task_set import DEFAULT_BATCH_ROWS, RunOptions, TaskKey, TaskSet


class SlotTasks:
    """The TaskRunner of real slots. `job.run` may give `batch_rows` (the most rows of any batch), `checked` (assert
    what operators promise) and `exchange` (fields of ExchangeSettings; they win)."""

    def __init__(self, context: SlotContext) -> None:
        self._context = context
        self._asking: set[asyncio.Task[None]] = set()
        self._exchange: SlotExchange | None = None
        self._tasks: TaskSet | None = None
        self._locations: dict[TaskKey, SlotAddress] = {}

    async def open(self) -> Address:
        """Opens the data port."""
        context = self._context
        batch_rows = context.job.run.get("batch_rows", DEFAULT_BATCH_ROWS)
        exchange = {"batch_rows": batch_rows, **context.job.run.get("exchange", {})}
        settings = ExchangeSettings(**exchange)
        identity = Identity(
            job=f"{context.job.name}/{context.job.run_id}",
            attempt=context.attempt,
            token=context.job.token,
            slot=f"slot {context.slot}",
        )
        self._exchange = SlotExchange(context.env, settings, identity)
        options = RunOptions(
            run_id=context.job.run_id,
            batch_rows=batch_rows,
            checked=context.job.run.get("checked", False),
        )
        self._tasks = TaskSet(context.env, context.graph, self._exchange, self, options)
        return Address(*await self._exchange.listen(context.host))

    async def prepare(self, tasks: list[TaskId], places: list[TaskPlace]) -> None:
        """Builds the tasks: their gates exist from here on."""
        assert self._tasks is not None
        for task, slot, address in places:
            place = SlotAddress(f"slot {slot}", address[0], address[1])
            self._locations[task[0], task[1]] = place
        self._tasks.prepare([(t[0], t[1]) for t in tasks])

    async def run(self) -> None:
        """Connects and runs until every task has ended."""
        assert self._tasks is not None
        await self._tasks.connect(self._locations)
        await self._tasks.run()

    def metrics(self) -> Mapping[TaskId, Mapping[str, Any]]:
        if self._tasks is None:
            return {}
        return {TaskId(*key): values for key, values in self._tasks.metrics().items()}

    async def close(self) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        if self._exchange is not None:
            await self._exchange.close()

    # -- what the tasks ask (task_set.Upstairs)

    def request_splits(self, task: TaskKey) -> None:
        asking = asyncio.get_running_loop().create_task(self._ask(task))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _ask(self, task: TaskKey) -> None:
        assert self._tasks is not None
        answer = await self._context.control.next_splits(*task)
        splits = [(Split(s.id, s.data), s.position) for s in answer.splits]
        self._tasks.deliver_splits(task, splits, answer.complete)

    def task_finished(self, task: TaskKey) -> None:
        self._context.control.task_finished(*task)

    def sink_report(self, task: TaskKey, sink: str, data: bytes) -> Awaitable[None] | None:
        return self._context.control.report(*task, sink, data)
