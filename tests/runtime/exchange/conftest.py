"""Everything with sockets runs on both event loops: slots use uvloop where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

LOOPS: dict[str, Callable[[Any], Any]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}


@pytest.fixture(params=LOOPS, scope="module")
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Runs a scenario to its end."""
    return LOOPS[request.param]
