"""Puts the real world together: the Env that every process of ours is given at its start.

It makes nothing but the parts; no connection, file or thread exists before somebody uses one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flowjob.runtime.env import Env
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.real.control import WebSocketControl
from flowjob.runtime.real.freezer import ForkFreezer
from flowjob.runtime.real.network import RealNetwork
from flowjob.runtime.real.processes import RealProcess, spawn_python

BLOCKING_THREADS = 4


class RealLauncher:
    """See env.ProcessLauncher: `arguments` are those of `python -m`."""

    async def launch(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> RealProcess:
        return spawn_python(arguments, environment=environment)


def real_env(directory: Path) -> Env:
    """The world as it is. `directory` must exist and is removed by whoever made it."""
    return Env(
        clock=RealClock(),
        network=RealNetwork(),
        control=WebSocketControl(),
        launcher=RealLauncher(),
        random=RealRandom(),
        directory=directory,
        run_blocking=_blocking_runner(),
        freezer=ForkFreezer(directory),
    )


def _blocking_runner() -> Callable[..., Awaitable[Any]]:
    """Threads are made when first needed, and idle ones never keep a process from ending."""
    pool: list[ThreadPoolExecutor] = []

    async def run_blocking(function: Callable[..., Any], *arguments: Any) -> Any:
        if not pool:
            pool.append(ThreadPoolExecutor(BLOCKING_THREADS, "flowjob-blocking"))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool[0], function, *arguments)

    return run_blocking
