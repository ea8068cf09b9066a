"""Whoever looks for a JobManager and finds none says whom it has asked, and what came of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from flowjob.runtime.finding_jobmanager import JobManagerSearch, SentAway
from flowjob.runtime.real.clock import RealRandom
from flowjob.testing import MockClock, run_virtually


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (TimeoutError(), "nobody answered in time"),  # as asyncio raises it: without a word
    ],
)
def test_the_last_error_is_told_also_where_it_has_no_words(error: OSError, said: str) -> None:
    class Away:
        async def connect(self, url: str, token: str, *, deadline: float) -> None:
            raise error

    env: Any = SimpleNamespace(clock=MockClock(), random=RealRandom(), control=Away())
    search = JobManagerSearch(env, ["ws://a:1", "ws://b:1"], "token", lambda: None)  # type: ignore[arg-type,return-value]

    async def look() -> None:
        with pytest.raises(SentAway) as raised:
            await search.find(3.0, asyncio.Event())
        assert str(raised.value) == (
            f"no JobManager at ws://a:1 or ws://b:1 for 3 s (last error: {said})"
        )

    run_virtually(look())
