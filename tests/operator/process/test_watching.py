"""What the operator knows of the cluster: lists, watches that end or fall silent, ghosts, closed namespaces."""

from __future__ import annotations

import asyncio

from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.api import Unreachable
from flowjob_operator.resources.flowjob_status import Phase
from tests.operator.process.fake_api import FakeApi, Request, error
from tests.operator.process.harness import Operator, a_job, a_pod, play, status_of


def test_nothing_is_decided_before_everything_is_known() -> None:
    """Else a restarted operator would take running jobs for missing ones."""

    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        api.put(kinds.PODS, a_pod("flights-tm-0"))
        api.before = lambda r: 5.0 if r.verb == "list" and r.resource == "pods" else None
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(4)
            assert operator.decisions.seen == []
            assert operator.parts.health.ready() != []
            await asyncio.sleep(10)
        assert [pod.name for pod in operator.decisions.seen[0].pods] == ["flights-tm-0"]

    play(scenario)


def test_a_list_that_fails_is_tried_again_and_nothing_is_decided_meanwhile() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())

        def away(request: Request) -> Exception | None:
            is_list = request.verb == "list" and request.resource == "jobs"
            return Unreachable("away") if is_list and loop_time() < 60 else None

        api.before = away
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(59)
            assert operator.decisions.seen == []
            await asyncio.sleep(60)
        assert operator.decisions.seen != []
        assert operator.died is None

    play(scenario)


def loop_time() -> float:
    return asyncio.get_running_loop().time()


def test_what_a_watch_has_missed_is_found_by_the_next_list() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        api.put(kinds.PODS, a_pod("flights-tm-0"))
        operator = Operator(api, settings={"relist": 100.0, "resync": 1000.0})
        async with operator.living():
            await asyncio.sleep(5)
            operator.watches[0].muted = True
            api.take(kinds.PODS, "a", "flights-tm-0")
            api.put(kinds.FLOWJOBS, a_job("later"))
            await asyncio.sleep(120)
            assert [p.name for p in operator.decisions.seen[-1].pods] == []
            assert status_of(api, "later").phase == Phase.RUNNING

    play(scenario)


def test_a_watch_that_is_silent_about_what_was_written_is_begun_anew() -> None:
    async def scenario() -> None:
        api = FakeApi()
        operator = Operator(api, settings={"relist": 1e6})
        async with operator.living():
            await asyncio.sleep(5)
            operator.parts.queue.add(key_of(api))
            operator.watches[0].muted = True
            await asyncio.sleep(30)
            assert len(operator.watches) == 1
            await asyncio.sleep(60)
            assert len(operator.watches) == 2
            assert operator.watches[0].stopped
            assert operator.parts.health.alive() == []
            await asyncio.sleep(300)
        assert len(operator.watches) == 2, "one that tells everything is left alone"

    play(scenario)


def key_of(api: FakeApi):  # type: ignore[no-untyped-def]
    from flowjob_operator.process.looks.reconciling import Key

    api.put(kinds.FLOWJOBS, a_job())
    return Key("FlowJob", "a", "flights")


def test_watches_that_end_are_begun_anew_and_nothing_is_lost() -> None:
    async def scenario() -> None:
        api = FakeApi()
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(5)
            operator.watches[0].ended = "APIForbiddenError"
            api.put(kinds.FLOWJOBS, a_job())
            await asyncio.sleep(10)
            assert status_of(api).phase == Phase.RUNNING
            assert b"flowjob_operator_watch_restarts_total 1.0" in operator.parts.metrics.text()

    play(scenario)


def test_a_namespace_closed_to_us_costs_the_others_nothing_and_is_taken_up_when_opened() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job(namespace="open"))
        api.put(kinds.FLOWJOBS, a_job(namespace="closed"))
        closed = {"closed"}

        def refuse(request: Request) -> Exception | None:
            if request.namespace in closed and request.resource in ("pods", "deployments"):
                return error(403, "Forbidden", "pods is forbidden")
            return None

        api.before = refuse
        operator = Operator(api, settings={"namespaces": ("open", "closed")})
        async with operator.living():
            await asyncio.sleep(20)
            assert operator.over == [["open"]]
            assert status_of(api, namespace="open").phase == Phase.RUNNING
            assert status_of(api, namespace="closed").phase is None
            assert b"flowjob_operator_denied_namespaces 1.0" in operator.parts.metrics.text()
            assert operator.parts.keeper._denied["closed"] == (
                "may not list pods, deployments.apps in namespace closed: grant what docs/operator.md lists, "
                "or name other namespaces"
            )
            closed.clear()
            await asyncio.sleep(60)
            assert operator.over[-1] == ["open", "closed"]
            assert status_of(api, namespace="closed").phase == Phase.RUNNING

    play(scenario)


def test_missing_definitions_are_named() -> None:
    async def scenario() -> None:
        api = FakeApi(before=lambda r: error(404, "NotFound") if r.resource == "flowjobs" else None)
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(5)
            assert "install the CRDs" in operator.parts.keeper._denied[None]
            assert operator.died is None

    play(scenario)
