"""What is asked of a running job from outside, and what it answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowjob.errors import StorageError
from flowjob.runtime.jobmanager.asking import CONTROL_FILE, Answering, publish
from flowjob.runtime.messages import Answered, Ask
from flowjob.runtime.storage.memory import MemoryObjects
from tests.runtime.jobmanager.test_checkpoints import Bench, Broken, virtually

PLACE = "j/savepoints/first"


def answering(bench: Bench) -> Answering:
    made = Answering(bench.env, lambda: "running", lambda _reason: None)
    made.checkpoints = bench.service
    return made


async def take(answering: Answering, name: str) -> Answered:
    return await answering.answer(Ask(what="savepoint", savepoint=name))


def test_a_savepoint_never_touches_one_that_has_the_same_name() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        await bench.lead()
        asked = answering(bench)
        assert (await take(asked, "first")).failure is None
        triggers = len(bench.sent)
        again = await take(asked, "first")
        assert again.place is None
        assert "already. Choose another name, or delete it" in str(again.failure)
        assert (
            len(bench.sent) == triggers
        )  # tasks write before the manifest does: they must not be asked
        await bench.service.close("over")

    virtually(main)


def test_two_savepoints_of_one_name_are_not_taken_at_once() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        await bench.lead()
        asked = answering(bench)
        answers = await asyncio.gather(take(asked, "first"), take(asked, "first"))
        failures = [a.failure for a in answers]
        assert failures == [None, "a savepoint called `first` is being taken already"]
        await bench.service.close("over")

    virtually(main)


def test_what_an_unfinished_savepoint_has_left_is_not_built_upon() -> None:
    async def main() -> None:
        objects = MemoryObjects()
        bench = Bench(objects)
        await bench.lead()
        await bench.store.store.put(f"{PLACE}/uid/state.n/0.arrow", b"rows")
        answer = await take(answering(bench), "first")
        assert f"an unfinished savepoint has left {PLACE}/uid/state.n/0.arrow" in str(
            answer.failure
        )
        await bench.service.close("over")

    virtually(main)


def test_whoever_asks_while_the_job_starts_waits_for_it() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        states = ["waiting for slots", "starting slots", "deploying tasks", "restarting"]
        asked = Answering(bench.env, lambda: states.pop(0) if states else "running", print)
        answer = asyncio.ensure_future(take(asked, "first"))
        await bench.lead()
        asked.checkpoints = bench.service
        assert (await answer).failure is None
        await bench.service.close("over")

    virtually(main)


def test_whoever_waits_for_a_job_that_comes_to_nothing_is_answered() -> None:
    async def main() -> None:
        bench = Bench(MemoryObjects())
        states = ["deploying tasks", "stopping"]
        asked = Answering(bench.env, lambda: states.pop(0) if states else "ended", print)
        await bench.store.claim("revision")
        asked.checkpoints = bench.service
        bench.service.open(None)
        await bench.service.close("over")
        assert (await take(asked, "first")).failure is not None

    virtually(main)


def test_a_store_that_fails_is_the_answer() -> None:
    class Unreachable(Broken):
        async def before(self, operation: str, name: str) -> None:
            if self.on and operation == "head":
                raise StorageError("it cannot be reached")

    async def main() -> None:
        faults = Unreachable()
        bench = Bench(MemoryObjects(), faults)
        await bench.lead()
        faults.on = True
        assert (await take(answering(bench), "first")).failure == "it cannot be reached"
        faults.on = False
        await bench.service.close("over")

    virtually(main)


def test_a_job_runs_also_where_it_cannot_say_how_it_is_reached(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its checkpoints may be in S3, and the current directory not to be written."""
    (tmp_path / "taken").touch()

    async def main() -> None:
        bench = Bench(MemoryObjects())
        request: Any = SimpleNamespace(
            control_file=tmp_path / "taken" / CONTROL_FILE, job=SimpleNamespace(name="numbers")
        )
        await publish(bench.env, request, "ws://127.0.0.1:1", "token")

    virtually(main)
    assert "job numbers cannot be reached" in caplog.text
    assert "cannot write" in caplog.text
