"""Those who follow: they read at once, or slowly, or not at all, leave after a while and come again.

Counts what reaches them. One that reads nothing is to be left by the service, which costs nobody else anything."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

from bench.service_load.pieces import job, token
from bench.service_load.requests import PEOPLE
from bench.service_load.wire import Connection, Server, request

Pace = Literal["quick", "slow", "stuck"]
KEPT: Final = 4096
STAYS: Final = (15.0, 60.0)


@dataclass
class Followers:
    """`left`: connections that the service has ended"""

    server: Server
    count: int
    watched: int
    events: int = 0
    bytes: int = 0
    opened: int = 0
    left: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.count):
                group.create_task(self._follow(number))

    def _pace(self, number: int) -> Pace:
        return "slow" if number % 10 == 3 else "stuck" if number % 20 == 7 else "quick"

    def _path(self, number: int, person: int) -> str:
        """A third follows the list, most of the others one of few jobs, some its log."""
        if number % 3 == 0:
            return "/api/v1/events"
        found = job(number % (self.watched // 4) * 4 + person // 2 % 2)
        within = f"/api/v1/jobs/{found.namespace}/{found.name}"
        return f"{within}/logs?follow=true" if number % 10 == 5 else (
            f"{within}/events?topics=job,change,graph,checkpoints"
        )  # fmt: skip

    async def _follow(self, number: int) -> None:
        chance = random.Random(number)
        pace, person = self._pace(number), number % PEOPLE
        await asyncio.sleep(chance.uniform(0, 3))
        while True:
            connection = await Connection.open(self.server, kept=None if pace == "quick" else KEPT)
            try:
                async with asyncio.timeout(chance.uniform(*STAYS)):
                    status, _ = await connection.begin(
                        request(self._path(number, person), token(person))
                    )
                    self.opened += 1
                    self.statuses[status] += 1
                    await self._read(connection, pace)
                self.left += 1
            except TimeoutError:
                pass
            except (OSError, EOFError):
                self.left += 1
            finally:
                connection.close()
            await asyncio.sleep(0.5)

    async def _read(self, connection: Connection, pace: Pace) -> None:
        if pace == "stuck":
            await asyncio.sleep(STAYS[1])
        tail = b""
        while data := await connection.reader.read(1024 if pace == "slow" else 1 << 16):
            self.bytes += len(data)
            found = tail + data
            self.events += found.count(b"\nevent: ")
            tail = found[-7:]
            if pace == "slow":
                await asyncio.sleep(0.5)
