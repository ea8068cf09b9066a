"""Puts the real world together: the Env that every process of ours is given at its start.

It makes nothing but the parts; no connection, file or thread exists before somebody uses one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.real.control import WebSocketControl
from flowjob.runtime.real.freezer import ForkFreezer
from flowjob.runtime.real.network import RealNetwork
from flowjob.runtime.real.processes import RealProcess, spawn_python
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.opening import open_object_store

BLOCKING_THREADS = 4
STORE_THREADS = 8


class RealLauncher:
    """See env.ProcessLauncher: `arguments` are those of `python -m`."""

    async def launch(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> RealProcess:
        return spawn_python(arguments, environment=environment)


@dataclass(frozen=True, slots=True)
class Security:
    """What this process shows who it is with, where that is certificates.

    identity  directory of an identity, for the control plane
    data_tls  the data plane is in TLS, too, with the same identity
    """

    identity: Path
    data_tls: bool = False


def real_env(directory: Path, security: Security | None = None) -> Env:
    """The world as it is. `directory` must exist and is removed by whoever made it. Without `security` tokens let in,
    and nothing is encrypted."""
    identity = None
    if security is not None:
        from flowjob.runtime.real.tls import TlsIdentity

        identity = TlsIdentity(security.identity)
    data_identity = identity if security is not None and security.data_tls else None
    clock, chance = RealClock(), RealRandom()
    # Stores have threads of their own: a server that is slow to answer must not hold back who reads files.
    store_runner = _blocking_runner(STORE_THREADS)

    def open_store(location: StoreLocation) -> ObjectStore:
        return open_object_store(location, clock, chance, store_runner)

    return Env(
        clock=clock,
        network=RealNetwork(data_identity),
        control=WebSocketControl(identity),
        launcher=RealLauncher(),
        random=chance,
        directory=directory,
        run_blocking=_blocking_runner(BLOCKING_THREADS),
        freezer=ForkFreezer(directory),
        open_store=open_store,
    )


def _blocking_runner(threads: int) -> Callable[..., Awaitable[Any]]:
    """Threads are made when first needed, and idle ones never keep a process from ending."""
    pool: list[ThreadPoolExecutor] = []

    async def run_blocking(function: Callable[..., Any], *arguments: Any) -> Any:
        if not pool:
            pool.append(ThreadPoolExecutor(threads, "flowjob-blocking"))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool[0], function, *arguments)

    return run_blocking
