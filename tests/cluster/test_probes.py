"""Probes: what they answer before the event loop begins, while it runs, and while it stands still."""

from __future__ import annotations

import asyncio
import urllib.request

from flowjob.runtime.real.probes import Probes


def test_a_process_lives_before_its_loop_begins_and_is_not_ready() -> None:
    probes = Probes()
    assert probes.answer("/livez") == (200, b"ok\n")
    assert probes.answer("/readyz") == (503, b"starting\n")
    assert probes.answer("/metrics")[0] == 503
    assert probes.answer("/other")[0] == 404


def test_a_loop_that_stands_still_is_not_alive() -> None:
    async def scenario() -> None:
        probes = Probes(ready=lambda: None, stuck_after=-1.0)
        beating = asyncio.ensure_future(probes.beat())
        await asyncio.sleep(0)
        status, text = probes.answer("/livez")
        assert status == 503
        assert b"has stood still" in text
        beating.cancel()

    asyncio.run(scenario())


def test_the_loop_answers_over_http_from_another_thread() -> None:
    async def scenario() -> None:
        probes = Probes(ready=lambda: None, metrics=lambda: b"x 1\n")
        probes.start("127.0.0.1", 0)
        beating = asyncio.ensure_future(probes.beat())

        def read(path: str) -> bytes:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{probes.port}{path}", timeout=30
            ) as answer:
                return bytes(answer.read())

        try:
            await asyncio.sleep(0)
            assert await asyncio.to_thread(read, "/livez") == b"ok\n"
            assert await asyncio.to_thread(read, "/readyz") == b"ok\n"
            assert await asyncio.to_thread(read, "/metrics?x") == b"x 1\n"
        finally:
            beating.cancel()
            await asyncio.to_thread(probes.stop)

    asyncio.run(scenario())


def test_metrics_that_cannot_be_made_end_nothing() -> None:
    def broken() -> bytes:
        raise RuntimeError("no")

    async def scenario() -> None:
        probes = Probes(metrics=broken)
        beating = asyncio.ensure_future(probes.beat())
        await asyncio.sleep(0)
        status, text = await asyncio.to_thread(probes.answer, "/metrics")
        assert (status, b"no" in text) == (500, True)
        beating.cancel()

    asyncio.run(scenario())
