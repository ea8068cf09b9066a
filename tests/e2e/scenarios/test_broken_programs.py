"""Programs and settings that cannot work: the object says in one sentence what is wrong, and what ran goes on."""

from __future__ import annotations

import pytest

from tests.e2e.harness.flowjobs import FlowJob, rows_in
from tests.e2e.harness.plain import SCRIPT

RATE = 500
ROWS = rows_in(30, RATE)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"job": {"script": "import a_module_that_is_not_there"}}, "a_module_that_is_not_there"),
        ({"job": {"script": "job = 1"}}, "job"),
        ({"job": {"args": {"rowz": 1}}}, "rowz"),
    ],
    ids=["import error", "no job", "unknown argument"],
)
def test_a_change_that_cannot_run_is_refused_before_anything_stops(
    job: FlowJob, change: dict[str, object], word: str
) -> None:
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    pods = job.pods("jobmanager") + job.pods("taskmanager")
    generation = job.change(**change)
    job.space.wait(
        "the change is refused",
        lambda: (
            job.condition("Stalled")["status"] == "True"
            and job.status["observedGeneration"] >= generation
        ),
    )
    assert word in job.condition("Progressing")["message"]
    assert job.phase == "Running"
    assert job.pods("jobmanager") + job.pods("taskmanager") == pods
    assert job.condition("Ready")["status"] == "True"


def test_wrong_credentials_are_named(job: FlowJob) -> None:
    job.space.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "wrong"},
            "stringData": {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"},
        }
    )
    job.apply(rows=ROWS, rate=RATE, checkpoints={"secretRef": {"name": "wrong"}})
    job.space.wait(
        "the diagnosis names the access key",
        lambda: "access key" in (job.status.get("diagnosis") or "").lower(),
        within=180,
    )
    job.change(checkpoints={"secretRef": {"name": "storage"}})
    job.wait_until_verified(ROWS)


def test_an_impossible_request_is_named(job: FlowJob) -> None:
    resources = {"resources": {"requests": {"cpu": "1000"}}}
    job.apply(rows=ROWS, rate=RATE, taskManager=resources)
    job.space.wait(
        "the diagnosis names the resource",
        lambda: "cpu" in (job.status.get("diagnosis") or "").lower(),
    )
    job.change(taskManager={"resources": {"requests": {"cpu": "50m"}}})
    job.wait_until_verified(ROWS)


def test_a_limit_of_memory_that_is_too_small_is_named(job: FlowJob) -> None:
    limit = {"resources": {"requests": {"memory": "40Mi"}, "limits": {"memory": "40Mi"}}}
    job.apply(rows=ROWS, rate=RATE, taskManager=limit)
    job.space.wait(
        "the diagnosis names the limit",
        lambda: "40Mi" in (job.status.get("diagnosis") or ""),
        within=180,
    )
    enough = {"resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "1Gi"}}}
    job.change(taskManager=enough)
    job.wait_until_verified(ROWS)


def test_a_crash_loop_is_rolled_back(job: FlowJob) -> None:
    rollback = {"rollback": {"enabled": True, "checkpoints": 2, "deadline": "60s"}}
    job.apply(rows=ROWS, rate=RATE, upgrade=rollback, job={"restarts": {"strategy": "NoRestart"}})
    job.wait_running()
    job.space.wait(
        "the first revision is stable",
        lambda: (job.status.get("revisions") or {}).get("stable") == 1,
    )
    broken = SCRIPT.read_text().replace(
        "        ctx.emit(Moved(row.n, row.at, row.split, row.key))",
        '        raise RuntimeError("always")',
    )
    job.change(job={"script": broken})
    job.space.wait(
        "the last stable revision runs again",
        lambda: (job.status.get("revisions") or {}).get("failed") == 2 and job.phase == "Running",
        within=240,
    )
    assert job.condition("Stalled")["status"] == "True"
    job.wait_until_verified(ROWS)
