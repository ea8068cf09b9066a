"""Every request about one job as a method: typed answers, FlowjobErrors.

Reads return what is now; writes return an Operation that is under way, for Client.wait. How a request is sent is
service.py's. It must not print, or know the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from flowjob.client.event_stream import ServerEvent
from flowjob.client.models import Job, Operation, Snapshots, UpgradePlan, UpgradeWish
from flowjob.client.service import Call, Service
from flowjob.client.steering import RestoreSource
from flowjob.cluster.job_details import (
    CheckpointDetail,
    Checkpoints,
    Configuration,
    Exceptions,
    Graph,
    LogLine,
    LogQuery,
    Logs,
    Metrics,
    Plan,
    Tasks,
)
from flowjob.errors import ServiceError

T = TypeVar("T")

ROOT = "/api/v1"

LOCAL_NAMESPACE = "local"
"""Of jobs of this machine."""


class JobClient:
    """One job. Made by Client.job; nothing is asked until a method is called."""

    def __init__(self, service: Service, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name
        self._service = service
        self._path = f"{ROOT}/jobs/{quote(namespace, safe='')}/{quote(name, safe='')}"

    # -- reads

    def get(self) -> Job:
        return self._get("", Job)

    def get_with_etag(self) -> tuple[Job, str | None]:
        """Also what `if_match` of a write takes: it is done only if the job is still as it was."""
        reply = self._service.send(Call("GET", self._path))
        return msgspec.json.decode(reply.body, type=Job), reply.headers.get("etag")

    def graph(self, *, subtasks: bool = False) -> Graph:
        return self._get("/graph", Graph, subtasks=subtasks or None)

    def tasks(self, *, vertex: int | None = None) -> Tasks:
        return self._get("/tasks", Tasks, vertex=vertex)

    def checkpoints(self) -> Checkpoints:
        return self._get("/checkpoints", Checkpoints)

    def checkpoint(self, id: int) -> CheckpointDetail:
        return self._get(f"/checkpoints/{id}", CheckpointDetail)

    def snapshots(self) -> Snapshots:
        return self._get("/snapshots", Snapshots)

    def exceptions(self) -> Exceptions:
        return self._get("/exceptions", Exceptions)

    def metrics(
        self,
        *,
        vertex: int | None = None,
        names: list[str] | None = None,
        window: Literal["10m", "1h"] = "10m",
    ) -> Metrics:
        """`vertex`: None is the whole job, -1 every vertex."""
        return self._get(
            "/metrics", Metrics, vertex=vertex, names=",".join(names or ()) or None, window=window
        )

    def configuration(self) -> Configuration:
        return self._get("/configuration", Configuration)

    def plan(self) -> Plan:
        return self._get("/plan", Plan)

    def logs(self, query: LogQuery = LogQuery()) -> Logs:  # noqa: B008 - it is frozen
        """The newest lines, or those behind `query.after`."""
        return self._get("/logs", Logs, **_of_logs(query))

    def follow_logs(self, query: LogQuery = LogQuery()) -> Iterator[LogLine]:  # noqa: B008
        """Lines as they come, each once, until the job is over."""
        call = Call("GET", f"{self._path}/logs", {**_of_logs(query), "follow": True})
        for event in self._service.follow(call):
            if event.kind == "line":
                yield self._decoded(event, LogLine)

    def events(self, last_id: str = "") -> Iterator[ServerEvent]:
        """What changes, as it changes: the service's events, undecoded."""
        return self._service.follow(Call("GET", f"{self._path}/events"), last_id)

    # -- writes

    def savepoint(self, name: str | None = None, *, key: str | None = None) -> Operation:
        return self._post("/savepoints", {"name": name}, key=key)

    def stop(
        self,
        *,
        name: str | None = None,
        drain: bool = False,
        timeout: str | None = None,
        key: str | None = None,
    ) -> Operation:
        """With a savepoint, to go on from."""
        return self._post("/stop", {"name": name, "drain": drain, "timeout": timeout}, key=key)

    def upgrade(
        self,
        wish: UpgradeWish,
        *,
        force: bool = False,
        if_match: str | None = None,
        key: str | None = None,
    ) -> Operation:
        return self._post("/upgrade", wish, force=force, key=key, if_match=if_match)

    def plan_upgrade(self, wish: UpgradeWish, *, force: bool = False) -> UpgradePlan:
        """What `upgrade` would do; nothing is changed."""
        query = {"dryRun": True, "force": force or None}
        call = Call(
            "POST",
            f"{self._path}/upgrade",
            query,
            wish,
            key=self._service.clock.key(),
            deadline=90.0,
        )
        return self._service.json(call, UpgradePlan)

    def scale(
        self,
        parallelism: int,
        *,
        force: bool = False,
        if_match: str | None = None,
        key: str | None = None,
    ) -> Operation:
        return self._post(
            "/scale", {"parallelism": parallelism}, force=force, key=key, if_match=if_match
        )

    def suspend(
        self, *, drain: bool = False, force: bool = False, key: str | None = None
    ) -> Operation:
        return self._post("/suspend", {"drain": drain}, force=force, key=key)

    def resume(
        self, *, parallelism: int | None = None, force: bool = False, key: str | None = None
    ) -> Operation:
        return self._post("/resume", {"parallelism": parallelism}, force=force, key=key)

    def cancel(self, *, force: bool = False, key: str | None = None) -> Operation:
        """At once, for good."""
        return self._post("/cancel", {}, force=force, key=key)

    def restart(
        self, reason: str = "asked for", *, force: bool = False, key: str | None = None
    ) -> Operation:
        return self._post("/restart", {"reason": reason}, force=force, key=key)

    def restore(
        self, source: RestoreSource, *, force: bool = False, key: str | None = None
    ) -> Operation:
        """What the job has done since is given up."""
        body = {"snapshot": source.snapshot, "path": source.path, "job": source.job}
        return self._post("/restore", body, force=force, key=key)

    def verify_snapshot(self, name: str, *, key: str | None = None) -> Operation:
        return self._post(f"/snapshots/{quote(name, safe='')}/verify", {}, key=key)

    def delete_snapshot(self, name: str, *, key: str | None = None) -> Operation:
        call = Call(
            "DELETE",
            f"{self._path}/snapshots/{quote(name, safe='')}",
            key=key or self._service.clock.key(),
        )
        return self._service.json(call, Operation)

    # -- how

    def _get(self, below: str, type: type[T], **query: str | int | bool | None) -> T:
        return self._service.json(Call("GET", self._path + below, query), type)

    def _post(
        self,
        below: str,
        body: Any,
        *,
        force: bool = False,
        key: str | None = None,
        if_match: str | None = None,
    ) -> Operation:
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if value is not None}
        key = key or self._service.clock.key()
        query = {"force": force or None}
        return self._service.json(
            Call("POST", self._path + below, query, body, key, if_match), Operation
        )

    def _decoded(self, event: ServerEvent, type: type[T]) -> T:
        try:
            return msgspec.json.decode(event.data, type=type)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ServiceError(
                f"{self._service.where} sent something that is no {type.__name__}: {error}"
            ) from None


def _of_logs(query: LogQuery) -> dict[str, str | int | bool | None]:
    plain = LogQuery()
    return {
        "after": query.after,
        "limit": query.limit,
        "level": query.level if query.level != plain.level else None,
        "vertex": query.vertex,
        "subtask": query.subtask,
        "source": query.source,
        "q": query.text or None,
    }
