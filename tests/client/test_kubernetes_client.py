"""Jobs of a cluster by their objects: what is written into specs, what is read from statuses."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from flowjob import errors
from flowjob.client.kubernetes_client import KubernetesClient, KubernetesJob
from flowjob.client.models import Operation, UpgradeWish
from flowjob.client.steering import RestoreSource
from flowjob.cluster.job_details import LogLine, LogQuery
from flowjob.cluster.pod_log import PodLog
from tests.client.made_up_cluster import MadeUpCluster, flowjob
from tests.client.scripted import VirtualClock


def client_of(cluster: MadeUpCluster) -> KubernetesClient:
    return KubernetesClient(cluster, clock=VirtualClock())


def owned_by(found: dict[str, Any], manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    entry = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    found["metadata"]["managedFields"] = [entry]
    return found


def test_jobs_are_told_by_their_status() -> None:
    sick = flowjob(
        "sick",
        phase="Upgrading",
        diagnosis="the image cannot be pulled",
        conditions=[{"type": "Ready", "status": "False", "reason": "PodsNotReady"}],
    )
    cluster = MadeUpCluster(flowjob(), sick, {"kind": "FlowJob", "metadata": {"name": "new"}})
    found = {job.name: job for job in client_of(cluster).jobs()}
    assert (found["orders"].state, found["orders"].health) == ("Running", "Good")
    assert (found["orders"].parallelism, found["orders"].restarts) == (2, 1)
    assert (found["sick"].state, found["sick"].health) == ("Upgrading", "Bad")
    assert found["sick"].message == "the image cannot be pulled"
    assert (found["new"].state, found["new"].health) == ("Pending", "Progressing")


def test_jobs_are_chosen_by_state_and_name() -> None:
    cluster = MadeUpCluster(flowjob("orders"), flowjob("clicks", phase="Suspended"))
    client = client_of(cluster)
    assert [j.name for j in client.jobs(state="Suspended,Failed")] == ["clicks"]
    assert [j.name for j in client.jobs(q="rder")] == ["orders"]


def test_the_namespace_is_that_of_the_context() -> None:
    assert client_of(MadeUpCluster()).default_namespace == "shop"
    assert KubernetesClient(MadeUpCluster(), "other").default_namespace == "other"


CHANGES: dict[str, tuple[Callable[[KubernetesJob], Operation], dict[str, Any]]] = {
    "scale": (lambda j: j.scale(4), {"parallelism": 4}),
    "suspend": (lambda j: j.suspend(), {"state": "Suspended"}),
    "drain": (lambda j: j.suspend(drain=True), {"state": "Suspended", "stop": {"drain": True}}),
    "resume": (lambda j: j.resume(parallelism=3), {"state": "Running", "parallelism": 3}),
    "cancel": (lambda j: j.cancel(), {"state": "Cancelled"}),
    "restart": (lambda j: j.restart(), {"restartNonce": 1}),
    "restore": (
        lambda j: j.restore(RestoreSource.of("before")),
        {"restoreFrom": {"snapshot": "before"}, "restoreNonce": 1, "state": "Running"},
    ),
    "restore a path": (
        lambda j: j.restore(RestoreSource.of("s3://b/x")),
        {"restoreFrom": {"path": "s3://b/x"}, "restoreNonce": 1, "state": "Running"},
    ),
    "restore another": (
        lambda j: j.restore(RestoreSource.of("job:other")),
        {"restoreFrom": {"job": "other"}, "restoreNonce": 1, "state": "Running"},
    ),
    "upgrade": (
        lambda j: j.upgrade(UpgradeWish(args={"b": "2"}, parallelism=8)),
        {"args": {"a": "1", "b": "2"}, "parallelism": 8},
    ),
    "remove": (lambda j: j.upgrade(UpgradeWish(args={"a": None})), {"args": {}}),
    "script": (
        lambda j: j.upgrade(UpgradeWish(script="x = 1")),
        {"script": "x = 1", "entrypoint": None},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_wish_becomes_an_edit_of_the_spec_and_of_nothing_else(name: str) -> None:
    change, wanted = CHANGES[name]
    cluster = MadeUpCluster(flowjob())
    before = flowjob()["spec"]["job"]
    change(client_of(cluster).job("orders", "shop"))
    after = cluster.job()["spec"]["job"]
    expected = {n: v for n, v in {**before, **wanted}.items() if v is not None}
    assert after == expected


def test_a_nonce_is_another_number_than_any_before() -> None:
    found = flowjob(nonces={"restart": 12})
    found["spec"]["job"]["restartNonce"] = 5
    cluster = MadeUpCluster(found)
    client_of(cluster).job("orders", "shop").restart()
    assert cluster.job()["spec"]["job"]["restartNonce"] == 13


def test_a_drain_of_before_is_taken_back() -> None:
    found = flowjob()
    found["spec"]["job"]["stop"] = {"drain": True}
    cluster = MadeUpCluster(found)
    client_of(cluster).job("orders", "shop").suspend()
    assert cluster.job()["spec"]["job"]["stop"] == {}


def test_other_settings_are_set_where_they_belong() -> None:
    cluster = MadeUpCluster(flowjob())
    wish = UpgradeWish(image="orders:8", config={"exchange.compression": "lz4"}, mode="LastState")
    client_of(cluster).job("orders", "shop").upgrade(wish)
    spec = cluster.job()["spec"]
    assert spec["image"] == "orders:8"
    assert spec["config"] == {"exchange.compression": "lz4"}
    assert spec["upgrade"] == {"mode": "LastState"}


def test_a_path_of_this_machine_is_no_place_to_restore_from() -> None:
    job = client_of(MadeUpCluster(flowjob())).job("orders", "shop")
    with pytest.raises(errors.BadRequest, match="a path of this machine"):
        job.restore(RestoreSource.of("./savepoints/a"))


# -- fields of others

OWNED = {"f:spec": {"f:job": {"f:parallelism": {}, "f:args": {"f:a": {}}}}}


def test_a_field_that_git_owns_is_not_taken_from_it() -> None:
    cluster = MadeUpCluster(owned_by(flowjob(), "argocd-controller", OWNED))
    with pytest.raises(errors.Conflict, match=r"spec\.job\.parallelism belongs to argocd") as found:
        client_of(cluster).job("orders", "shop").scale(4)
    assert found.value.reason == "FIELD_OWNED"
    assert "--force" in found.value.next_step
    assert cluster.seen == []


def test_with_force_it_is() -> None:
    cluster = MadeUpCluster(owned_by(flowjob(), "argocd-controller", OWNED))
    client_of(cluster).job("orders", "shop").scale(4, force=True)
    assert cluster.job()["spec"]["job"]["parallelism"] == 4


def test_what_stays_as_it_is_and_other_fields_are_nobody_s_conflict() -> None:
    cluster = MadeUpCluster(owned_by(flowjob(), "argocd-controller", OWNED))
    job = client_of(cluster).job("orders", "shop")
    job.scale(2)
    job.upgrade(UpgradeWish(args={"b": "2"}))
    job.suspend()


@pytest.mark.parametrize("manager", ["flowjob-cli"])
def test_own_fields_may_be_changed(manager: str) -> None:
    cluster = MadeUpCluster(owned_by(flowjob(), manager, OWNED))
    client_of(cluster).job("orders", "shop").scale(4)


def test_an_edit_between_look_and_change_is_a_conflict() -> None:
    class Edited(MadeUpCluster):
        def _found(self, kind: str, name: str) -> dict[str, Any]:
            found = super()._found(kind, name)
            found["metadata"]["resourceVersion"] += "0"
            return found

    with pytest.raises(errors.Conflict, match="modified"):
        client_of(Edited(flowjob())).job("orders", "shop").scale(4)


# -- what becomes of a change


def after(kind: str, **status: Any) -> Operation:
    """An operation of generation 4, when the object says so."""
    found = flowjob(**{"observedGeneration": 4, **status})
    return client_of(MadeUpCluster(found)).operation(f"{kind}:shop/orders/uid-orders.4")


RUNNING = {"type": "Ready", "status": "True", "reason": "Running"}
STALLED = {
    "type": "Stalled",
    "status": "True",
    "reason": "PreflightFailed",
    "message": "no module named x",
    "observedGeneration": 4,
}
NO_SLOTS = {
    "type": "Progressing",
    "status": "False",
    "reason": "SlotsUnavailable",
    "message": "4 wanted, 2 offered",
    "observedGeneration": 4,
}

OUTCOMES: list[tuple[str, dict[str, Any], str, str]] = [
    ("Scale", {"observedGeneration": 3}, "Pending", "waits for the operator"),
    ("Scale", {"operation": {"type": "Rescale", "step": "Slots", "message": "waits"}}, "Running", "Slots: waits"),
    ("Scale", {"parallelism": 1}, "Running", "the job is Running"),
    ("Scale", {}, "Done", ""),
    ("Scale", {"conditions": [NO_SLOTS]}, "Failed", "4 wanted, 2 offered"),
    ("Upgrade", {"operation": {"type": "Upgrade", "step": "Stopping"}}, "Running", "Stopping"),
    ("Upgrade", {"conditions": [{"type": "Ready", "status": "False"}]}, "Running", "the job is Running"),
    ("Upgrade", {}, "Done", ""),
    ("Upgrade", {"conditions": [RUNNING, STALLED]}, "Failed", "no module named x"),
    ("Upgrade", {"refused": {"generation": 4, "reason": "SpecRefused", "message": "no"}}, "Failed", "no"),
    ("Upgrade", {"refused": {"generation": 3, "reason": "SpecRefused"}}, "Done", ""),
    ("Upgrade", {"phase": "Failed", "diagnosis": "it crashes"}, "Failed", "it crashes"),
    ("Suspend", {"phase": "Suspending"}, "Running", "the job is Suspending"),
    ("Suspend", {"phase": "Suspended"}, "Done", ""),
    ("Suspend", {"phase": "Finished"}, "Done", ""),
    ("Resume", {"phase": "Suspended"}, "Running", "the job is Suspended"),
    ("Resume", {"phase": "Finished"}, "Done", ""),
    ("Cancel", {"phase": "Failed"}, "Running", "the job is Failed"),
    ("Cancel", {"phase": "Cancelled"}, "Done", ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "status", "state", "text"), OUTCOMES)
def test_an_operation_is_told_by_the_object(
    kind: str, status: dict[str, Any], state: str, text: str
) -> None:
    found = after(kind, **status)
    assert found.state == state
    assert (found.error.message if found.error else found.progress.step) == text


def test_a_refusal_of_an_earlier_spec_is_no_failure_of_this_one() -> None:
    old = {**STALLED, "observedGeneration": 3}
    assert after("Upgrade", conditions=[RUNNING, old]).state == "Done"


def test_how_far_a_new_revision_is() -> None:
    steps = ["Checking", "Preflight", "Saving", "Stopping", "Deploying", "Starting"]
    shares = [after("Upgrade", operation={"step": step}).progress.share for step in steps]
    assert shares == sorted(s for s in shares if s is not None)
    assert after("Upgrade", operation={"step": "Other"}).progress.share is None


def test_a_suspended_job_says_what_it_goes_on_from() -> None:
    fact = {"type": "Savepoint", "path": "s3://b/x", "id": 4}
    found = after("Suspend", phase="Suspended", expected=fact)
    assert found.result is not None
    assert found.result.snapshot is not None
    assert found.result.snapshot.path == "s3://b/x"


def test_another_job_of_the_name_is_not_taken_for_it() -> None:
    with pytest.raises(errors.NotFound, match="another one made of its name"):
        client_of(MadeUpCluster(flowjob())).operation("Scale:shop/orders/uid-before.4")


def test_a_change_is_waited_for() -> None:
    cluster = MadeUpCluster(flowjob())
    client = client_of(cluster)
    begun = client.job("orders", "shop").scale(4)
    assert begun.state == "Pending"

    def work(_: Operation) -> None:
        cluster.job()["status"] |= {"observedGeneration": 4, "parallelism": 4}

    assert client.wait(begun, timeout=60, on_progress=work).state == "Done"


# -- snapshots


@pytest.mark.parametrize(("name", "made"), [("before", "before"), (None, "orders-x7k2p")])
def test_a_savepoint_is_an_object_that_is_waited_for(name: str | None, made: str) -> None:
    cluster = MadeUpCluster(flowjob())
    client = client_of(cluster)
    begun = client.job("orders", "shop").savepoint(name)
    found = cluster.objects["FlowSnapshot", made]
    assert found["spec"] == {"jobRef": {"name": "orders"}, "type": "Savepoint"}

    def work(_: Operation) -> None:
        found["status"] = {"phase": "Completed", "path": "s3://b/x", "size": 12}

    done = client.wait(begun, on_progress=work)
    assert done.result is not None
    assert done.result.snapshot is not None
    assert (done.result.snapshot.path, done.result.snapshot.bytes) == ("s3://b/x", 12)


def test_one_that_fails_says_why() -> None:
    cluster = MadeUpCluster(flowjob())
    client = client_of(cluster)
    begun = client.job("orders", "shop").savepoint("a")
    cluster.objects["FlowSnapshot", "a"]["status"] = {"phase": "Abandoned", "error": "at rest"}
    with pytest.raises(errors.OperationFailed, match="at rest"):
        client.wait(begun)


def test_snapshots_of_the_job_are_listed_newest_first() -> None:
    def snapshot(name: str, job: str, at: str) -> dict[str, Any]:
        meta = {"name": name, "creationTimestamp": at}
        in_use = {"type": "InUse", "status": "True"}
        status = {"phase": "Completed", "path": f"s3://b/{name}", "conditions": [in_use]}
        spec = {"jobRef": {"name": job}}
        return {"kind": "FlowSnapshot", "metadata": meta, "spec": spec, "status": status}

    cluster = MadeUpCluster(
        snapshot("a", "orders", "2026-03-01"),
        snapshot("b", "orders", "2026-03-02"),
        snapshot("c", "x", "2026-03-03"),
    )
    found = client_of(cluster).job("orders", "shop").snapshots().snapshots
    assert [(s.name, s.in_use) for s in found] == [("b", True), ("a", True)]


def test_a_deletion_is_done_when_the_object_is_gone() -> None:
    cluster = MadeUpCluster(flowjob())
    client = client_of(cluster)
    client.job("orders", "shop").savepoint("a")
    begun = client.job("orders", "shop").delete_snapshot("a")
    assert cluster.seen[-1][:2] == ("delete", "flowsnapshots.flowjob.dev")
    assert client.operation(begun.id).state == "Running"
    del cluster.objects["FlowSnapshot", "a"]
    assert client.operation(begun.id).state == "Done"


# -- the rest


def test_a_dry_run_asks_the_api_server_and_changes_nothing() -> None:
    cluster = MadeUpCluster(owned_by(flowjob(), "argocd", OWNED))
    wish = UpgradeWish(image="orders:8", parallelism=4, args={"a": "1"})
    plan = client_of(cluster).job("orders", "shop").plan_upgrade(wish)
    changes = {change.field: (change.old, change.new) for change in plan.changes}
    assert changes == {"spec.image": ("orders:7", "orders:8"), "spec.job.parallelism": ("2", "4")}
    assert not plan.accepted
    assert plan.problems[0].startswith("spec.job.parallelism belongs to argocd")
    assert cluster.job() == owned_by(flowjob(), "argocd", OWNED)


@pytest.mark.parametrize(
    "ask", [lambda j: j.graph(), lambda j: j.verify_snapshot("a")], ids=["graph", "verify"]
)
def test_what_only_the_service_knows_is_refused_with_the_way_there(
    ask: Callable[[KubernetesJob], object],
) -> None:
    with pytest.raises(errors.BadRequest) as found:
        ask(client_of(MadeUpCluster(flowjob())).job("orders", "shop"))
    assert "--service" in found.value.next_step


POD_LINES = [
    '[pod/orders-jm-1-x/jobmanager] 2026-03-01T12:00:02Z {"level": "warning", "event": "slow", "checkpoint": 4}',
    "[pod/orders-tm-0/taskmanager] 2026-03-01T12:00:01Z plain words",
    '[pod/orders-tm-0/taskmanager] 2026-03-01T12:00:03Z {"message": "seen", "task_manager": "tm-0", "vertex": 1}',
    '[pod/orders-tm-0/taskmanager] 2026-03-01T12:00:04Z {"message": 7}',
    "[pod/orders-tm-0/taskmanager] 2026-03-01T12:00:05Z [1, 2]",
    "",
]


def test_logs_of_pods_are_lines_in_the_order_of_their_times() -> None:
    cluster = MadeUpCluster(flowjob())
    cluster.log = POD_LINES
    lines = client_of(cluster).job("orders", "shop").logs(LogQuery(limit=5)).lines
    assert [(line.source, line.message) for line in lines] == [
        ("TaskManager", "plain words"),
        ("JobManager", "slow"),
        ("TaskManager", "seen"),
        ("TaskManager", '{"message": 7}'),
        ("TaskManager", "[1, 2]"),
    ]
    slow = lines[1]
    assert (slow.level, slow.checkpoint, slow.at) == ("WARNING", 4, "2026-03-01T12:00:02Z")
    assert (lines[2].vertex, lines[2].task_manager) == (1, "tm-0")


def test_only_the_lines_that_are_wanted_come() -> None:
    cluster = MadeUpCluster(flowjob())
    cluster.log = POD_LINES
    job = client_of(cluster).job("orders", "shop")
    assert [line.message for line in job.follow_logs(LogQuery(level="WARNING"))] == ["slow"]
    assert [line.message for line in job.follow_logs(LogQuery(vertex=1))] == ["seen"]
    assert [line.message for line in job.follow_logs(LogQuery(text="WORDS"))] == ["plain words"]
    assert "--follow" in cluster.seen[-1]


def test_what_a_process_of_a_job_writes_is_read_back() -> None:
    said = io.StringIO()
    line = LogLine(
        sequence=7, at="2026-03-01T12:00:00.123Z", level="ERROR", logger="x", message="broken",
        source="TaskManager", task_manager="tm-0", vertex=1, operator="count", subtask=3, traceback="Traceback …",
    )  # fmt: skip
    PodLog(said, {"job": "orders"}, as_json=True, redact=lambda text: text).line(line)
    cluster = MadeUpCluster(flowjob())
    cluster.log = [f"[pod/orders-tm-0/taskmanager] 2026-03-01T12:00:01Z {said.getvalue().rstrip()}"]
    (found,) = client_of(cluster).job("orders", "shop").logs().lines
    assert found == msgspec.structs.replace(line, sequence=1)
