"""The Lease among replicas: one leads, a killed one is succeeded, one that cannot renew ends before another begins."""

from __future__ import annotations

import asyncio

import pytest

from flowjob_operator.process.cluster.api import Unreachable
from flowjob_operator.process.cluster.kinds import FLOWJOBS, LEASES
from flowjob_operator.process.leading.lease import Candidate, Election, Lost
from tests.operator.process.fake_api import FakeApi, Request, error
from tests.operator.process.harness import Operator, a_job, play, status_of
from tests.operator.process.world import VirtualClock


def election(api: FakeApi, identity: str) -> Election:
    return Election(api, VirtualClock(), Candidate("operators", "flowjob-operator", identity))


def now() -> float:
    return asyncio.get_running_loop().time()


def test_one_of_two_leads_and_the_other_follows_when_it_is_killed() -> None:
    async def scenario() -> None:
        api = FakeApi()
        first, second = election(api, "first"), election(api, "second")
        await first.acquire()
        keeping = asyncio.create_task(first.keep())
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(60)
        assert not waiting.done()
        killed_at = now()
        keeping.cancel()
        await waiting
        assert 13 <= now() - killed_at <= 20
        lease = api.of(LEASES, "operators", "flowjob-operator")["spec"]
        assert (lease["holderIdentity"], lease["leaseTransitions"]) == ("second", 1)

    play(scenario)


def test_a_leader_that_gives_the_lease_back_is_followed_at_once() -> None:
    async def scenario() -> None:
        api = FakeApi()
        first, second = election(api, "first"), election(api, "second")
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(5)
        await first.release()
        ended = now()
        await waiting
        assert now() - ended < 3

    play(scenario)


@pytest.mark.parametrize("fault", ["unreachable", "hangs", "refuses"])
def test_a_leader_that_cannot_renew_has_lost_before_another_can_lead(fault: str) -> None:
    async def scenario() -> None:
        api = FakeApi()
        first, second = election(api, "first"), election(api, "second")
        await first.acquire()
        cut_off = asyncio.Event()

        class Cut(FakeApi):
            async def get(self, *args: object) -> dict[str, object]:  # type: ignore[override]
                if not cut_off.is_set():
                    return await api.get(*args)  # type: ignore[arg-type]
                if fault == "hangs":
                    await asyncio.sleep(1e6)
                if fault == "refuses":
                    raise error(500, "InternalError")
                raise Unreachable("no route")

            async def replace(self, *args: object, sub: str = "") -> dict[str, object]:  # type: ignore[override]
                return await api.replace(*args)  # type: ignore[arg-type]

        first._api = Cut()
        keeping = asyncio.create_task(first.keep())
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(21)
        cut_off.set()
        with pytest.raises(Lost):
            await keeping
        lost_at = now()
        await waiting
        assert lost_at < now()
        assert lost_at - 21 <= 12

    play(scenario)


def test_clocks_of_machines_may_differ() -> None:
    """A Lease renewed long ago by its own times is not taken: only how long we have seen no change counts."""

    async def scenario() -> None:
        api = FakeApi()
        first, second = election(api, "first"), election(api, "second")
        await first.acquire()
        lease = api.of(LEASES, "operators", "flowjob-operator")
        long_ago = {**lease["spec"], "renewTime": "2001-01-01T00:00:00.000000Z"}
        api.put(LEASES, {**lease, "spec": long_ago})
        waiting = asyncio.create_task(second.acquire())
        began = now()
        await waiting
        assert now() - began >= 14

    play(scenario)


def test_two_that_find_no_lease_do_not_both_lead() -> None:
    async def scenario() -> None:
        api = FakeApi()
        each = [asyncio.create_task(election(api, name).acquire()) for name in "abc"]
        done, left = await asyncio.wait(each, timeout=5)
        assert (len(done), len(left)) == (1, 2)
        for task in left:
            task.cancel()

    play(scenario)


def test_a_leader_that_finds_another_ones_name_in_the_lease_has_lost() -> None:
    async def scenario() -> None:
        api = FakeApi()
        first = election(api, "first")
        await first.acquire()
        keeping = asyncio.create_task(first.keep())
        await asyncio.sleep(5)
        lease = api.of(LEASES, "operators", "flowjob-operator")
        api.put(LEASES, {**lease, "spec": {**lease["spec"], "holderIdentity": "second"}})
        with pytest.raises(Lost, match="second leads"):
            await keeping

    play(scenario)


def test_a_standby_does_nothing_but_is_ready_and_goes_on_when_the_leader_is_gone() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(FLOWJOBS, a_job())
        first, second = Operator(api, identity="first"), Operator(api, identity="second")
        async with second.living():
            async with first.living():
                await asyncio.sleep(30)
                leader, standby = (first, second) if first.decisions.seen else (second, first)
                assert standby.decisions.seen == []
                standby.parts.health.reached = True
                assert standby.parts.health.ready() == []
            await asyncio.sleep(40)
            api.put(FLOWJOBS, a_job("later"))
            await asyncio.sleep(1)
            assert status_of(api, "later").phase is not None
            assert leader is first or leader is second

    play(scenario)


def test_a_process_that_has_lost_the_lease_ends_at_once() -> None:
    async def scenario() -> None:
        api = FakeApi()
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(5)

            def refuse(request: Request) -> Exception | None:
                return Unreachable("gone") if request.resource == "leases" else None

            api.before = refuse
            await asyncio.sleep(15)
        assert operator.died is not None
        assert "not renewed for 10 s" in operator.died

    play(scenario)
