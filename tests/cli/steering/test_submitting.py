"""`flowjob submit`: what becomes of a file, and what is no file of a job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowjob.cli import exits
from flowjob.client.kubernetes_client import KubernetesClient
from tests.cli.steering.made_up import MadeUpJobs, put, run
from tests.client.made_up_cluster import MadeUpCluster

OBJECT = """
apiVersion: flowjob.dev/v1beta1
kind: FlowJob
metadata: {name: orders, namespace: shop, labels: {team: a}, resourceVersion: "7"}
spec: {image: "orders:7", job: {entrypoint: "orders:job", args: {old: 1}}}
"""


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MadeUpJobs:
    monkeypatch.chdir(tmp_path)
    return put(monkeypatch, MadeUpJobs())


def submitted(jobs: MadeUpJobs) -> tuple[dict[str, Any], str]:
    ((verb, said, _),) = jobs.wishes
    assert verb == "submit"
    return said[0], said[1]


def test_a_program_becomes_a_job_that_has_it_inside(jobs: MadeUpJobs, tmp_path: Path) -> None:
    (tmp_path / "my_job.py").write_text("job = 1\n")
    ended = run(
        "submit", "my_job.py", "-n", "shop", "-p", "3", "-a", "x=1", "--checkpoints", "s3://b/p"
    )
    assert ended.exit_code == exits.EXIT_OK, ended.output
    body, namespace = submitted(jobs)
    assert (namespace, body["kind"], body["metadata"]) == ("shop", "FlowJob", {"name": "my-job"})
    assert body["spec"] == {
        "job": {"script": "job = 1\n", "parallelism": 3, "args": {"x": "1"}},
        "checkpoints": {"storage": "s3://b/p"},
    }


def test_a_flowjob_is_submitted_as_it_is_but_for_what_is_said(
    jobs: MadeUpJobs, tmp_path: Path
) -> None:
    (tmp_path / "orders.yaml").write_text(OBJECT)
    ended = run("submit", "orders.yaml", "-a", "old-", "--image", "orders:8", "--json")
    assert json.loads(ended.stdout)["job"] == {"namespace": "shop", "name": "orders"}
    body, namespace = submitted(jobs)
    assert namespace == "shop"
    assert body["metadata"] == {"name": "orders", "namespace": "shop", "labels": {"team": "a"}}
    assert body["spec"] == {"image": "orders:8", "job": {"entrypoint": "orders:job", "args": {}}}


@pytest.mark.parametrize(
    ("file", "text", "words", "refusal"),
    [
        ("none.yaml", None, (), "No such file"),
        ("pod.yaml", "kind: Pod", (), "no FlowJob (kind: Pod)"),
        ("bare.json", '{"kind": "FlowJob"}', (), "no metadata, or no spec"),
        ("broken.json", "{", (), "Expecting"),
        ("broken.yaml", "a: [", (), "while parsing"),
        ("big.py", "#" * 140_000, (), "more than 128 KiB"),
        ("job.py", "x", (), "in which namespace"),
        ("orders.yaml", OBJECT, ("-n", "other"), "say one"),
    ],
)
def test_what_cannot_be_submitted_is_refused_before_anybody_is_asked(
    jobs: MadeUpJobs,
    tmp_path: Path,
    file: str,
    text: str | None,
    words: tuple[str, ...],
    refusal: str,
) -> None:
    if text is not None:
        (tmp_path / file).write_text(text)
    ended = run("submit", file, *words)
    assert ended.exit_code != exits.EXIT_OK
    assert refusal in " ".join((ended.output + ended.stderr).split())
    assert jobs.wishes == []


def test_through_kubectl_the_object_is_made_and_waited_for() -> None:
    cluster = MadeUpCluster()
    body = {"kind": "FlowJob", "metadata": {"name": "new"}, "spec": {}}
    begun = KubernetesClient(cluster).submit(body, "shop")
    assert (begun.kind, begun.state, str(begun.job)) == ("Submit", "Pending", "shop/new")
    assert cluster.objects["FlowJob", "new"]["metadata"]["namespace"] == "shop"
