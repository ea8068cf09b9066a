"""The operator's requests, one by one, against a real API server: what the fake one of its unit tests pretends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.api import ApiError, Preconditions
from flowjob_operator.process.cluster.connection import Connection
from flowjob_operator.process.cluster.http_api import HttpApi
from flowjob_operator.process.real_clock import RealClock
from tests.e2e.cluster.api import Api
from tests.operator.process.harness import a_job

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]


def with_api(api: Api, work: Callable[[HttpApi], Awaitable[Any]]) -> Any:
    connection = Connection(
        server=api.address, ca_data=api.certificates.read_text(), token=api.token
    )

    async def main() -> Any:
        async with HttpApi(connection, RealClock()) as client:
            return await work(client)

    return asyncio.run(main())


def a_map(namespace: str, name: str = "it", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def test_a_status_replaces_the_whole_one_and_nothing_else(api: Api, namespace: str) -> None:
    async def work(client: HttpApi) -> None:
        made = await client.create(kinds.FLOWJOBS, namespace, a_job(namespace=namespace))
        version = made["metadata"]["resourceVersion"]
        status = {"phase": "Starting", "diagnosis": "x"}
        first = await client.write_status(kinds.FLOWJOBS, namespace, "flights", version, status)
        version = first["metadata"]["resourceVersion"]
        second = await client.write_status(
            kinds.FLOWJOBS, namespace, "flights", version, {"phase": "Running"}
        )
        assert second["status"] == {"phase": "Running"}
        assert second["spec"] == made["spec"]
        assert second["metadata"]["generation"] == 1

    with_api(api, work)


@pytest.mark.parametrize("by", ["status", "spec"])
def test_a_status_that_follows_from_something_old_is_a_conflict(
    api: Api, namespace: str, by: str
) -> None:
    async def work(client: HttpApi) -> None:
        made = await client.create(kinds.FLOWJOBS, namespace, a_job(namespace=namespace))
        version = made["metadata"]["resourceVersion"]
        if by == "status":
            await client.write_status(
                kinds.FLOWJOBS, namespace, "flights", version, {"phase": "Failed"}
            )
        else:
            patch = {"spec": {"priorState": "Resume"}}
            await client.merge(kinds.FLOWJOBS, namespace, "flights", patch)
        with pytest.raises(ApiError) as conflict:
            await client.write_status(
                kinds.FLOWJOBS, namespace, "flights", version, {"phase": "Running"}
            )
        assert conflict.value.is_conflict

    with_api(api, work)


def test_a_delete_of_another_one_or_of_an_older_version_is_a_conflict(
    api: Api, namespace: str
) -> None:
    async def work(client: HttpApi) -> None:
        made = await client.create(kinds.CONFIGMAPS, namespace, a_map(namespace))
        old = made["metadata"]
        changed = await client.apply(kinds.CONFIGMAPS, namespace, a_map(namespace, a="1"))
        for wrong in (
            Preconditions(uid="another"),
            Preconditions(old["uid"], old["resourceVersion"]),
        ):
            with pytest.raises(ApiError) as conflict:
                await client.delete(kinds.CONFIGMAPS, namespace, "it", preconditions=wrong)
            assert conflict.value.is_conflict
        right = Preconditions(old["uid"], changed["metadata"]["resourceVersion"])
        await client.delete(kinds.CONFIGMAPS, namespace, "it", preconditions=right)
        with pytest.raises(ApiError) as gone:
            await client.delete(kinds.CONFIGMAPS, namespace, "it")
        assert gone.value.is_not_found

    with_api(api, work)


def test_an_object_that_is_made_twice_is_already_there(api: Api, namespace: str) -> None:
    async def work(client: HttpApi) -> None:
        await client.create(kinds.CONFIGMAPS, namespace, a_map(namespace))
        with pytest.raises(ApiError) as there:
            await client.create(kinds.CONFIGMAPS, namespace, a_map(namespace))
        assert there.value.is_already_there
        assert not there.value.is_conflict

    with_api(api, work)


def test_a_dry_run_makes_nothing_and_says_what_is_wrong(api: Api, namespace: str) -> None:
    async def work(client: HttpApi) -> None:
        await client.apply(kinds.CONFIGMAPS, namespace, a_map(namespace), dry_run=True)
        with pytest.raises(ApiError) as missing:
            await client.get(kinds.CONFIGMAPS, namespace, "it")
        assert missing.value.is_not_found
        odd = {**a_map(namespace), "data": {"a b": "1"}}
        with pytest.raises(ApiError) as refusal:
            await client.apply(kinds.CONFIGMAPS, namespace, odd, dry_run=True)
        assert refusal.value.is_of_the_request
        assert "a b" in refusal.value.message

    with_api(api, work)


def test_lists_come_in_pages_of_one_version(api: Api, namespace: str) -> None:
    async def work(client: HttpApi) -> None:
        for n in range(7):
            await client.create(kinds.CONFIGMAPS, namespace, a_map(namespace, f"it-{n}"))
        pages = [page async for page in client.pages(kinds.CONFIGMAPS, namespace, size=3)]
        assert [len(page.items) for page in pages] == [3, 3, 1]
        assert len({page.version for page in pages}) == 1

    with_api(api, work)


def test_applying_the_same_again_changes_no_version(api: Api, namespace: str) -> None:
    async def work(client: HttpApi) -> None:
        first = await client.apply(kinds.CONFIGMAPS, namespace, a_map(namespace, a="1"))
        again = await client.apply(kinds.CONFIGMAPS, namespace, a_map(namespace, a="1"))
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        less = await client.apply(kinds.CONFIGMAPS, namespace, a_map(namespace))
        assert not less.get("data")

    with_api(api, work)


def test_a_namespace_that_is_being_deleted_refuses_new_objects_in_its_own_way(
    api: Api, namespace: str
) -> None:
    async def work(client: HttpApi) -> None:
        api.delete(f"/api/v1/namespaces/{namespace}")
        with pytest.raises(ApiError) as refusal:
            await client.create(kinds.CONFIGMAPS, namespace, a_map(namespace))
        assert refusal.value.is_namespace_terminating
        assert not refusal.value.is_forbidden
        found = await client.get(kinds.NAMESPACES, "", namespace)
        assert found["metadata"]["deletionTimestamp"]

    with_api(api, work)
