"""The end of a job waits for its last deletions while they get on, and not for a store that does not answer."""

from __future__ import annotations

import asyncio

import pytest

from flowjob.core.snapshot_log import Commit
from flowjob.runtime.jobmanager.last_work import LONGEST, STALL, wait_for_last_work
from flowjob.runtime.storage.memory import MemoryObjects, NoFaults
from flowjob.testing.virtual_time import run_virtually
from tests.runtime.jobmanager.test_checkpoints import Bench


async def waited(steps: list[float], *, hurry: bool = False) -> float:
    """Seconds until work that gets on after so many seconds each, and then is done, is not waited for any more."""
    done = 0

    async def work() -> None:
        nonlocal done
        for seconds in steps:
            await asyncio.sleep(seconds)
            done += 1

    loop = asyncio.get_running_loop()
    began, working = loop.time(), asyncio.ensure_future(work())
    await wait_for_last_work(working, lambda: done, hurry=hurry)
    working.cancel()
    return loop.time() - began


@pytest.mark.parametrize(
    ("steps", "hurry", "seconds"),
    [
        ([], False, 0.0),
        ([0.3], False, 0.3),
        ([0.5] * 7, False, 3.5),  # it gets on
        ([0.5, 0.4, 5.0], False, 2 * STALL),  # and then no more
        ([5.0], False, STALL),
        ([0.5] * 1000, False, LONGEST),
        ([0.5] * 7, True, STALL),
        ([0.3], True, 0.3),
    ],
)
def test_last_work_is_waited_for_while_it_gets_on_within_a_bound(
    steps: list[float], hurry: bool, seconds: float
) -> None:
    async def main() -> None:
        assert await waited(steps, hurry=hurry) == pytest.approx(seconds)

    run_virtually(main())


class SlowToDelete(NoFaults):
    async def before(self, operation: str, name: str) -> None:
        if operation == "delete":
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(("hurry", "left"), [(False, False), (True, True)])
def test_a_job_that_ends_well_leaves_nothing_that_only_takes_a_little_longer(
    hurry: bool, left: bool
) -> None:
    async def main() -> None:
        objects = MemoryObjects()
        bench = Bench(objects, SlowToDelete())
        await bench.lead()
        retired = range(1, 31)
        for number in retired:
            name = f"checkpoints/{number}/g1/manifest.json"
            await bench.store.store.put(f"j/{name}", b"{}")
            await bench.store._append(Commit(1, number, name))
        await bench.store._append(Commit(1, 31, "checkpoints/31/g1/manifest.json"))
        for number in retired:
            await bench.store.retire(number)
        await bench.service.close("the job has ended", hurry=hurry)
        assert bool(bench.names("/g1/")) is left

    run_virtually(main())
