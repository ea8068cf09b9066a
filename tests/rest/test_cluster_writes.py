"""Writes in a cluster: server-side apply as the caller, never over what another manager owns, and once per key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rest.cluster_world import Cluster, in_cluster
from tests.rest.fake_kubernetes import spec

JOB = "/api/v1/jobs/shop/orders"


def ours(cluster: Cluster) -> None:
    """Nobody else owns anything of the job."""
    cluster.kubernetes.owners["flowjobs", "shop", "orders"] = {}


def job_of(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.kubernetes.objects["flowjobs", "shop", "orders"]["spec"]["job"]
    return found


@pytest.mark.parametrize(
    ("path", "body", "expected", "kind"),
    [
        ("/scale", {"parallelism": 5}, {"parallelism": 5}, "Scale"),
        ("/suspend", None, {"state": "Suspended"}, "Suspend"),
        ("/stop", {"drain": True}, {"state": "Suspended", "stop": {"drain": True}}, "Stop"),
        ("/cancel", None, {"state": "Cancelled"}, "Cancel"),
        ("/resume", {"parallelism": 3}, {"state": "Running", "parallelism": 3}, "Resume"),
        ("/upgrade", {"args": {"window": "5m"}}, {"args": {"window": "5m"}}, "Upgrade"),
        (
            "/restore",
            {"snapshot": "before"},
            {"restoreFrom": {"snapshot": "before"}, "state": "Running"},
            "Restore",
        ),
    ],
)
def test_actions_are_edits_of_the_spec(
    path: str, body: Any, expected: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    async def test(cluster: Cluster) -> None:
        answer = await cluster.post(JOB + path, body)
        assert answer.status_code == 202, answer.text
        operation = answer.json()
        assert (operation["kind"], operation["id"]) == (kind, "uid-orders.2")
        assert expected.items() <= job_of(cluster).items()
        assert cluster.kubernetes.writes() == [
            ("ann", "PATCH", "/apis/flowjob.dev/v1beta1/namespaces/shop/flowjobs/orders")
        ]
        found = (await cluster.get(answer.headers["Location"])).json()
        assert (found["kind"], found["state"]) == (kind, "Pending")

    in_cluster(test, tmp_path, ours)


def test_a_write_claims_the_fields_that_it_changes_and_no_others(tmp_path: Path) -> None:
    """Of a job that somebody else has made whole: what was theirs stays theirs alone."""

    async def test(cluster: Cluster) -> None:
        for body in ({}, {}):  # the second one says again what the first one did
            answer = await cluster.post(f"{JOB}/cancel", body)
            assert answer.status_code == 202, answer.text
            owners = cluster.kubernetes.owners["flowjobs", "shop", "orders"]
            of_service = {path for path, owner in owners.items() if owner == "flowjob-api"}
            assert {path for path in of_service if path.startswith("spec.")} == {"spec.job.state"}
            assert owners["spec.job.parallelism"] == "kubectl"

    def unset(cluster: Cluster) -> None:
        del cluster.kubernetes.owners["flowjobs", "shop", "orders"]["spec.job.state"]

    in_cluster(test, tmp_path, unset)


def test_a_field_that_another_manager_owns_is_a_conflict_that_names_both_and_force_is_explicit(
    tmp_path: Path,
) -> None:
    async def test(cluster: Cluster) -> None:
        answer = await cluster.post(f"{JOB}/scale", {"parallelism": 5})
        found = answer.json()
        assert (answer.status_code, found["code"]) == (409, "FIELD_OWNED")
        assert [(e["field"], e["manager"]) for e in found["errors"]] == [
            ("spec.job.parallelism", "kubectl")
        ]
        assert job_of(cluster)["parallelism"] == 2
        assert (
            await cluster.post(f"{JOB}/scale?force=true", {"parallelism": 5})
        ).status_code == 202
        assert job_of(cluster)["parallelism"] == 5

    in_cluster(test, tmp_path)


def test_a_later_write_keeps_what_an_earlier_one_has_set(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.post(f"{JOB}/scale", {"parallelism": 5})
        await cluster.post(
            f"{JOB}/upgrade",
            {"args": {"a": 1, "b": "x"}, "config": {"exchange.compression": "lz4"}},
        )
        await cluster.post(f"{JOB}/suspend")
        await cluster.post(f"{JOB}/upgrade", {"args": {"a": None}})
        found = cluster.kubernetes.objects["flowjobs", "shop", "orders"]["spec"]
        assert found["job"] | {"entrypoint": ""} == {
            "entrypoint": "", "parallelism": 5, "state": "Suspended", "args": {"b": "x"},
        }  # fmt: skip
        assert found["config"] == {"exchange.compression": "lz4"}

    in_cluster(test, tmp_path, ours)


def test_under_one_key_there_is_one_operation_whatever_happens_in_between(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        key = {"Idempotency-Key": "5f0c"}
        first = (await cluster.post(f"{JOB}/restart", {"reason": "x"}, headers=key)).json()
        nonce = job_of(cluster)["restartNonce"]
        await cluster.post(f"{JOB}/scale", {"parallelism": 5})
        cluster.clock.ahead = 100
        again = (await cluster.post(f"{JOB}/restart", {"reason": "x"}, headers=key)).json()
        assert again["id"] == first["id"]
        assert job_of(cluster)["restartNonce"] == nonce
        other = await cluster.post(f"{JOB}/restart", {"reason": "y"}, headers=key)
        assert (other.status_code, other.json()["code"]) == (409, "KEY_REUSED")
        assert "5f0c" not in str(cluster.kubernetes.objects)

    in_cluster(test, tmp_path, ours)


def test_a_savepoint_is_a_flowsnapshot_named_from_the_key(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        key = {"Idempotency-Key": "5f0c"}
        first = (await cluster.post(f"{JOB}/savepoints", headers=key)).json()
        again = (await cluster.post(f"{JOB}/savepoints", headers=key)).json()
        assert first["id"] == again["id"]
        made = [
            o
            for (plural, _, _), o in cluster.kubernetes.objects.items()
            if plural == "flowsnapshots"
        ]
        assert [one["spec"] for one in made] == [
            {"jobRef": {"name": "orders"}, "type": "Savepoint"}
        ]
        named = await cluster.post(
            f"{JOB}/savepoints", {"name": "before"}, headers={"Idempotency-Key": "b"}
        )
        assert named.json()["id"] == "snapshot.shop.before"
        taken = await cluster.post(f"{JOB}/savepoints", {"name": "before"})
        assert (taken.status_code, taken.json()["code"]) == (409, "EXISTS")
        reused = await cluster.post(
            f"{JOB}/savepoints", {"name": "before"}, headers={"Idempotency-Key": "c"}
        )
        assert reused.status_code == 409

    in_cluster(test, tmp_path)


def test_a_write_is_bound_to_the_version_that_was_seen(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        tag = (await cluster.get(JOB)).headers["etag"]
        assert (
            await cluster.post(f"{JOB}/scale", {"parallelism": 3}, headers={"If-Match": tag})
        ).status_code == 202
        stale = await cluster.post(f"{JOB}/scale", {"parallelism": 4}, headers={"If-Match": tag})
        assert (stale.status_code, stale.json()["code"]) == (412, "PRECONDITION_FAILED")
        assert job_of(cluster)["parallelism"] == 3

    in_cluster(test, tmp_path, ours)


def test_a_dry_run_says_what_an_upgrade_would_do_and_changes_nothing(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        body = {"image": "registry.example/orders:8", "parallelism": 4}
        plan = (await cluster.post(f"{JOB}/upgrade?dryRun=true", body)).json()
        assert plan["accepted"] is True
        assert plan["actions"] == ["Upgrade"]
        assert plan["taskManagers"] == 4
        assert [(c["field"], c["kind"], c["old"], c["new"]) for c in plan["changes"]] == [
            ("image", "Upgrade", "registry.example/orders:7", "registry.example/orders:8"),
            ("job.parallelism", "Rescale", "2", "4"),
        ]
        assert job_of(cluster)["parallelism"] == 2
        assert (
            cluster.kubernetes.objects["flowjobs", "shop", "orders"]["metadata"]["generation"] == 1
        )

    in_cluster(test, tmp_path, ours)


def test_a_dry_run_names_fields_that_others_own(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        plan = (await cluster.post(f"{JOB}/upgrade?dryRun=true", {"parallelism": 4})).json()
        assert plan["accepted"] is False
        assert "kubectl" in plan["problems"][0]

    in_cluster(test, tmp_path)


def test_a_submitted_job_is_a_new_flowjob_and_never_another_ones(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        body = {"metadata": {"name": "returns", "labels": {"team": "shop"}}, "spec": spec()}
        key = {"Idempotency-Key": "5f0c"}
        first = await cluster.post("/api/v1/jobs/shop", body, headers=key)
        assert (first.status_code, first.json()["kind"]) == (202, "Submit")
        again = await cluster.post("/api/v1/jobs/shop", body, headers=key)
        assert again.json()["id"] == first.json()["id"]
        other = await cluster.post("/api/v1/jobs/shop", body)
        assert (other.status_code, other.json()["code"]) == (409, "EXISTS")
        elsewhere = await cluster.post("/api/v1/jobs/bank", body)
        assert elsewhere.status_code == 403
        lying = {**body, "metadata": {"name": "x", "namespace": "bank"}}
        assert (await cluster.post("/api/v1/jobs/shop", lying)).status_code == 422

    in_cluster(test, tmp_path)


def test_a_snapshot_is_deleted_once_unless_a_job_needs_it_or_it_is_anothers(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        add = cluster.kubernetes.add
        mine, used = (
            {"jobName": "orders", "jobUid": "uid-orders", "phase": "Completed"},
            [{"type": "InUse", "status": "True"}],
        )
        add("FlowSnapshot", "shop", "old", spec={"jobRef": {"name": "orders"}}, status=dict(mine))
        add(
            "FlowSnapshot",
            "shop",
            "used",
            spec={"jobRef": {"name": "orders"}},
            status={**mine, "conditions": used},
        )
        add("FlowSnapshot", "shop", "others", spec={"jobRef": {"name": "other"}}, status={})

        async def delete(name: str) -> Any:
            headers = {"Authorization": "Bearer ann-token"}
            return await cluster.http.delete(f"{JOB}/snapshots/{name}", headers=headers)

        assert (await delete("used")).json()["code"] == "IN_USE"
        assert (await delete("others")).json()["code"] == "NOT_FOUND"
        assert (await delete("..%2f..%2fpods")).status_code in (404, 422)
        answer = await delete("old")
        assert answer.status_code == 202
        assert ("flowsnapshots", "shop", "old") not in cluster.kubernetes.objects

    in_cluster(test, tmp_path)


def test_an_operation_is_done_when_the_status_says_so(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        where = (await cluster.post(f"{JOB}/scale", {"parallelism": 5})).headers["Location"]
        status = cluster.kubernetes.status

        async def until(state: str) -> dict[str, Any]:
            while (found := (await cluster.get(where)).json())["state"] != state:
                pass
            return dict(found)

        assert (await until("Pending"))["progress"]["share"] is None
        under_way = {
            "id": "x",
            "generation": 2,
            "step": "Checkpoint",
            "message": "waits for a checkpoint",
        }
        status("shop", "orders", observedGeneration=2, operation=under_way)
        assert (await until("Running"))["progress"]["step"] == "waits for a checkpoint"
        status("shop", "orders", operation=None, parallelism=5)
        assert (await until("Done"))["result"]["parallelism"] == 5
        status(
            "shop",
            "orders",
            refused={"generation": 2, "reason": "PreflightFailed", "message": "no such image"},
        )
        assert (await until("Failed"))["error"] == {
            "code": "PreflightFailed",
            "message": "no such image",
        }

    in_cluster(test, tmp_path, ours)


def test_a_snapshot_is_verified_by_one_of_the_same_path_as_the_caller(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        add, objects = cluster.kubernetes.add, cluster.kubernetes.objects
        mine = {"jobName": "orders", "jobUid": "uid-orders", "phase": "Completed"}
        spec_ = {"jobRef": {"name": "orders"}}
        add("FlowSnapshot", "shop", "old", spec=spec_, status={**mine, "path": "s3://b/x"})
        add("FlowSnapshot", "shop", "new", spec=spec_, status={**mine, "phase": "InProgress"})
        add("FlowSnapshot", "shop", "others", spec={"jobRef": {"name": "other"}}, status={})
        assert (await cluster.post(f"{JOB}/snapshots/new/verify")).json()["code"] == "NOT_NOW"
        assert (await cluster.post(f"{JOB}/snapshots/others/verify")).json()["code"] == "NOT_FOUND"
        answer = await cluster.post(f"{JOB}/snapshots/old/verify")
        operation = answer.json()
        assert (answer.status_code, operation["kind"]) == (202, "VerifySnapshot")
        name = operation["id"].removeprefix("snapshot.shop.")
        made = objects["flowsnapshots", "shop", name]
        assert made["spec"] == {**spec_, "path": "s3://b/x", "deletionPolicy": "Retain"}
        assert made["metadata"]["ownerReferences"][0]["name"] == "old"
        listed = (await cluster.get(f"{JOB}/snapshots")).json()["snapshots"]
        assert "old" in {one["name"] for one in listed}
        assert name not in {one["name"] for one in listed}
        made["status"] = {"phase": "Failed", "error": "2 bytes are missing"}
        cluster.kubernetes._store(("flowsnapshots", "shop", name), made, "MODIFIED")
        where = answer.headers["Location"]
        while (found := (await cluster.get(where)).json())["state"] != "Failed":
            pass
        wanted = {"code": "SNAPSHOT_DAMAGED", "message": "2 bytes are missing"}
        assert (found["kind"], found["error"]) == ("VerifySnapshot", wanted)
        again = (await cluster.post(f"{JOB}/snapshots/old/verify")).json()
        checks = {name for _, _, name in objects if "-check-" in name}
        assert checks == {again["id"].removeprefix("snapshot.shop.")}, "earlier ones go"
        assert ("flowsnapshots", "shop", "old") in objects

    in_cluster(test, tmp_path)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [({"parallelism": 5}, "Redistributed"), ({"image": "orders:8", "parallelism": 5}, "Unknown"),
     ({"checkpoints": {"interval": "5s"}}, "Kept")],
)  # fmt: skip
def test_a_dry_run_says_which_state_there_is_and_what_becomes_of_it(
    body: Any, outcome: str, tmp_path: Path
) -> None:
    async def test(cluster: Cluster) -> None:
        ours(cluster)
        found = (await cluster.post(f"{JOB}/upgrade?dryRun=true", body)).json()
        (move,) = found["state"]
        assert (move["operator"], move["outcome"], move["bytes"]) == ("a name", outcome, 3)

    in_cluster(test, tmp_path)
