"""Savepoints as objects: taken on request, by a nonce, by the clock; deleted with or without their data."""

from __future__ import annotations

from tests.e2e.harness.flowjobs import FlowJob, rows_in
from tests.e2e.harness.tools import Object

RATE = 500
ROWS = rows_in(100, RATE)
FEW = rows_in(30, RATE)
MANY = rows_in(240, RATE)


def snapshot(name: str, job: str, **spec: object) -> Object:
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowSnapshot",
        "metadata": {"name": name},
        "spec": {"jobRef": {"name": job}, **spec},
    }


def completed(job: FlowJob, name: str) -> str:
    """Its path, once it is complete."""

    def path() -> str | None:
        status = (job.space.get("flowsnapshot", name) or {}).get("status") or {}
        return status.get("path") if status.get("phase") == "Completed" else None

    return job.space.wait(f"snapshot {name} is complete", path)


def savepoints(job: FlowJob) -> list[str]:
    return [n for n in job.bucket.names("state/") if "/savepoints/" in n]


def test_one_is_taken_and_its_data_go_with_it_though_the_job_is_gone(job: FlowJob) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    job.space.apply(snapshot("kept", job.name, deletionPolicy="Retain"), snapshot("mine", job.name))
    for name in ("kept", "mine"):
        completed(job, name)
    job.space.delete("flowjob", job.name)
    assert {completed(job, name) for name in ("kept", "mine")}
    before = savepoints(job)
    job.space.delete("flowsnapshot", "mine")
    after = savepoints(job)
    assert after
    assert len(after) < len(before)
    job.space.delete("flowsnapshot", "kept")
    assert savepoints(job) == after


def test_by_nonces_once_each(job: FlowJob) -> None:
    job.apply(rows=FEW, rate=RATE, job={"savepointNonce": 1})
    job.wait_running()
    job.wait_for_results()
    assert job.space.list("flowsnapshots") == []
    job.change(job={"savepointNonce": 2, "checkpointNonce": 2})
    (name,) = job.space.wait(
        "there is one",
        lambda: [s["metadata"]["name"] for s in job.space.list("flowsnapshots")] or None,
    )
    completed(job, name)
    leader = job.status["job"]["leader"]
    generation = job.change(job={"restartNonce": 2})
    job.wait_running(generation=generation)
    assert job.status["job"]["leader"] > leader
    job.wait_until_verified(FEW)
    assert job.status["nonces"] == {"savepoint": 2, "checkpoint": 2, "restart": 2}


def test_by_the_clock_and_only_the_newest_stay(job: FlowJob) -> None:
    schedule = {"schedule": "@every 1m", "retention": {"count": 1}}
    job.apply(rows=MANY, rate=RATE, snapshots=schedule)
    job.wait_running()
    seen: set[str] = set()

    def two_were_taken() -> bool:
        found = job.space.list("flowsnapshots")
        seen.update(
            each["metadata"]["name"]
            for each in found
            if (each.get("status") or {}).get("phase") == "Completed"
        )
        return len(seen) >= 2

    job.space.wait("two were taken", two_were_taken, within=200)
    job.space.wait("one is left", lambda: len(job.space.list("flowsnapshots")) == 1, within=30)
