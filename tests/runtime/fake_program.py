# ruff: noqa: T201, ASYNC251
"""A program that needs no engine: a planner and a task runner for tests of processes and the control plane.

Slots import this module like a user's; what they should do is said in the FakeJob."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import psutil

from flowjob.connectors.base import Assignment, Discovery, Source, Split, SplitEnumerator
from flowjob.core.job_events import Address, TaskId
from flowjob.errors import UserCodeFailed
from flowjob.plan.job_graph import ChainNode, JobGraph, Vertex
from flowjob.plan.specs import SourceSpec
from flowjob.plan.types import OBJECTS
from flowjob.runtime.failures import user_traceback


@dataclass(frozen=True, kw_only=True)
class Numbers(Source):
    """Splits `0` … `count - 1`."""

    count: int
    deal: bool = False

    name = "numbers"
    type = OBJECTS
    bounded = True

    @property
    def assignment(self) -> Assignment:
        return Assignment.DEAL if self.deal else Assignment.PULL

    def enumerator(self, env: Any) -> SplitEnumerator:
        count = self.count

        class Enumerator(SplitEnumerator):
            async def discover(self) -> Discovery:
                if count < 0:
                    raise ValueError("no numbers today")
                return Discovery(tuple(Split(str(i), {"i": i}) for i in range(count)), True)

        return Enumerator()

    def reader(self, *_: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class FakeJob:
    """`does` maps a slot number to what it does after its splits: a method name of FakeRunner."""

    does: dict[int, str] = field(default_factory=dict)
    splits: int = 4
    deal: bool = False
    drift: bool = False
    checkpoints: Any = None


def compile_job(job: FakeJob, *, parallelism: int) -> JobGraph:
    source = Numbers(count=job.splits, deal=job.deal)
    spec = SourceSpec(input=OBJECTS, output=OBJECTS, source=source)
    node = ChainNode(f"numbers {job.does}", spec)
    name = f"pid {os.getpid()}" if job.drift else "fake"
    last = ChainNode("end", spec)
    return JobGraph(
        name, (Vertex(0, "read", parallelism, (node,)), Vertex(1, "end", 1, (last,))), ()
    )


def digest(graph: JobGraph) -> str:
    return job_graph_text(graph)


def job_graph_text(graph: JobGraph) -> str:
    return f"{graph.name}\n{graph.vertices[0].nodes[0].name}"


class FakeRunner:
    """Asks for all splits and reports them, then does what it is told."""

    def __init__(self, context: Any) -> None:
        self.context = context
        text = context.graph.vertices[0].nodes[0].name.removeprefix("numbers ")
        self.does: str = eval(text).get(context.slot, "finish")
        self.rows = 0

    async def open(self) -> Address:
        if self.does == "fail_to_open":
            raise OSError("no port left")
        return Address(self.context.host, 1000 + self.context.slot)

    async def prepare(self, tasks: list[TaskId], places: list[Any], restore: Any = None) -> None:
        self.tasks = tasks
        self.places = places

    def metrics(self) -> dict[TaskId, dict[str, Any]]:
        return {TaskId(0, self.context.slot): {"rows_in": self.rows}}

    async def run(self) -> None:
        control, slot = self.context.control, self.context.slot
        print(f"slot {slot} runs {self.tasks} of {len(self.places)}")
        complete = False
        while not complete:
            given = await control.next_splits(0, slot)
            self.rows += len(given.splits)
            for split in given.splits:
                control.report(0, slot, "sink", f"{slot}:{split.id}".encode())
            complete = given.complete
        await getattr(self, self.does)()
        for task in self.tasks:
            control.task_finished(*task)

    async def close(self) -> None:
        print(f"slot {self.context.slot} closed")

    # What a slot may do

    async def finish(self) -> None: ...

    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def block(self) -> None:
        """A user function that never returns."""
        while True:
            time.sleep(1)

    async def kill_itself(self) -> None:
        print("about to die", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGKILL)
        await self.hang()

    async def kill_itself_at_first(self) -> None:
        if self.context.attempt == 1:
            await self.kill_itself()

    async def kill_its_taskmanager(self) -> None:
        """Two generations up: the slot's parent is the fork server."""
        os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)
        await self.hang()

    async def kill_its_taskmanager_at_first(self) -> None:
        if self.context.attempt == 1:
            await self.kill_its_taskmanager()

    async def fail_at_first(self) -> None:
        if self.context.attempt == 1:
            await self.raise_user_error()

    async def exit(self) -> None:
        os._exit(3)

    async def sys_exit(self) -> None:
        sys.exit(4)

    async def raise_user_error(self) -> None:
        try:
            divide(0)
        except ZeroDivisionError as error:
            raise UserCodeFailed(
                user_traceback=user_traceback(error), operator="map", row="{x: 0}", subtask=0
            ) from error

    async def lose_peer(self) -> None:
        raise ConnectionResetError("slot 1 went away")

    async def write_scratch(self) -> None:
        (self.context.env.directory / "left.tmp").write_text("x")
        await self.hang()

    async def print_much(self) -> None:
        for i in range(20_000):
            print(f"line {i}")


def divide(x: int) -> float:
    return 1 / x
