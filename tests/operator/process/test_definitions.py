"""Whoever removes the definitions of FlowJobs and FlowSnapshots has not said of any of them that its data goes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.api import ApiError, Object, Resource, Unreachable
from flowjob_operator.process.cluster.surroundings import CRDS, DISCOVERY_SECONDS, Surroundings
from flowjob_operator.process.remembered import Remembered
from tests.operator.process.fake_api import FakeApi, Request, error
from tests.operator.process.harness import Operator, Scripted, a_job, a_snapshot, play
from tests.operator.process.world import VirtualClock

NAME = "flowsnapshots.flowjob.dev"
OFFER = {
    "resources": [
        {"name": "flowsnapshots", "verbs": ["create", "delete", "get"]},
        {"name": "flowsnapshots/status", "verbs": ["get", "patch"]},
    ]
}


class Server(FakeApi):
    """`offer`: what it offers to everybody in the group; an error: what it answers."""

    offer: Object | Exception = OFFER

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        if resource.kind != "APIResourceList":
            return await super().get(resource, namespace, name)
        assert resource.path(namespace) == "/apis/flowjob.dev/v1beta1"
        if isinstance(self.offer, Exception):
            raise self.offer
        return self.offer


def without_rights(request: Request) -> Exception | None:
    return error(403, "Forbidden") if request.resource == CRDS.plural else None


async def goes(server: FakeApi, *, deleted: float = 60.0) -> bool:
    clock = VirtualClock()
    around = Surroundings(server, clock, Remembered(clock))
    since = clock.now() - timedelta(seconds=deleted)
    return await around.definition_goes(kinds.FLOWSNAPSHOTS, since)


def test_a_definition_that_is_being_deleted_is_seen_at_once_though_it_was_not_a_moment_ago() -> (
    None
):
    async def scenario() -> None:
        server, clock = Server(), VirtualClock()
        around = Surroundings(server, clock, Remembered(clock))
        assert not await around.definition_goes(kinds.FLOWSNAPSHOTS, clock.now())
        gone = {"metadata": {"name": NAME, "deletionTimestamp": "2026-11-21T12:00:00Z"}}
        server.objects[(CRDS.plural, "", NAME)] = gone
        assert await around.definition_goes(kinds.FLOWSNAPSHOTS, clock.now())

    play(scenario)


NOTHING_NEW: Object = {"resources": [{"name": "flowsnapshots", "verbs": ["delete", "get"]}]}


@pytest.mark.parametrize(
    ("offer", "said"),
    [
        (OFFER, False),
        (NOTHING_NEW, True),
        ({"resources": []}, True),
        (error(404, "NotFound"), True),
    ],
)
def test_who_may_not_read_definitions_sees_it_by_what_the_server_offers(
    offer: Object | Exception, said: bool
) -> None:
    async def scenario() -> None:
        server = Server(before=without_rights)
        server.offer = offer
        assert await goes(server) is said

    play(scenario)


def test_what_the_server_offers_is_given_time_to_change() -> None:
    async def scenario() -> None:
        server = Server(before=without_rights)
        asking = asyncio.ensure_future(goes(server, deleted=0.0))
        await asyncio.sleep(DISCOVERY_SECONDS / 2)
        assert not asking.done()
        server.offer = NOTHING_NEW
        assert await asking

    play(scenario)


@pytest.mark.parametrize("trouble", [Unreachable("no answer"), error(500, "InternalError")])
def test_what_is_not_known_is_not_guessed(trouble: Exception) -> None:
    async def scenario() -> None:
        with pytest.raises((ApiError, Unreachable)):
            await goes(Server(before=lambda _: trouble))
        server = Server(before=without_rights)
        server.offer = trouble
        with pytest.raises((ApiError, Unreachable)):
            await goes(server)

    play(scenario)


def deleted(made: dict[str, Any]) -> dict[str, Any]:
    made["metadata"]["finalizers"] = ["flowjob.dev/data"]
    made["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    return made


class Going(FakeApi):
    """All definitions do."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        if resource == CRDS:
            return {"metadata": {"name": name, "deletionTimestamp": "2026-11-21T12:00:00Z"}}
        return await super().get(resource, namespace, name)


def test_decisions_are_told_of_jobs_and_of_snapshots() -> None:
    async def scenario() -> None:
        api, script = Going(), Scripted()
        api.put(kinds.FLOWJOBS, deleted(a_job()))
        api.put(kinds.FLOWSNAPSHOTS, deleted(a_snapshot()))
        async with Operator(api, script).living():
            await asyncio.sleep(5)
        assert script.seen[-1].crd_going
        assert script.snapshots_seen[-1].crd_going

    play(scenario)
