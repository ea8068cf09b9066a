"""The real REST service, in this process: its application driven by hand, over a job that is made up.

No sockets, no threads, no waiting: what it sends is collected until it ends, or until a stream has sent enough."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from flowjob.client.client import Client
from flowjob.client.service import Service
from flowjob.client.transport import Answer, Request
from flowjob.cluster import control_api as control
from flowjob.cluster import job_details as details
from flowjob.cluster.local_requests import AnyRequest, PlannedUpgrade, UpgradeJob
from flowjob.cluster.state_moves import StateMove
from flowjob_api.app import create_app
from flowjob_api.auth.local import LocalDoor
from flowjob_api.auth.sessions import Sessions
from flowjob_api.services.local import LocalJobs
from tests.client.scripted import VirtualClock

NOW = "2026-03-01T12:00:00.000Z"


class InstantClock:
    """For the service: sleeping takes no time, and lets others run."""

    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_772_366_400.0 + self.time

    async def sleep(self, seconds: float) -> None:
        if seconds >= 30:  # an alarm, which does not go off
            await asyncio.Event().wait()
        self.time += seconds
        await asyncio.sleep(0)


class MadeUpJob:
    """A LiveJob whose operations are done when they are looked at the second time."""

    def __init__(self, name: str = "flights") -> None:
        self.name = name
        self.asked: list[tuple[str, AnyRequest]] = []
        self.looks = 0
        self.refuse: control.OperationView | None = None
        self.rests = False

    @property
    def details(self) -> Any:
        return self

    @property
    def operations(self) -> Any:
        return self

    async def job(self) -> details.JobFacts:
        slots = control.Slots(needed=2, offered=2, task_managers=1)
        view = control.JobManagerView(
            uid="u", revision=1, state="Running", attempt=1, parallelism=2, max_parallelism=128, slots=slots
        )  # fmt: skip
        return details.JobFacts(
            name=self.name, run="r-1", view=view, at=NOW, local=True, vertices=2, tasks={"Running": 4},
            rows_in_per_second=30_000.0, rows_out_per_second=10.0, busiest=0.95, most_backpressured=0.5,
        )  # fmt: skip

    async def graph(self, *, subtasks: bool = False) -> details.Graph:
        vertices = [
            details.VertexFacts(id=0, name="read", parallelism=2, is_source=True),
            details.VertexFacts(id=1, name="count", parallelism=2, is_sink=True),
        ]
        edges = [details.EdgeFacts(id=0, source=0, target=1, exchange="hash", keys=["word"])]
        return details.Graph(
            name=self.name, at=NOW, parallelism=2, max_parallelism=128, vertices=vertices, edges=edges
        )  # fmt: skip

    async def tasks(self, *, vertex: int | None = None) -> details.Tasks:
        return details.Tasks(at=NOW)

    async def checkpoints(self) -> details.Checkpoints:
        return details.Checkpoints(enabled=True, completed=3)

    async def checkpoint(self, id: int) -> details.CheckpointDetail:
        raise details.DetailsError("UNKNOWN", f"there is no checkpoint {id}")

    async def snapshots(self) -> details.Snapshots:
        one = details.SnapshotFacts(type="Savepoint", id=3, path="/x/savepoints/a", name="a")
        return details.Snapshots(snapshots=[one])

    async def exceptions(self) -> details.Exceptions:
        return details.Exceptions(dropped=2)

    async def metrics(self, query: details.MetricsQuery) -> details.Metrics:
        return details.Metrics(step_seconds=5.0, times_ms=[1])

    async def configuration(self) -> details.Configuration:
        return details.Configuration(sections={"job": {"parallelism": 2}})

    async def plan(self) -> details.Plan:
        return details.Plan(text="[0] read", digest="9f")

    async def logs(self, query: details.LogQuery) -> details.Logs:
        first = 1 if query.after is None else query.after + 1
        lines = [
            details.LogLine(sequence=n, at=NOW, message=f"line {n}") for n in (first, first + 1)
        ]
        return details.Logs(lines=lines, first=1, next=first + 1)

    async def changes(self, *, after: int | None = None, wait: float = 0.0) -> details.Changes:
        return details.Changes()

    async def plan_upgrade(self, wish: UpgradeJob) -> PlannedUpgrade:
        move = StateMove(operator="count", uid="count", outcome="Redistributed", rows=7, bytes=56)
        return PlannedUpgrade(accepted=True, actions=["Upgrade"], state=[move])

    async def ask(self, id: str, request: AnyRequest) -> control.OperationView:
        self.asked.append((id, request))
        return control.OperationView(id=id, state="UnderWay")

    async def look(self, id: str) -> control.OperationView:
        self.looks += 1
        if self.looks < 2:
            return control.OperationView(id=id, state="UnderWay")
        if self.refuse is not None:
            return self.refuse
        taken = control.Snapshot(type="Savepoint", id=4, path="/x/savepoints/b")
        return control.OperationView(id=id, state="Done", snapshot=taken)


class InProcess:
    """A Transport to the application. `enough`: bodies of a stream that are taken before it is left."""

    def __init__(self, job: MadeUpJob | None, *, token: str | None = None, enough: int = 8) -> None:
        clock = InstantClock()
        self.app = create_app(
            LocalJobs(job, clock),
            LocalDoor(Sessions(clock), token),
            clock=clock,  # type: ignore[arg-type]
        )
        self.headers: list[Mapping[str, str]] = []
        self._enough = enough
        self._runner = asyncio.Runner()

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._runner.close()

    def send(self, request: Request) -> Answer:
        self.headers.append(request.headers)
        return self._runner.run(self._ask(request))

    def close(self) -> None: ...

    async def _ask(self, request: Request) -> Collected:
        path, _, query = request.path.partition("?")
        headers = {"host": "127.0.0.1:8081", **request.headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
            "scheme": "http", "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "", "headers": [(n.lower().encode(), v.encode()) for n, v in headers.items()],
            "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8081),
        }  # fmt: skip
        collected, gone, is_sent = Collected(), asyncio.Event(), False

        async def receive() -> dict[str, Any]:
            nonlocal is_sent
            if is_sent:
                await gone.wait()
                return {"type": "http.disconnect"}
            is_sent = True
            return {"type": "http.request", "body": request.body or b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                collected.status = message["status"]
                collected.headers = {k.decode(): v.decode() for k, v in message["headers"]}
                return
            collected.parts.append(message.get("body", b""))
            if len(collected.parts) >= self._enough or not message.get("more_body"):
                gone.set()

        await self.app(scope, receive, send)
        return collected


class Collected:
    """An answer that is here already."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.parts: list[bytes] = []

    def read(self) -> bytes:
        return b"".join(self.parts)

    def lines(self) -> Iterator[str]:
        yield from self.read().decode().split("\n")

    def close(self) -> None: ...


def client_of(transport: InProcess, token: str | None = None) -> Client:
    """With a clock in which nothing waits."""
    return Client(Service(transport, "http://127.0.0.1:8081", lambda: token, clock=VirtualClock()))
