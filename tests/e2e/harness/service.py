"""The REST service in the cluster: installed by the chart with a certificate, reached as a script does, and callers.

A caller is a ServiceAccount with a token; what it may do is what Kubernetes binds to it."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.certificates import Authority
from tests.e2e.harness.described import Described, Place, answers
from tests.e2e.harness.installation import Installation
from tests.e2e.harness.namespace import Namespace
from tests.e2e.harness.tools import Object

NAME = "flowjob-api"
SECRET = "flowjob-api-tls"
PORT = 443


@dataclass(frozen=True)
class Service:
    installation: Installation
    place: Place

    def as_(self, token: str | None) -> Described:
        return Described(self.place, token)


def caller(space: Namespace, name: str, role: str | None) -> str:
    """The token of a ServiceAccount of the namespace, with this ClusterRole there; None: with no rights."""
    space.kubectl("create", "serviceaccount", name)
    if role is not None:
        binding = [name, f"--clusterrole={role}", f"--serviceaccount={space.name}:{name}"]
        space.kubectl("create", "rolebinding", *binding)
    return space.kubectl("create", "token", name, "--duration=1h").strip()


@contextmanager
def service(installation: Installation) -> Iterator[Service]:
    """Ready, with HTTPS, and no longer there in the end."""
    authority, host = Authority("of this test"), f"{NAME}.{installation.namespace}.svc"
    installation.space.apply(_secret(authority, host))
    installation.install("api.enabled=true", f"api.tlsSecret={SECRET}", f"api.service.port={PORT}")
    try:
        with _reached(installation) as address:
            yield Service(installation, Place(address, host, authority.pem.decode()))
    finally:
        installation.install()
        installation.space.delete("secret", SECRET)


def _secret(authority: Authority, host: str) -> Object:
    certificate, key = authority.leaf([], hosts=[host, f"{host}.cluster.local"])
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


@contextmanager
def _reached(installation: Installation) -> Iterator[tuple[str, int]]:
    """Straight where Services are reached from here, as on one machine; else through the API server."""
    found = installation.space.get("service", NAME) or {}
    straight = (str(found["spec"]["clusterIP"]), PORT)
    if answers(straight):
        yield straight
        return
    words = ("-n", installation.namespace, "port-forward", f"service/{NAME}", f":{PORT}")
    forward = installation.tools.start(*words, stdout=subprocess.PIPE)
    try:
        assert forward.stdout is not None
        said = forward.stdout.readline()
        port = re.search(r"127\.0\.0\.1:(\d+)", said)
        if port is None:
            raise RuntimeError(f"cannot reach the service: {said or 'kubectl has ended'}")
        yield "127.0.0.1", int(port[1])
    finally:
        forward.terminate()
        forward.wait(10)
        if forward.stdout is not None:
            forward.stdout.close()
