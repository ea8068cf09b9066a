"""Questions about a job as they come over HTTP, and their answers: `GET /internal/v1/details/<name>?…`.

Paths and parameters are those of cluster/job_details.py. It reads parameters and chooses codes; HTTP itself is
internal_api.py's, and what is answered is JobDetails'."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from flowjob.cluster.control_api import NotLeader, Problem
from flowjob.cluster.job_details import DetailsError, JobDetails, LogQuery, MetricsQuery

Answer = tuple[int, msgspec.Struct]
Params = Mapping[str, str]

STATUSES = {"NOT_LEADING": 421, "UNKNOWN": 404, "BAD_REQUEST": 400, "CONFLICT": 409, "STORAGE": 503}

T = TypeVar("T")


class _Graph(msgspec.Struct, forbid_unknown_fields=True):
    subtasks: bool = False


class _Tasks(msgspec.Struct, forbid_unknown_fields=True):
    vertex: int | None = None


class _Changes(msgspec.Struct, forbid_unknown_fields=True):
    after: int | None = None
    wait: float = 0.0


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


class DetailsApi:
    """What is answered, without HTTP."""

    def __init__(self, details: JobDetails) -> None:
        self._details = details
        self._questions: dict[str, Callable[[Params], Awaitable[msgspec.Struct]]] = {
            "job": self._plain(details.job),
            "graph": self._graph,
            "tasks": self._tasks,
            "checkpoints": self._plain(details.checkpoints),
            "snapshots": self._plain(details.snapshots),
            "exceptions": self._plain(details.exceptions),
            "metrics": self._metrics,
            "logs": self._logs,
            "configuration": self._plain(details.configuration),
            "plan": self._plain(details.plan),
            "changes": self._changes,
        }

    async def answer(self, path: str, params: Params) -> Answer:
        """`path` behind `details/`."""
        try:
            return 200, await self._asked(path, params)
        except DetailsError as error:
            if error.code == "NOT_LEADING":
                return 421, NotLeader(leader=error.leader)
            return STATUSES.get(error.code, 500), Problem(code=error.code, error=error.text)

    async def _asked(self, path: str, params: Params) -> msgspec.Struct:
        name, _, id = path.partition("/")
        if name == "checkpoints" and id:
            return await self._checkpoint(id)
        question = None if id else self._questions.get(name)
        if question is None:
            raise DetailsError("UNKNOWN", f"there is no `{path[:80]}` here")
        return await question(params)

    def _plain(
        self, method: Callable[[], Awaitable[msgspec.Struct]]
    ) -> Callable[[Params], Awaitable[msgspec.Struct]]:
        async def question(params: Params) -> msgspec.Struct:
            _read(params, _Nothing)
            return await method()

        return question

    async def _checkpoint(self, id: str) -> msgspec.Struct:
        if not (id.isascii() and id.isdigit() and len(id) < 19):
            raise DetailsError("BAD_REQUEST", f"`{id[:80]}` is no number of a checkpoint")
        return await self._details.checkpoint(int(id))

    async def _graph(self, params: Params) -> msgspec.Struct:
        return await self._details.graph(subtasks=_read(params, _Graph).subtasks)

    async def _tasks(self, params: Params) -> msgspec.Struct:
        return await self._details.tasks(vertex=_read(params, _Tasks).vertex)

    async def _metrics(self, params: Params) -> msgspec.Struct:
        given: dict[str, object] = dict(params)
        if "names" in params:
            given["names"] = [name for name in params["names"].split(",") if name]
        return await self._details.metrics(_read(given, MetricsQuery))

    async def _logs(self, params: Params) -> msgspec.Struct:
        return await self._details.logs(_read(params, LogQuery))

    async def _changes(self, params: Params) -> msgspec.Struct:
        asked = _read(params, _Changes)
        return await self._details.changes(after=asked.after, wait=asked.wait)


def _read(params: Mapping[str, object], type: type[T]) -> T:
    """Raises DetailsError."""
    try:
        return msgspec.convert(dict(params), type, strict=False)
    except msgspec.ValidationError as error:
        raise DetailsError("BAD_REQUEST", f"this is no question: {error}") from None
