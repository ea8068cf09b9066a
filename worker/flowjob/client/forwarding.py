"""The service of a cluster through a port of this machine that kubectl forwards, as whoever the kubeconfig says one is.

Why not the API server's proxy: it takes the caller's token out of the request, and the service must see it. Forwarding
begins with the first request, and again when kubectl has ended, because its pod has gone."""

from __future__ import annotations

import os
import re
import select
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from flowjob.client.flowjob_objects import part
from flowjob.client.http_transport import Address, HttpTransport
from flowjob.client.kubectl import Kubectl, error_of
from flowjob.client.transport import Answer, Request
from flowjob.errors import BadRequest, NotAllowed, ServiceUnreachable

FORWARDED_WITHIN = 30.0
"""Seconds until kubectl listens."""

PLUGIN_WITHIN = 120.0
"""Seconds for a login plugin, which may ask a person."""

_LISTENS = re.compile(rb"Forwarding from 127\.0\.0\.1:([0-9]+) ")

CREDENTIALS = "client.authentication.k8s.io/v1"


class ForwardedTransport:
    """See transport.Transport. `service`: NAMESPACE/NAME."""

    def __init__(self, kubectl: Kubectl, service: str) -> None:
        self._namespace, slash, self._name = service.partition("/")
        if not slash or not self._namespace or not self._name or "/" in self._name:
            raise BadRequest(
                f"`{service}` names no service of a cluster",
                next_step="Write --service NAMESPACE/NAME: kubectl get services --all-namespaces",
            )
        self._kubectl = kubectl
        self._process: subprocess.Popen[bytes] | None = None
        self._http: HttpTransport | None = None

    def send(self, request: Request) -> Answer:
        if self._http is None or self._process is None or self._process.poll() is not None:
            self.close()
            self._http = HttpTransport(Address("127.0.0.1", self._forwarded(), secure=False))
        return self._http.send(request)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None
        if self._process is not None:
            self._process.kill()
            for end in (self._process.stdout, self._process.stderr):
                if end is not None:
                    end.close()
            self._process.wait()
            self._process = None

    def _forwarded(self) -> int:
        """The port of this machine, once kubectl listens there."""
        self._process = self._kubectl.start(
            [
                "port-forward",
                f"--namespace={self._namespace}",
                "--address=127.0.0.1",
                f"service/{self._name}",
                f":{self._port()}",
            ],
            stdin=subprocess.DEVNULL,
        )
        out, complaints = self._process.stdout, self._process.stderr
        assert out is not None
        assert complaints is not None
        ready, _, _ = select.select([out], [], [], FORWARDED_WITHIN)
        line = out.readline() if ready else b""
        found = _LISTENS.match(line)
        if found is not None:
            return int(found[1])
        self._process.kill()
        said = complaints.read(4096).decode("utf-8", "replace")
        if said:
            raise error_of(said, self._kubectl.where)
        raise ServiceUnreachable(
            f"kubectl does not forward to service {self._namespace}/{self._name}",
            next_step=f"Is there a pod behind it? kubectl get endpoints -n {self._namespace} {self._name}",
        )

    def _port(self) -> int:
        """Of the service: the one that speaks plain HTTP."""
        where = f"--namespace={self._namespace}"
        found = self._kubectl.json("get", "service", where, "--", self._name)
        ports: list[Mapping[str, Any]] = list(part(found, "spec", "ports") or ())
        plain = [port for port in ports if port.get("name") != "https"]
        if not plain:
            raise BadRequest(
                f"service {self._namespace}/{self._name} speaks TLS under a name of its own",
                next_step="Say --server https://… with that name",
            )
        return int(plain[0]["port"])


def token_of(kubectl: Kubectl) -> str:
    """The caller's token, by the kubeconfig: written there, in a file, or a plugin's. Raises NotAllowed."""
    view = kubectl.json("config", "view", "--minify", "--raw")
    users = part(view, "users") or [{}]
    user = part(users[0], "user") or {}
    if file := user.get("tokenFile"):
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise NotAllowed(f"the token in {file} cannot be read: {error.strerror}") from None
    if token := user.get("token"):
        return str(token)
    if plugin := user.get("exec"):
        return _of_plugin(plugin)
    raise NotAllowed(
        "the kubeconfig has no token, and the service wants one",
        next_step="FLOWJOB_TOKEN=$(kubectl create token NAME) has that of a ServiceAccount",
    )


def _of_plugin(plugin: Mapping[str, Any]) -> str:
    """As kubectl would run it."""
    version = str(plugin.get("apiVersion") or CREDENTIALS)
    asked = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    given = {str(e["name"]): str(e["value"]) for e in plugin.get("env") or ()}
    command = [str(plugin.get("command")), *map(str, plugin.get("args") or ())]
    environment = {
        **os.environ,
        **given,
        "KUBERNETES_EXEC_INFO": msgspec.json.encode(asked).decode(),
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=PLUGIN_WITHIN,
            check=True,
        )
        token = part(msgspec.json.decode(done.stdout), "status", "token")
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        raise NotAllowed(
            f"the login plugin `{command[0]}` of the kubeconfig has failed: {error}",
            next_step="Does `kubectl get flowjobs` work? Then FLOWJOB_TOKEN may hold a token instead",
        ) from None
    if not token:
        raise NotAllowed(f"the login plugin `{command[0]}` gives certificates, and no token")
    return str(token)
