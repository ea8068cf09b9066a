"""How an operator without rights to definitions sees that one is being deleted, before its objects' data is erased."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowjob_operator.process.cluster.api import Resource
from flowjob_operator.process.cluster.connection import Connection
from flowjob_operator.process.cluster.http_api import HttpApi
from flowjob_operator.process.cluster.surroundings import Surroundings
from flowjob_operator.process.real_clock import RealClock
from flowjob_operator.process.remembered import Remembered
from tests.e2e.api_server.conftest import DEFINITIONS, wait_until_established
from tests.e2e.api_server.operators import account, until
from tests.e2e.cluster.api import Api

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

THINGS = Resource("example.dev", "v1", "things", "Thing")
NAME = "things.example.dev"
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": NAME},
    "spec": {
        "group": THINGS.group,
        "scope": "Namespaced",
        "names": {"plural": THINGS.plural, "singular": "thing", "kind": THINGS.kind},
        "versions": [
            {
                "name": THINGS.version,
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


def goes(api: Api, token: str, since: datetime) -> bool:
    connection = Connection(server=api.address, ca_data=api.certificates.read_text(), token=token)

    async def main() -> bool:
        clock = RealClock()
        async with HttpApi(connection, clock) as client:
            around = Surroundings(client, clock, Remembered(clock))
            return await around.definition_goes(THINGS, since)

    return asyncio.run(main())


def definitions(api: Api) -> set[str]:
    return {each["metadata"]["name"] for each in api.get(DEFINITIONS)["items"]}


@pytest.fixture
def thing(api: Api, namespace: str) -> Iterator[str]:
    """Path of one whose finalizer keeps it, and its definition with it."""
    api.create(DEFINITIONS, DEFINITION)
    wait_until_established(api, NAME)
    place = f"/apis/example.dev/v1/namespaces/{namespace}/things"
    about = {"name": "it", "finalizers": ["example.dev/keep"]}
    body = {"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": about}
    until(lambda: api.create(place, body), "no thing can be made")
    yield f"{place}/it"
    api.patch(f"{place}/it", {"metadata": {"finalizers": None}})
    until(lambda: NAME not in definitions(api), "the definition does not go")


@pytest.mark.parametrize("may_read_definitions", [True, False])
def test_it_is_seen_when_the_first_of_its_objects_is_told_to_go(
    api: Api, namespace: str, thing: str, may_read_definitions: bool
) -> None:
    token = api.token if may_read_definitions else account(api, namespace)
    assert not goes(api, token, datetime.now(UTC) - timedelta(minutes=1))
    api.delete(f"{DEFINITIONS}/{NAME}")
    told = until(
        lambda: api.get(thing)["metadata"].get("deletionTimestamp"), "the thing is not told to go"
    )
    assert goes(api, token, datetime.fromisoformat(told))
