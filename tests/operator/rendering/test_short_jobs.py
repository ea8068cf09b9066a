"""Pods that do one thing: they end, whatever a template says, and their answer is there to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main

from flowjob.cli.commands import app
from flowjob.cluster.identity import JobId
from flowjob.cluster.job_file import JobFile, Restore, read_job_file
from flowjob_operator.rendering.platform import Platform
from flowjob_operator.rendering.short_jobs import (
    StorageTask,
    preflight,
    storage_work,
    storage_work_by_access,
)
from flowjob_operator.resources.flowsnapshot import StorageAccess
from tests.operator.rendering.examples import (
    ARTIFACT,
    EVERYTHING,
    IMAGE,
    JOB,
    PLATFORM,
    SCRIPT,
    a_revision,
    container,
    one,
    rendered,
)

Object = dict[str, Any]


def file(objects: Any, name: str) -> JobFile:
    return read_job_file(one(objects, "ConfigMap", name)["data"]["job.json"].encode())


def test_pre_flight_brings_all_that_it_mounts() -> None:
    made = preflight(JOB, a_revision(SCRIPT, 7), Restore(), 300.0)
    names = {o["metadata"]["name"] for o in made if o["kind"] == "ConfigMap"}
    pod = one(made, "Job")["spec"]["template"]["spec"]
    mounted = {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert mounted == names
    assert one(made, "Job")["metadata"]["name"] == "flights-preflight-7"
    assert container(one(made, "Job"))["args"][0] == "preflight"


def test_pre_flight_looks_at_what_the_revision_would_begin_with() -> None:
    restore = Restore(mode="Snapshot", path="s3://bucket/x")
    made = preflight(JOB, a_revision(ARTIFACT, 7), restore, 300.0)
    assert file(made, "flights-preflight-7").restore == restore


def test_a_pre_flight_ends_by_its_deadline_and_is_not_repeated_once_it_has_answered() -> None:
    spec = one(preflight(JOB, a_revision(ARTIFACT, 7), Restore(), 0.4), "Job")["spec"]
    assert spec["activeDeadlineSeconds"] == 1
    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    fails, ignored = spec["podFailurePolicy"]["rules"]
    assert fails["onExitCodes"] == {"containerName": "flowjob", "operator": "In", "values": [1]}
    assert ignored == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }


def test_what_would_go_on_for_ever_is_left_out_of_it() -> None:
    """A sidecar would keep a Job from ending; a probe would end it."""
    job = one(preflight(JOB, a_revision(EVERYTHING, 7), Restore(), 300.0), "Job")
    pod = job["spec"]["template"]["spec"]
    assert [c["name"] for c in pod["containers"]] == ["flowjob"]
    assert [c["name"] for c in pod["initContainers"]] == ["warm"]
    assert not any(name.endswith("Probe") for name in container(job))
    assert {"name": "TZ", "value": "UTC"} in container(job)["env"]
    assert pod["nodeSelector"] == {"disk": "fast"}


def test_work_on_storage_has_the_storage_of_its_job() -> None:
    made = storage_work(
        JOB, StorageTask("work-1", "verify", "s3://bucket/x"), a_revision(EVERYTHING)
    )
    assert container(one(made, "Job"))["args"][:3] == ["storage", "verify", "s3://bucket/x"]
    found = file(made, "work-1")
    assert found.storage is not None
    assert (found.storage.location, found.uid) == ("s3://bucket/flowjob", JOB.uid)
    secrets = [v["secret"]["secretName"] for v in volumes(made) if "secret" in v]
    assert secrets == ["s3"]


def test_work_on_storage_needs_no_program() -> None:
    made = storage_work(JOB, StorageTask("work-1", "dispose", None), a_revision({**SCRIPT}))
    assert container(one(made, "Job"))["args"][:3] == ["storage", "dispose", "--job-file"]
    assert {o["metadata"]["name"] for o in made} == {"work-1"}
    assert "flowjob-script" not in {v["name"] for v in volumes(made)}


def volumes(made: Any) -> list[Object]:
    found: list[Object] = one(made, "Job")["spec"]["template"]["spec"]["volumes"]
    return found


def test_a_snapshot_that_no_job_knows_is_reached_as_it_says_itself() -> None:
    access = StorageAccess.of(
        {
            "endpoint": "https://s3:9000",
            "secretRef": {"name": "keys"},
            "caBundleRef": {"name": "ca"},
            "serviceAccountName": "reader",
        }
    )
    nobody = JobId("air", "", "")
    made = storage_work_by_access(
        nobody, StorageTask("work-1", "import", "s3://b/x"), access, IMAGE
    )
    found = file(made, "work-1").storage
    assert found is not None
    assert (found.location, found.endpoint) == ("s3://b/x", "https://s3:9000")
    assert found.credentials == "/etc/flowjob/storage"
    assert found.ca_bundle == "/etc/flowjob/ca/ca.crt"
    pod = one(made, "Job")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "reader"
    assert container(one(made, "Job"))["image"] == IMAGE
    own_image = StorageAccess.of({"image": "other:1"})
    made = storage_work_by_access(
        nobody, StorageTask("work-1", "verify", "s3://b/x"), own_image, IMAGE
    )
    assert container(one(made, "Job"))["image"] == "other:1"


def test_what_a_job_has_left_is_found_by_its_names_when_it_is_gone() -> None:
    path = f"s3://b/root/air/flights/{JOB.uid}/savepoints/x"
    made = storage_work_by_access(
        JOB, StorageTask("work-1", "dispose", path), StorageAccess(), IMAGE
    )
    found = file(made, "work-1")
    assert found.storage is not None
    assert (found.storage.location, found.name, found.uid) == ("s3://b/root", "flights", JOB.uid)


def test_work_on_a_directory_mounts_what_the_job_manager_mounts() -> None:
    mount = {"name": "state", "mountPath": "/state"}
    volume = {"name": "state", "persistentVolumeClaim": {"claimName": "state"}}
    containers = [{"name": "flowjob", "volumeMounts": [mount]}]
    role = {"podTemplate": {"spec": {"volumes": [volume], "containers": containers}}}
    stored = {"checkpoints": {"storage": "file:///state/flowjob"}}
    revision = a_revision({**SCRIPT, **stored, "jobManager": role, "taskManager": role})
    for path in (None, "file:///state/flowjob/x"):
        made = storage_work(JOB, StorageTask("work-1", "dispose", path), revision)
        assert volume in volumes(made)
        assert mount in container(one(made, "Job"))["volumeMounts"]


def test_work_on_a_snapshot_is_not_seen_as_its_jobs() -> None:
    """A pod of it that fails says nothing of the job."""
    made = storage_work(JOB, StorageTask("work-1", "dispose", "s3://b/x"), a_revision(EVERYTHING))
    pod = one(made, "Job")["spec"]["template"]
    assert pod["metadata"]["labels"]["flowjob.dev/job"] == ""
    assert file(made, "work-1").uid == JOB.uid
    of_job = storage_work(JOB, StorageTask("work-1", "dispose", None), a_revision(EVERYTHING))
    assert one(of_job, "Job")["metadata"]["labels"]["flowjob.dev/job"] == "flights"


EGRESS = ({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]},)


def short_jobs(platform: Platform) -> dict[str, Sequence[Object]]:
    nobody, access = JobId("air", "", ""), StorageAccess()
    everything = a_revision(EVERYTHING, 7)
    return {
        "flights-preflight-7": preflight(JOB, everything, Restore(), 300.0, platform),
        "work-1": storage_work(JOB, StorageTask("work-1", "dispose", None), everything, platform),
        "work-2": storage_work(
            JOB, StorageTask("work-2", "dispose", "s3://b/x"), everything, platform
        ),
        "work-3": storage_work_by_access(
            nobody, StorageTask("work-3", "dispose", "s3://b/x"), access, IMAGE, platform
        ),
    }


@pytest.mark.parametrize("name", short_jobs(PLATFORM))
def test_nobody_gets_into_the_pod_of_a_short_job(name: str) -> None:
    *before, job = short_jobs(PLATFORM)[name]
    policy = one(before, "NetworkPolicy")
    assert policy["metadata"]["name"] == job["metadata"]["name"] == name
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert policy["spec"]["ingress"] == []


@pytest.mark.parametrize("name", short_jobs(PLATFORM))
def test_the_pod_of_a_short_job_gets_where_the_platform_lets_jobs_go_and_nowhere_else(
    name: str,
) -> None:
    policy = one(short_jobs(replace(PLATFORM, egress=EGRESS))[name], "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["egress"] == list(EGRESS)
    nowhere = one(short_jobs(replace(PLATFORM, egress=()))[name], "NetworkPolicy")
    assert (nowhere["spec"]["policyTypes"], nowhere["spec"]["egress"]) == (
        ["Ingress", "Egress"],
        [],
    )


@pytest.mark.parametrize("name", short_jobs(PLATFORM))
def test_no_short_job_is_selected_by_the_policy_of_another_or_of_the_job(name: str) -> None:
    labels = one(short_jobs(PLATFORM)[name], "Job")["spec"]["template"]["metadata"]["labels"]
    others = [o for n, made in short_jobs(PLATFORM).items() if n != name for o in made]
    policies = [*others, *rendered(EVERYTHING).objects()]
    for each in (o for o in policies if o["kind"] == "NetworkPolicy"):
        assert not each["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_without_network_policies_short_jobs_have_none_either() -> None:
    for made in short_jobs(replace(PLATFORM, network_policies=False)).values():
        assert not [o for o in made if o["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize(
    ("command", "path"),
    [("verify", "s3://b/x"), ("import", "s3://b/x"), ("dispose", "s3://b/x"), ("dispose", None)],
)
def test_the_command_line_takes_what_pods_give_it(command: str, path: str | None) -> None:
    made = storage_work(JOB, StorageTask("work-1", command, path), a_revision(EVERYTHING))
    name, *arguments = container(one(made, "Job"))["args"]
    taken = parsed(name, arguments)
    assert taken["job_file"] == Path("/etc/flowjob/job/job.json")
    assert taken.get("path") == path
    assert taken["answer"] == Path("/dev/termination-log")


def test_the_command_line_takes_the_processes_of_pods() -> None:
    made = [*preflight(JOB, a_revision(SCRIPT), Restore(), 300.0), *rendered(SCRIPT).objects()]
    for kind in ("Job", "Deployment", "StatefulSet"):
        name, *arguments = container(one(made, kind))["args"]
        assert str(parsed(name, arguments)["job_file"]) == "/etc/flowjob/job/job.json"


def parsed(name: str, arguments: list[str]) -> dict[str, Any]:
    """By the command line of the engine, without running anything."""
    command: Any = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    return dict(command.make_context(name, arguments).params)
