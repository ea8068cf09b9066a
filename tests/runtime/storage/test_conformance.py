"""All stores keep the one promise of ObjectStore."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from flowjob.runtime.real.env import real_env
from flowjob.runtime.storage.local import LocalStore
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.testing import check_object_store
from flowjob.testing.store_conformance import CHECKS, Stores
from tests.s3_servers import S3Server

Check = Callable[[Stores], Awaitable[None]]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_memory(check: Check, tmp_path: Path) -> None:
    objects = MemoryObjects()
    asyncio.run(check(Stores(lambda: MemoryStore(objects), tmp_path)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_local(check: Check, tmp_path: Path) -> None:
    env = real_env(tmp_path)
    files = tmp_path / "files"
    files.mkdir()

    def client() -> ObjectStore:
        return LocalStore(str(tmp_path / "store"), env.random, env.run_blocking)

    asyncio.run(check(Stores(client, files)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_s3(check: Check, tmp_path: Path, s3_server: S3Server) -> None:
    env = real_env(tmp_path)
    location = s3_server.location(f"some/prefix-{env.random.token()}/")
    assert env.open_store is not None
    client = partial(env.open_store, location)

    async def run() -> None:
        stores = Stores(client, tmp_path)
        try:
            await check(stores)
        finally:
            await stores.close()

    asyncio.run(run())


def test_a_store_that_breaks_a_promise_is_told_which(tmp_path: Path) -> None:
    class Overwriting(MemoryStore):
        async def create(self, name: str, data: bytes) -> bool:
            await self.put(name, data)
            return True

    objects = MemoryObjects()
    with pytest.raises(AssertionError, match="create makes an object once and never again"):
        asyncio.run(check_object_store(lambda: Overwriting(objects), tmp_path))
