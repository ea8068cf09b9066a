"""kubectl delete, in whatever state the job is: it ends, and storage keeps what the policy says."""

from __future__ import annotations

import pytest

from tests.e2e.harness.flowjobs import FlowJob, rows_in

RATE = 500
ROWS = rows_in(100, RATE)
FEW = rows_in(20, RATE)


@pytest.mark.parametrize(
    ("policy", "cascade"),
    [
        ("Retain", "background"),
        pytest.param("Savepoint", "background", marks=pytest.mark.core),
        ("Discard", "background"),
        ("Savepoint", "foreground"),
        ("Discard", "foreground"),
        ("Retain", "foreground"),
    ],
)
def test_a_running_job_goes_by_its_policy(job: FlowJob, policy: str, cascade: str) -> None:
    job.apply(rows=ROWS, rate=RATE, deletionPolicy=policy)
    job.wait_running()
    job.wait_for_results()
    job.space.delete("flowjob", job.name, "--wait=false", f"--cascade={cascade}")
    job.space.wait_gone("flowjob", job.name)
    for component in ("jobmanager", "taskmanager"):
        job.space.wait(f"no {component} is left", lambda role=component: not job.pods(role))
    kept = job.bucket.names("state/")
    assert any("/checkpoints/" in name for name in kept) == (policy != "Discard")
    assert any("/savepoints/" in name for name in kept) == (policy == "Savepoint")


@pytest.mark.parametrize("policy", ["Retain", "Savepoint", "Discard"])
def test_a_job_that_never_started_goes_at_once(job: FlowJob, policy: str) -> None:
    job.apply(
        rows=ROWS,
        rate=RATE,
        deletionPolicy=policy,
        image="localhost/flowjob-worker:does-not-exist",
    )
    job.space.wait("it is looked at", lambda: bool(job.status.get("phase")))
    job.space.delete("flowjob", job.name, "--wait=false")
    job.space.wait_gone("flowjob", job.name)


@pytest.mark.parametrize("when", ["Starting", "Preflight", "Stopping", "Suspended", "Finished"])
def test_it_goes_in_whatever_state_it_is(job: FlowJob, when: str) -> None:
    job.apply(rows=1_000 if when == "Finished" else ROWS, rate=RATE, deletionPolicy="Savepoint")
    if when in ("Starting", "Finished"):
        job.space.wait(f"it is {when}", lambda: job.phase == when)
    else:
        job.wait_running()
        job.wait_for_results()
    if when == "Suspended":
        job.wait_for(when, generation=job.change(job={"state": when}))
    if when in ("Preflight", "Stopping"):
        job.change(job={"args": {"retained": 3}})
        job.space.wait(f"it is at {when}", lambda: job.step == when)
    job.space.delete("flowjob", job.name, "--wait=false")
    job.space.wait_gone("flowjob", job.name)
    for component in ("jobmanager", "taskmanager", "preflight"):
        job.space.wait(f"no {component} is left", lambda role=component: not job.pods(role))


def test_one_of_the_same_name_does_not_begin_with_nothing_by_mistake(job: FlowJob) -> None:
    job.apply(rows=FEW, rate=RATE)
    job.wait_running()
    job.wait_for_results()
    job.space.delete("flowjob", job.name)
    job.apply(rows=FEW, rate=RATE)
    job.space.wait(
        "it is refused, with a reason",
        lambda: "priorState" in (job.status.get("diagnosis") or ""),
    )
    assert (job.status.get("job") or {}).get("state") != "Running"
    job.change(priorState="Resume")
    job.wait_until_verified(FEW, runs=2)


def test_a_namespace_goes_with_its_jobs(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE, deletionPolicy="Savepoint")
    job.wait_running()
    tools = job.space.tools
    tools.kubectl("delete", "namespace", job.space.name, "--wait=false")
    job.space.wait(
        "the namespace is gone", lambda: tools.read("get", "namespace", job.space.name) is None
    )
