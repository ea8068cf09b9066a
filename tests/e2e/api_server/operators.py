"""The operator as a process of its own, as a ServiceAccount with exactly the permissions that it lists.

Starts it, asks its port, reads its log; nothing of what it decides."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flowjob_operator.process.permissions import rules
from tests.e2e.cluster.api import Api, Refusal
from tests.e2e.cluster.control_plane import free_ports, process

PATIENCE = 240.0
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNT = "operator"

Object = dict[str, Any]


def until(what: Callable[[], Any], why: str, seconds: float = PATIENCE) -> Any:
    """The first answer that is not falsy. Raises TimeoutError with what it waited for."""
    give_up = time.monotonic() + seconds
    while True:
        with contextlib.suppress(Refusal):
            if found := what():
                return found
        if time.monotonic() > give_up:
            raise TimeoutError(why)
        time.sleep(0.2)


@dataclass
class Process:
    """A replica that runs."""

    running: subprocess.Popen[bytes]
    port: int
    log: Path

    def lines(self) -> list[Object]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]

    def says(self, event: str) -> list[Object]:
        return [line for line in self.lines() if line.get("event") == event]

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=30
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> list[str]:
        """Its lines."""
        return [line for line in self.ask("/metrics")[1].splitlines() if line.startswith(name)]


@contextlib.contextmanager
def operator(kubeconfig: Path, folder: Path, name: str, *arguments: str) -> Iterator[Process]:
    """Ready to be asked. Ended by SIGTERM, whatever happens."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "flowjob_operator", "--address=127.0.0.1", f"--port={port}"]
    command += [f"--identity={name}", "--image=flowjob-worker:1", "--log-level=debug", *arguments]
    log = folder / f"{name}.log"
    before = dict(os.environ)
    os.environ["KUBECONFIG"] = str(kubeconfig)
    try:
        with process(list(command), log) as running:
            found = Process(running, port, log)
            until(lambda: found.ask("/livez")[0] == 200, f"{name} does not answer: {log}")
            yield found
    finally:
        os.environ.clear()
        os.environ.update(before)


def account(api: Api, namespace: str, name: str = ACCOUNT) -> str:
    """A ServiceAccount's token."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    api.create(path, {"metadata": {"name": name}})
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    }
    return str(api.create(f"{path}/{name}/token", request)["status"]["token"])


def kubeconfig(api: Api, token: str, namespace: str, file: Path) -> Path:
    cluster = {"server": api.address, "certificate-authority": str(api.certificates)}
    context = {"cluster": "it", "user": "it", "namespace": namespace}
    config = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": context}],
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": token}}],
    }
    file.write_text(yaml.safe_dump(config))
    return file


def grant(api: Api, to: str, own: str, *, everywhere: bool = False, within: str = "") -> None:
    """What permissions.py lists, to the ServiceAccount of the namespace `own`: in all namespaces, or `within` one."""
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": own}
    if everywhere:
        given = [*rules("jobs"), *rules("cluster")]
        api.create(f"{RBAC}/clusterroles", {"metadata": {"name": to}, "rules": given})
        _bind(api, f"{RBAC}/clusterrolebindings", "ClusterRole", to, subject)
    for namespace, given in ((own, rules("own")), (within, rules("jobs"))):
        if namespace and not (everywhere and namespace == within):
            name = f"{to}-{'own' if namespace == own and given == rules('own') else 'jobs'}"
            path = f"{RBAC}/namespaces/{namespace}"
            with contextlib.suppress(Refusal):
                api.create(f"{path}/roles", {"metadata": {"name": name}, "rules": given})
                _bind(api, f"{path}/rolebindings", "Role", name, subject)


def _bind(api: Api, path: str, kind: str, name: str, subject: Object) -> None:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    api.create(path, {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]})
