"""Two installations over one namespace: the second keeps off, and says why."""

from __future__ import annotations

import asyncio

import pytest

from flowjob_operator.process.cluster.api import Unreachable
from flowjob_operator.process.cluster.kinds import FLOWJOBS, LEASES
from flowjob_operator.process.leading.claims import Claims, Foreign
from tests.operator.process.fake_api import FakeApi, terminating
from tests.operator.process.harness import Operator, a_job, play, status_of
from tests.operator.process.world import VirtualClock


def test_the_second_installation_keeps_off_and_names_the_first() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(FLOWJOBS, a_job())
        one = Operator(api, settings={"owner": "one", "lease": "one"})
        two = Operator(api, settings={"owner": "two", "lease": "two"})
        async with one.living():
            await asyncio.sleep(1)
            async with two.living():
                await asyncio.sleep(120)
                assert one.decisions.seen != []
                assert two.decisions.seen == []
                two.parts.refresh()
                assert b"flowjob_operator_foreign_namespaces 1.0" in two.parts.metrics.text()
                with pytest.raises(Foreign, match=r"installation 'one' \(Lease flowjob-owner\)"):
                    await two.parts.claims.check("a")

    play(scenario)


def test_an_installation_that_is_gone_is_succeeded_after_some_minutes() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(FLOWJOBS, a_job())
        async with Operator(api, settings={"owner": "one", "lease": "one"}).living():
            await asyncio.sleep(10)
        two = Operator(api, settings={"owner": "two", "lease": "two"})
        async with two.living():
            await asyncio.sleep(200)
            assert two.decisions.seen == []
            await asyncio.sleep(200)
            assert two.decisions.seen != []
        labels = api.of(LEASES, "a", "flowjob-owner")["metadata"]["labels"]
        assert labels == {"flowjob.dev/owner": "two"}

    play(scenario)


def test_jobs_of_an_installation_that_was_succeeded_are_the_successors_and_those_of_others_are_not() -> (
    None
):
    async def scenario() -> None:
        api = FakeApi()
        api.put(FLOWJOBS, a_job())
        async with Operator(api, settings={"owner": "one", "lease": "one"}).living():
            await asyncio.sleep(10)
        two = Operator(api, settings={"owner": "two", "lease": "two"})
        async with two.living():
            await asyncio.sleep(400)
            assert two.decisions.seen[-1].operator.succeeds == {"one"}
        again = Operator(api, settings={"owner": "two", "lease": "two"})
        async with again.living():
            await asyncio.sleep(10)
            assert again.decisions.seen[-1].operator.succeeds == {"one"}
        back = Operator(api, settings={"owner": "one", "lease": "one"})
        async with back.living():
            await asyncio.sleep(100)
            assert back.decisions.seen == []
            await asyncio.sleep(400)
            assert back.decisions.seen[-1].operator.succeeds == {"two"}

    play(scenario)


def test_disjoint_selectors_may_share_a_namespace() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(FLOWJOBS, a_job("mine"))
        other = a_job("other")
        other["metadata"]["labels"] = {"team": "y"}
        api.put(FLOWJOBS, other)
        one = Operator(api, settings={"owner": "one", "lease": "one", "label_selector": "team=x"})
        two = Operator(api, settings={"owner": "two", "lease": "two", "label_selector": "team=y"})
        async with one.living(), two.living():
            await asyncio.sleep(5)
        assert {s.job.metadata.name for s in two.decisions.seen} >= {"other"}
        assert status_of(api, "mine").phase is not None

    play(scenario)


def test_a_claim_is_asked_for_seldom_and_survives_an_outage_of_the_server() -> None:
    async def scenario() -> None:
        api = FakeApi()
        claims = Claims(api, VirtualClock(), "one", "")
        for _ in range(200):
            await claims.check("a")
            await asyncio.sleep(1)
        assert api.counts()["replace leases"] == 1
        api.before = lambda _: Unreachable("away")
        await asyncio.sleep(30)
        await claims.check("a")
        await asyncio.sleep(200)
        with pytest.raises(Unreachable):
            await claims.check("a")

    play(scenario)


def test_a_namespace_that_is_being_deleted_needs_no_claim() -> None:
    async def scenario() -> None:
        api = FakeApi(before=lambda r: terminating("a") if r.verb == "create" else None)
        await Claims(api, VirtualClock(), "one", "").check("a")

    play(scenario)
