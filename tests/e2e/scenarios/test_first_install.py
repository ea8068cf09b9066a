"""helm install, kubectl apply, and the results are in the bucket, each once."""

from __future__ import annotations

import time

import pytest
import yaml

from tests.e2e.harness.figures import record
from tests.e2e.harness.flowjobs import FlowJob, merged, rows_in
from tests.e2e.harness.images import build_own_image
from tests.e2e.harness.installation import ROOT, Installation
from tests.e2e.harness.namespace import Namespace
from tests.e2e.harness.storage import ENDPOINT, Bucket
from tests.e2e.harness.which_cluster import AnyCluster

RATE = 500
ROWS = rows_in(20, RATE)
EXAMPLES = ROOT / "examples" / "kubernetes"


@pytest.mark.core
def test_a_job_is_applied_and_runs_to_its_end(job: FlowJob) -> None:
    began = time.monotonic()
    job.apply(rows=ROWS, rate=RATE)
    job.wait_running()
    record("kubectl apply to running", time.monotonic() - began)
    assert job.condition("Ready")["status"] == "True"
    job.wait_until_verified(ROWS)
    assert job.condition("Ready")["reason"] == "Finished"


@pytest.mark.parametrize("name", ["flights", "artifact"])
def test_an_example_runs_as_it_is(
    operator: Installation, namespace: Namespace, bucket: Bucket, name: str
) -> None:
    bucket.put("programs/flights.py", (EXAMPLES / "own-image" / "flights.py").read_bytes())
    run(name, (EXAMPLES / f"{name}.yaml").read_text(), namespace, bucket)


def test_a_program_in_an_image_of_ones_own_runs(
    the_cluster: AnyCluster, operator: Installation, namespace: Namespace, bucket: Bucket
) -> None:
    image = build_own_image(operator.images)
    the_cluster.load([image])
    text = (EXAMPLES / "own-image" / "flights.yaml").read_text()
    run("own-image", text.replace("own-flights:1", image), namespace, bucket)


def run(name: str, text: str, namespace: Namespace, bucket: Bucket) -> None:
    """The manifest, in our place for its own. Returns when it publishes."""
    ours = text.replace("http://s3.storage.svc.cluster.local:7070", ENDPOINT)
    example = yaml.safe_load(ours.replace("s3://flowjob/", f"{bucket.url}/"))
    namespace.apply(merged(example, {"spec": {"checkpoints": {"interval": "1s"}}}))
    job = FlowJob(namespace, name, bucket)
    job.wait_running()
    namespace.wait(
        "an hour of departures is published", lambda: bool(bucket.names("results")), within=60
    )
