"""A small world for connectors: real files and threads, a clock that tests may move, no engine."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from flowjob.runtime.env import Env
from tests.runtime.operators.harness import MockClock


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Tests that are coroutines run in a loop of their own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


class LoopNetwork:
    """Connections of the running loop."""

    async def connect(self, host: str, port: int, factory: Any, *, deadline: float) -> Any:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(deadline):
            _, protocol = await loop.create_connection(factory, host, port)
        return protocol


@pytest.fixture
def clock() -> MockClock:
    return MockClock()


@pytest.fixture
def env(tmp_path: Path, clock: MockClock) -> Iterator[Env]:
    nothing = cast(Any, None)
    with ThreadPoolExecutor(2) as pool:

        async def run_blocking(function: Any, *args: Any) -> Any:
            return await asyncio.get_running_loop().run_in_executor(pool, function, *args)

        yield Env(
            clock=clock,
            network=cast(Any, LoopNetwork()),
            control=nothing,
            launcher=nothing,
            random=nothing,
            directory=tmp_path,
            run_blocking=run_blocking,
        )
