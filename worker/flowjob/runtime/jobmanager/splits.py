"""Runs the sources' split enumerators and answers the subtasks that ask for splits.

Who gets what is decided by core/split_assignment.py; how answers travel is the caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from flowjob.connectors.base import Assignment, Left, Source, Split, SplitEnumerator
from flowjob.core.failures import ErrorInfo
from flowjob.core.job_events import TaskId
from flowjob.core.split_assignment import Given, Remembered, SplitAssigner
from flowjob.errors import FlowjobError, JobFailed, ProtocolError, UserCodeFailed
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.specs import SourceSpec
from flowjob.runtime.blame import EXITS
from flowjob.runtime.env import Env
from flowjob.runtime.failures import describe, one_line, user_traceback, users_frames
from flowjob.runtime.messages import WireSplit
from flowjob.runtime.outbox import cancel_all
from flowjob.runtime.split_reading import left_of
from flowjob.runtime.wire import TaskInventory

MOST_COUNTED = 20_000
"""Splits that wait: what is left of more is not told, for counting it would take longer than is worth it."""

Answer = Callable[[TaskId, list[WireSplit], bool], None]


def _told(error: BaseException, source: Source) -> BaseException:
    """What a source of the user's own raised as the user's; the machine's fault in a line."""
    if isinstance(error, FlowjobError):
        return error
    if users_frames(error):
        return UserCodeFailed(
            user_traceback=user_traceback(error),
            operator=f"{source.name}: finding its splits",
            row=None,
            subtask=0,
        )
    return JobFailed(one_line(error)) if isinstance(error, OSError) else error


class SplitService:
    """All sources of one job. `failed(vertex, error)` is called when an enumerator raises."""

    def __init__(
        self, env: Env, graph: JobGraph, answer: Answer, failed: Callable[[int, ErrorInfo], None]
    ) -> None:
        self._env = env
        self._answer = answer
        self._failed = failed
        self._sources: dict[int, Source] = {}
        self._assigners: dict[int, SplitAssigner[WireSplit]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._failed_ones: set[int] = set()
        for vertex in graph.vertices:
            spec = vertex.nodes[0].spec
            if isinstance(spec, SourceSpec):
                deal = spec.source.assignment is Assignment.DEAL
                self._sources[vertex.id] = spec.source
                self._assigners[vertex.id] = SplitAssigner(vertex.parallelism, deal=deal)

    def start(self) -> None:
        """Begins to look for splits."""
        for vertex in self._sources:
            self._begin(vertex)

    def asked(self, task: TaskId) -> None:
        """A source subtask is idle. Raises ProtocolError for a task that reads no splits."""
        assigner = self._assigners.get(task.vertex)
        if assigner is None:
            raise ProtocolError(f"{task} asked for splits and is no source")
        try:
            self._send(task.vertex, assigner.asked(task.subtask))
        except ValueError as error:
            raise ProtocolError(str(error)) from error

    def reset(
        self, tasks: Collection[TaskId], remembered: Mapping[int, Remembered[WireSplit]]
    ) -> None:
        """These tasks are gone and come back as of a snapshot, of which `remembered` tells by vertex. An enumerator
        that has failed starts anew."""
        for vertex, assigner in self._assigners.items():
            subtasks = [t.subtask for t in tasks if t.vertex == vertex]
            if not subtasks:
                continue
            self._send(vertex, assigner.reset(subtasks, remembered.get(vertex)))
            if vertex in self._failed_ones:
                self._failed_ones.discard(vertex)
                self._begin(vertex)

    def is_beyond(
        self, tasks: Collection[TaskId], remembered: Mapping[int, Remembered[WireSplit]]
    ) -> bool:
        """Whether these tasks cannot go back there while others go on, see SplitAssigner.knows_more."""
        for vertex, assigner in self._assigners.items():
            count = len({t.subtask for t in tasks if t.vertex == vertex})
            older: Remembered[WireSplit] = remembered.get(vertex) or Remembered()
            if 0 < count < assigner.parallelism and assigner.knows_more(older):
                return True
        return False

    def adopt(
        self,
        adopted: Mapping[TaskId, TaskInventory],
        remembered: Mapping[int, Remembered[WireSplit]],
    ) -> None:
        """Before anything else: these tasks go on with what they have."""
        for vertex, assigner in self._assigners.items():
            own = {task.subtask: has for task, has in adopted.items() if task.vertex == vertex}
            had = {subtask: [*has.splits, *has.read] for subtask, has in own.items()}
            ended = [subtask for subtask, has in own.items() if has.ended]
            assigner.adopt(had, remembered.get(vertex), ended)

    @property
    def owes(self) -> bool:
        """Whether splits that a snapshot had begun wait to be asked for."""
        return any(assigner.owes for assigner in self._assigners.values())

    def waiting(self, vertex: int) -> int | None:
        """Splits that were found, and given to nobody yet; None: the vertex is no source."""
        assigner = self._assigners.get(vertex)
        return None if assigner is None else assigner.unassigned

    def left(self, vertex: int) -> Left:
        """What there is to read of those."""
        assigner = self._assigners.get(vertex)
        if assigner is None or assigner.unassigned > MOST_COUNTED:
            return Left()
        splits = ((Split(w.id, w.data), w.position) for w in assigner.waiting)
        return left_of(self._sources[vertex], splits)

    async def close(self) -> None:
        await cancel_all(list(self._running.values()))

    def _begin(self, vertex: int) -> None:
        self._running[vertex] = asyncio.ensure_future(
            self._enumerate(vertex, self._sources[vertex])
        )

    async def _enumerate(self, vertex: int, source: Source) -> None:
        enumerator: SplitEnumerator | None = None
        try:
            enumerator = source.enumerator(self._env)
            while True:
                found = await enumerator.discover()
                complete = found.complete or enumerator.interval is None
                splits = [WireSplit(s.id, s.data) for s in found.splits]
                self._send(vertex, self._assigners[vertex].found(splits, complete=complete))
                if complete or enumerator.interval is None:
                    return
                await self._env.clock.sleep(enumerator.interval)
        except EXITS as error:
            self._failed_ones.add(vertex)
            self._failed(vertex, describe(_told(error, source)))
        finally:
            if enumerator is not None:
                await enumerator.close()

    def _send(self, vertex: int, answers: list[Given[WireSplit]]) -> None:
        for given in answers:
            self._answer(TaskId(vertex, given.subtask), list(given.splits), given.complete)
