"""Who runs TaskManagers replaces one that is lost once, however often and for whatever reasons that is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from flowjob.runtime.env import Env
from flowjob.runtime.jobmanager.cluster import Endpoint
from flowjob.runtime.minicluster import MiniCluster
from flowjob.testing import MockClock
from flowjob.testing.virtual_time import run_inline, run_virtually
from tests.runtime.storage.fakes import SeededRandom


class Process:
    """Takes a second to die."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = asyncio.Event()

    def send(self, data: bytes) -> None:
        pass

    def kill(self) -> None:
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        await asyncio.sleep(1.0)
        return -9

    def exit_reason(self, status: int) -> str:
        return f"ended with {status}"


class Launcher:
    def __init__(self) -> None:
        self.processes: list[Process] = []

    async def launch(self, arguments: Any, *, environment: Any = None) -> Process:
        await asyncio.sleep(0.5)
        self.processes.append(Process(len(self.processes) + 1))
        return self.processes[-1]


def test_one_that_is_lost_twice_at_a_time_is_replaced_once() -> None:
    async def main() -> None:
        launcher, exits = Launcher(), list[str]()
        missing: Any = None
        fake: Any = launcher
        env = Env(MockClock(), missing, missing, fake, SeededRandom(), Path("/"), run_inline)
        cluster = MiniCluster(env, taskmanagers=1, slots=1)
        await cluster.start(Endpoint("ws://here", "token"), lambda name, why: exits.append(why))
        cluster.replace("taskmanager-1")  # its heartbeats are missing
        await asyncio.sleep(0.3)
        cluster.replace("taskmanager-1")  # its slots do not end
        await asyncio.sleep(10.0)
        assert len(launcher.processes) == 2
        cluster.replace("taskmanager-1")
        await asyncio.sleep(10.0)
        assert len(launcher.processes) == 3
        assert exits == [], "who was replaced is nobody's loss"
        launcher.processes[-1].kill()
        await asyncio.sleep(2.0)
        assert exits == ["(pid 3) ended with -9"]
        await cluster.stop()

    run_virtually(main())
