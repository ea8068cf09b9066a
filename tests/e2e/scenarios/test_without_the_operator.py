"""A person writes the manifests by hand: a JobManager, TaskManagers, an S3 server. No operator, no resources of ours.

What fails here fails because of images, processes or the cluster, and not because of the operator."""

from __future__ import annotations

from tests.e2e.harness import verified
from tests.e2e.harness.flowjobs import rows_in
from tests.e2e.harness.images import Images
from tests.e2e.harness.namespace import Namespace
from tests.e2e.harness.plain import manifests
from tests.e2e.harness.storage import Bucket

RATE = 3_000
ROWS = rows_in(20, RATE)


def test_every_row_is_there_once_though_all_pods_were_killed(
    namespace: Namespace, bucket: Bucket, images: Images
) -> None:
    arguments = {"rows": str(ROWS), "rate": str(RATE)}
    namespace.apply(*manifests(images.worker, bucket, arguments))
    for victims in ("component=taskmanager", "component=jobmanager", "component"):
        before = verified.files_so_far(bucket)
        namespace.wait(
            "results grow", lambda known=before: verified.files_so_far(bucket) > known, within=120
        )
        for pod in namespace.list("pods", victims):
            namespace.kill_pod(pod["metadata"]["name"])
    namespace.wait(
        "the JobManager says that the job has succeeded",
        lambda: "succeeded" in _said_by_the_last_job_manager(namespace),
        within=180,
    )
    assert verified.what_is_wrong(bucket, ROWS) == []


def _said_by_the_last_job_manager(namespace: Namespace) -> str:
    pods = namespace.list("pods", "component=jobmanager")
    names = [pod["metadata"]["name"] for pod in pods]
    return "".join(namespace.logs(n, previous=p) for n in names for p in (False, True))
