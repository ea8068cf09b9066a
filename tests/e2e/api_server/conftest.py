"""An API server for all tests in this folder, with our kinds, and a namespace for each test."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster.api import Api
from tests.e2e.cluster.control_plane import NotBuilt, control_plane, programs

ROOT = Path(__file__).parent.parent.parent.parent
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ESTABLISHED_SECONDS = 60.0

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def bare_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Without our kinds."""
    try:
        folder = programs()
    except NotBuilt as error:
        pytest.fail(str(error))
    with control_plane(folder, tmp_path_factory.mktemp("control-plane")) as api:
        yield api


@pytest.fixture(scope="session")
def api(bare_api: Api) -> Api:
    """With what `kubectl apply -f crds/` makes."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        made = yaml.safe_load(path.read_text())
        bare_api.create(DEFINITIONS, made)
        wait_until_established(bare_api, made["metadata"]["name"])
    return bare_api


def wait_until_established(api: Api, name: str) -> None:
    """Until objects of the kind can be made. Raises TimeoutError, with what is wrong with it."""
    give_up = time.monotonic() + ESTABLISHED_SECONDS
    while time.monotonic() < give_up:
        status = api.get(f"{DEFINITIONS}/{name}").get("status") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or []}
        structural = "NonStructuralSchema" not in conditions
        if structural and conditions.get("Established", {}).get("status") == "True":
            return
        time.sleep(0.05)
    raise TimeoutError(f"{name}: {conditions}")


@pytest.fixture
def namespace(api: Api) -> str:
    """Empty, and of this test alone."""
    name = f"test-{next(_numbers)}"
    api.create(
        "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    return name
