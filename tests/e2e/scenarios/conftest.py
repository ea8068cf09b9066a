"""A cluster with an S3 server for all scenarios, and a namespace and a bucket for each.

What a scenario leaves in its namespace is deleted with it; FLOWJOB_E2E_KEEP=1 keeps everything to look at."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator

import pytest

from tests.e2e.harness.flowjobs import FlowJob
from tests.e2e.harness.images import Images, build_images
from tests.e2e.harness.installation import Installation
from tests.e2e.harness.namespace import Namespace
from tests.e2e.harness.storage import Bucket, Storage, secret, storage
from tests.e2e.harness.waiting import patience
from tests.e2e.harness.which_cluster import AnyCluster, cluster, wanted_cluster

SECONDS = 600
"""A scenario may take, on an idle machine."""

_numbers = itertools.count(1)
_run = secrets.token_hex(2)


ONLY_ON_A_CLUSTER_OF_OUR_OWN = "test_faults_of_the_cluster.py"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What a cluster of somebody else's must not suffer is left out there."""
    if wanted_cluster() != "local":
        left_out = [i for i in items if i.path.name == ONLY_ON_A_CLUSTER_OF_OUR_OWN]
        items[:] = [i for i in items if i not in left_out]
        config.hook.pytest_deselected(items=left_out)
    for item in items:
        if "tests/e2e/scenarios" in item.nodeid:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(SECONDS * patience()))


def _keep() -> bool:
    return bool(os.environ.get("FLOWJOB_E2E_KEEP"))


@pytest.fixture(scope="session")
def images() -> Images:
    return build_images()


@pytest.fixture(scope="session")
def the_cluster(images: Images) -> Iterator[AnyCluster]:
    made = cluster()
    made.load(images.all())
    made.tools.every("default", "pods")  # Connected before any test counts its processes.
    yield made
    made.tools.close()
    if not _keep():
        made.down()


@pytest.fixture(scope="session")
def the_storage(the_cluster: AnyCluster, images: Images) -> Iterator[Storage]:
    with storage(the_cluster.tools, images.s3) as made:
        made.client()  # Connected before any test counts its processes.
        yield made


@pytest.fixture(scope="session")
def operator(the_cluster: AnyCluster, images: Images) -> Installation:
    """Ready, looking after all namespaces."""
    made = Installation(the_cluster.tools, images)
    made.install()
    return made


@pytest.fixture
def job(operator: Installation, namespace: Namespace, bucket: Bucket) -> FlowJob:
    """Not applied yet."""
    return FlowJob(namespace, "verified", bucket)


@pytest.fixture
def namespace(the_cluster: AnyCluster, the_storage: Storage) -> Iterator[Namespace]:
    """Empty but for the Secret `storage`, and held to the restricted pod security standard."""
    name = f"e2e-{_run}-{next(_numbers)}"
    tools = the_cluster.tools
    tools.kubectl("create", "namespace", name)
    tools.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    made = Namespace(tools, name)
    made.apply(secret())
    yield made
    if not _keep():
        tools.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def bucket(namespace: Namespace, the_storage: Storage) -> Bucket:
    """Goes with the server: a job that is still being stopped writes to it."""
    return the_storage.make_bucket(namespace.name)
