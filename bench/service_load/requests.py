"""Those who read: so many requests a second, whether or not the service keeps up.

An open loop: moments are drawn before, and seconds count from when a request was due, not from when it could be sent. A
service that stands still for a second is late for two hundred requests then, not for one."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from bench.service_load.pieces import job, namespace, token
from bench.service_load.wire import Connection, Server, request

PEOPLE: Final = 20
MOST: Final = 64
"""Connections, as a few browsers and scripts keep them"""

PATHS: Final = {
    "list": 30, "list of a namespace": 8, "list by state": 5, "list by text": 5, "next page": 4, "unchanged list": 8,
    "job": 12, "job with a JobManager": 8, "graph": 8, "metrics": 4, "checkpoints": 4, "tasks": 2, "snapshots": 2,
}  # fmt: skip
"""What is asked for how often."""


@dataclass
class Readers:
    """`seconds`: by kind, from when a request was due to the last byte of its answer."""

    server: Server
    rate: float
    jobs: int
    watched: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    moments: list[tuple[float, float]] = field(default_factory=list)
    """When requests were due, and their seconds"""
    late: list[float] = field(default_factory=list)
    """Of this process itself, seconds: part of what is measured"""
    failed: int = 0
    read: int = 0
    """Bytes"""
    tags: dict[int, str] = field(default_factory=dict)
    idle: list[Connection] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """Raises nothing that a request meets: it is counted."""
        chance, gate = random.Random(3), asyncio.Semaphore(MOST)
        begun = due = monotonic()
        kinds, weights = list(PATHS), list(PATHS.values())
        async with asyncio.TaskGroup() as group:
            while due - begun < seconds:
                due += chance.expovariate(self.rate)
                await asyncio.sleep(max(0.0, due - monotonic()))
                self.late.append(monotonic() - due)
                kind = chance.choices(kinds, weights)[0]
                person = chance.randrange(PEOPLE)
                made = self._request(kind, person, chance)
                group.create_task(self._ask(gate, kind, person, (made, due)))
        for one in self.idle:
            one.close()

    def _request(self, kind: str, person: int, chance: random.Random) -> bytes:
        given, any_of = token(person), job(chance.randrange(self.jobs // 4) * 4 + person // 2 % 2)
        followed = job(chance.randrange(self.watched // 4) * 4 + person // 2 % 2)
        within = f"/api/v1/jobs/{followed.namespace}/{followed.name}"
        match kind:
            case "list":
                return request("/api/v1/jobs", given)
            case "list of a namespace":
                return request(f"/api/v1/jobs?namespace={namespace(person // 2 % 2)}", given)
            case "list by state":
                return request("/api/v1/jobs?state=Running,Failed", given)
            case "list by text":
                return request(f"/api/v1/jobs?q=orders-{chance.randrange(100)}", given)
            case "next page":
                after = "WyJ0ZWFtLTA1Iiwib3JkZXJzLTA0MDUiXQ=="
                return request(f"/api/v1/jobs?continue={after}&limit=50", given)
            case "unchanged list":
                more = [f"If-None-Match: {self.tags[person]}"] if person in self.tags else []
                return request("/api/v1/jobs?limit=200", given, *more)
            case "job":
                return request(f"/api/v1/jobs/{any_of.namespace}/{any_of.name}", given)
            case "job with a JobManager":
                return request(within, given)
            case _:
                return request(f"{within}/{kind}", given)

    async def _ask(
        self, gate: asyncio.Semaphore, kind: str, person: int, made: tuple[bytes, float]
    ) -> None:
        data, due = made
        async with gate:
            try:
                async with asyncio.timeout(30):
                    connection = (
                        self.idle.pop() if self.idle else await Connection.open(self.server)
                    )
                    status, length, headers = await connection.ask(data)
            except (OSError, EOFError, TimeoutError):
                self.failed += 1
                return
        self.idle.append(connection)
        took = monotonic() - due
        self.seconds.setdefault(kind, []).append(took)
        self.moments.append((due, took))
        self.statuses[status] += 1
        self.read += length
        if kind == "unchanged list":
            found = headers.partition(b"etag: ")[2].partition(b"\r\n")[0]
            self.tags[person] = found.decode()


def percentile(values: list[float], share: float) -> float:
    """Milliseconds."""
    ordered = sorted(values)
    return round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)
