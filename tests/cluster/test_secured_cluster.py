"""A whole job over certificates, as in a cluster: its own processes reach each other, and others reach nothing."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowjob.cluster.identity import JobId
from tests.certificates import Authority
from tests.cluster.pods import Pods

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

COUNTED = JobId("data", "counted", "u-1")


class SecuredPods(Pods):
    """With an authority, which is also the operator's that asks."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, rows=400, rate=400)
        self.authority = Authority("ours")
        self.operator = self.identity("operator", None)

    def identity(self, role: str, job: JobId | None = COUNTED, name: str = "") -> Path:
        made = self.authority.identity(self.directory / (name or role), role, job)
        (made / "data.key").write_text("ab" * 32)
        return made

    def start(self, what: str, identity: Path, **more: str) -> subprocess.Popen[bytes]:
        probe = self.probe if what == "jobmanager" else 0
        path = self._written(
            identity=str(identity), data_plane="TLS", parallelism=2, probe_port=probe
        )
        return self._start(what, path, more)

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        return self.call_as(self.operator, method, path, body)

    def call_as(
        self, who: Path, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(who / "ca.crt"))
        context.check_hostname = False
        context.load_cert_chain(who / "tls.crt", who / "tls.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.api, context=context, timeout=10)
        try:
            connection.request(method, f"/internal/v1/{path}", body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[SecuredPods]:
    found = SecuredPods(tmp_path)
    yield found
    found.end()


def test_a_job_runs_encrypted_and_strangers_with_certificates_of_the_same_authority_do_not_get_in(
    pods: SecuredPods,
) -> None:
    pods.start("jobmanager", pods.identity("jobmanager"))
    other = pods.identity("taskmanager", JobId("data", "counted", "u-2"), "other")
    pods.until(lambda: pods.call("GET", "status")[0])
    assert pods.call_as(other, "GET", "status") == (0, None)
    assert pods.call_as(pods.identity("jobmanager", name="again"), "GET", "status") == (0, None)
    stranger = pods.start("taskmanager", other, POD_NAME="counted-tm-9")
    assert stranger.wait() != 0
    assert "mount the identity that was made for it" in pods.said(stranger)
    mine = pods.identity("taskmanager")
    for ordinal in range(2):
        pods.start("taskmanager", mine, POD_NAME=f"counted-tm-{ordinal}")
    view = pods.until(pods.is_in("Finished", "Failed"))
    assert (view.state, view.restarts, view.error) == ("Finished", 0, None)
    assert pods.results() == pods.expected()
