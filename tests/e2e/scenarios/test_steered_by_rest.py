"""The REST service in the cluster, from outside: a script that knows its OpenAPI document drives a job, and whoever has
no rights in a namespace sees and changes nothing there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.harness import verified
from tests.e2e.harness.described import Described, Refusal
from tests.e2e.harness.flowjobs import FlowJob, rows_in, verifying_job
from tests.e2e.harness.installation import Installation
from tests.e2e.harness.service import Service, caller, service
from tests.e2e.harness.waiting import wait_until

pytestmark = pytest.mark.core

RATE = 500
ROWS = rows_in(45, RATE)


@pytest.fixture(scope="module")
def rest(operator: Installation) -> Iterator[Service]:
    with service(operator) as made:
        yield made


def test_a_script_that_knows_the_document_drives_a_job_from_submission_to_its_end(
    job: FlowJob, rest: Service
) -> None:
    bucket = job.bucket
    token = caller(job.space, "script", "edit")
    with rest.as_(token) as script:
        at = {"namespace": job.space.name, "name": "steered"}
        wish = verifying_job("steered", bucket, rows=ROWS, rate=RATE)
        begun = script.call("submit", wish, namespace=job.space.name)
        script.done(begun, within=180)
        wait_for(script, at, "state", "Running")
        wait_until("it publishes", lambda: verified.files_so_far(bucket) > 1, within=60)
        savepoint = script.done(script.call("take_savepoint", {"name": "before"}, **at))
        assert savepoint["result"]["snapshot"]["path"].startswith(f"{bucket.url}/state")
        listed = script.call("get_snapshots", **at)["snapshots"]
        assert "before" in [one["name"] for one in listed]
        checked = script.done(script.call("verify_snapshot", snapshot="before", **at), within=180)
        assert checked["result"]["snapshot"]["path"] == savepoint["result"]["snapshot"]["path"]

        other = {"args": {"retained": 3}, "parallelism": 3}
        plan = script.call("upgrade", other, dryRun=True, **at)
        assert plan["accepted"]
        assert plan["taskManagers"] == 3
        assert script.call("get_job", **at)["parallelism"] == 2
        upgraded = script.done(script.call("upgrade", other, **at), within=180)
        assert upgraded["result"]["parallelism"] == 3
        graph = script.call("get_graph", **at)
        assert {one["parallelism"] for one in graph["vertices"]} == {3}
        told = script.call("get_logs", **at)
        assert told["lines"]

        wait_for(script, at, "state", "Finished", within=300)
        assert verified.what_is_wrong(bucket, ROWS) == []


def test_it_has_another_one_go_back_and_cancels_it_for_good(job: FlowJob, rest: Service) -> None:
    at = {"namespace": job.space.name, "name": job.name}
    with rest.as_(caller(job.space, "script", "edit")) as script:
        script.call(
            "submit",
            verifying_job(job.name, job.bucket, rows=100 * ROWS, rate=RATE),
            namespace=job.space.name,
        )
        wait_for(script, at, "state", "Running", within=180)
        job.wait_for_results()
        script.done(script.call("take_savepoint", {"name": "here"}, **at))
        job.wait_for_results()
        script.done(script.call("restore", {"snapshot": "here"}, **at), within=180)
        wait_for(script, at, "state", "Running", within=180)
        assert job.object()["spec"]["job"]["restoreFrom"]["snapshot"] == "here"
        script.done(script.call("cancel", **at))
        assert script.call("get_job", **at)["state"] == "Cancelled"
    job.wait_for("Cancelled")
    job.space.wait("nothing of it runs", lambda: job.pods("taskmanager") == [] or None)


def wait_for(
    script: Described, at: dict[str, str], field: str, value: object, within: float = 120
) -> None:
    def there() -> bool:
        return bool(script.call("get_job", **at)[field] == value)

    wait_until(f"{field} of {at['name']} is {value}", there, within=within)


READS = ("get_job", "get_graph", "get_tasks", "get_checkpoints", "get_snapshots", "get_exceptions", "get_metrics",
         "get_logs", "get_configuration", "get_plan")  # fmt: skip
WRITES = {
    "take_savepoint": {"name": "stolen"},
    "upgrade": {"parallelism": 4},
    "scale": {"parallelism": 4},
    "suspend": {},
    "cancel": {},
    "restart": {},
}


def test_who_has_no_rights_in_a_namespace_sees_and_changes_nothing_there(
    job: FlowJob, rest: Service
) -> None:
    job.apply(rows=100 * ROWS, rate=RATE)
    job.wait_running()
    at = {"namespace": job.space.name, "name": job.name}
    generation = job.object()["metadata"]["generation"]
    stranger = caller(job.space, "stranger", None)
    viewer = caller(job.space, "viewer", "view")
    with rest.as_(stranger) as script:
        assert script.call("list_jobs")["jobs"] == []
        for operation in READS:
            refused(script, operation, at)
        refused(script, "list_jobs", {"namespace": job.space.name})
        for operation, wish in WRITES.items():
            refused(script, operation, at, wish)
        mine = verifying_job("mine", job.bucket, rows=10, rate=10)
        refused(script, "submit", {"namespace": job.space.name}, mine)
        # What is not there is refused in the same words.
        missing = refused(script, "get_job", {**at, "name": "missing"})
        assert missing.replace("missing", job.name) == refused(script, "get_job", at)
    with rest.as_(viewer) as script:
        assert [one["name"] for one in script.call("list_jobs")["jobs"]] == [job.name]
        for operation in READS:
            script.call(operation, **at)
        for operation, wish in WRITES.items():
            refused(script, operation, at, wish)
    for token, why in ((None, "nobody"), ("no-token", "not one of Kubernetes")):
        with rest.as_(token) as script, pytest.raises(Refusal) as seen:
            script.call("list_jobs")
        assert seen.value.status == 401, why
    assert job.object()["metadata"]["generation"] == generation
    assert job.space.list("flowsnapshots") == []
    assert [one["metadata"]["name"] for one in job.space.list("flowjobs")] == [job.name]


def refused(script: Described, operation: str, at: dict[str, str], wish: object = None) -> str:
    """What is said."""
    with pytest.raises(Refusal) as seen:
        script.call(operation, wish, **at)
    assert (seen.value.status, seen.value.code) == (403, "FORBIDDEN")
    return str(seen.value.problem["detail"])


def test_the_page_comes_with_the_service(rest: Service) -> None:
    with rest.as_(None) as browser:
        page = browser.get("/")
        assert page.headers["content-type"].startswith("text/html")
        named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert any(name.endswith(".js") for name in named)
        for name in named:
            assert browser.get(f"/{name.removeprefix('./')}").status_code == 200, name
        assert browser.get("/healthz").status_code == 200
        assert browser.get("/metrics").status_code == 200
