"""Work on object stores from ordinary synchronous code: `fj.read_snapshot`, for example.

In a process that already has a running loop (a notebook) it runs in a thread beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from flowjob.runtime.env import StoreLocation
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.opening import open_object_store

T = TypeVar("T")

OpenStore = Callable[[StoreLocation], ObjectStore]


def with_stores(work: Callable[[OpenStore], Awaitable[T]]) -> T:
    """What `work` returns. The stores that it opens are closed after it, and no thread is left."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_run(work))
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(lambda: asyncio.run(_run(work))).result()


async def _run(work: Callable[[OpenStore], Awaitable[T]]) -> T:
    opened: list[ObjectStore] = []

    def open_store(location: StoreLocation) -> ObjectStore:
        store = open_object_store(location, RealClock(), RealRandom(), _run_blocking)
        opened.append(store)
        return store

    try:
        return await work(open_store)
    finally:
        for store in opened:
            await store.close()


async def _run_blocking(function: Callable[..., Any], *arguments: Any) -> Any:
    # The loop's own threads: asyncio.run ends them.
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)
