"""An S3 server in the cluster, as a pod with a Service, and its contents as a test sees them.

Objects live as long as the pod. It must not know what is stored."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.e2e.harness.namespace import Namespace
from tests.e2e.harness.tools import Object, Tools

NAMESPACE = "flowjob-e2e-storage"
PORT = 7070
ENDPOINT = f"http://s3.{NAMESPACE}.svc.cluster.local:{PORT}"
"""As pods reach it."""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "flowjob", "AWS_SECRET_ACCESS_KEY": "no-secret-in-tests"}
REGION = "us-east-1"
LABELS = {"app": "s3"}
AT_ONCE = 8
"""Requests, where there are many objects."""


def objects(image: str) -> list[Object]:
    """Of the server."""
    command = ["/versitygw", "--quiet", "--keep-alive", f"--port=:{PORT}", f"--region={REGION}"]
    environment = {
        "ROOT_ACCESS_KEY": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }
    container = {
        "name": "s3",
        "image": image,
        "command": [*command, "posix", "/data"],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "securityContext": {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001},
        "terminationGracePeriodSeconds": 1,
        "enableServiceLinks": False,
        # Never on the node that scenarios lose.
        "nodeSelector": {"flowjob.dev/keep": "true"},
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    metadata = {"name": "s3", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": LABELS, "ports": [{"port": PORT}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": LABELS},
                "strategy": {"type": "Recreate"},
                "template": {"metadata": {"labels": LABELS}, "spec": pod},
            },
        },
    ]


@dataclass
class Storage:
    """The server, as it is reached from here."""

    tools: Tools
    _forward: subprocess.Popen[str] | None = field(default=None, repr=False)
    _address: str = ""

    def install(self, image: str) -> None:
        """Started and ready."""
        first = self.tools.kubectl("get", "nodes", "-o", "name").split()[0]
        self.tools.kubectl("label", "--overwrite", first, "flowjob.dev/keep=true")
        space = Namespace(self.tools, NAMESPACE)
        space.apply(*objects(image))
        space.kubectl("rollout", "status", "deployment/s3", "--timeout=120s")

    def make_bucket(self, name: str) -> Bucket:
        """Empty."""
        self.client().create_bucket(Bucket=name)
        return Bucket(self, name)

    def client(self) -> Any:
        if not self._address or (self._forward is not None and self._forward.poll() is not None):
            self._connect()
        return boto3.client(
            "s3",
            endpoint_url=self._address,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 5}),
        )

    def close(self) -> None:
        if self._forward is not None:
            self._forward.terminate()
            self._forward.wait(10)
            if self._forward.stdout is not None:
                self._forward.stdout.close()
            self._forward = None

    def _connect(self) -> None:
        """Straight where Services are reached from here, as on one machine; else through the API server."""
        self.close()
        service = self.tools.read("-n", NAMESPACE, "get", "service", "s3")
        address = (str((service or {})["spec"]["clusterIP"]), PORT)
        try:
            socket.create_connection(address, timeout=2).close()
        except OSError:
            self._address = f"http://127.0.0.1:{self._forwarded()}"
        else:
            self._address = f"http://{address[0]}:{PORT}"

    def _forwarded(self) -> str:
        words = ("-n", NAMESPACE, "port-forward", "service/s3", f":{PORT}")
        self._forward = self.tools.start(*words, stdout=subprocess.PIPE)
        assert self._forward.stdout is not None
        said = self._forward.stdout.readline()
        port = re.search(r"127\.0\.0\.1:(\d+)", said)
        if port is None:
            raise RuntimeError(f"cannot reach the S3 server: {said or 'kubectl has ended'}")
        return port[1]


@dataclass(frozen=True)
class Bucket:
    storage: Storage
    name: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def names(self, prefix: str = "") -> list[str]:
        """Of all objects below it, sorted."""
        pages = self.storage.client().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.name, Prefix=prefix)
        return sorted(o["Key"] for page in found for o in page.get("Contents", []))

    def read(self, name: str) -> bytes:
        body: bytes = self.storage.client().get_object(Bucket=self.name, Key=name)["Body"].read()
        return body

    def put(self, name: str, body: bytes) -> None:
        self.storage.client().put_object(Bucket=self.name, Key=name, Body=body)

    def download(self, prefix: str, into: Path) -> Path:
        """Everything below the prefix, under the same names."""
        client = self.storage.client()

        def fetch(name: str) -> None:
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(client.get_object(Bucket=self.name, Key=name)["Body"].read())

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(fetch, self.names(prefix)))
        return into / prefix


def secret(name: str = "storage") -> Object:
    """The credentials as a job of the namespace refers to them."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": CREDENTIALS,
    }


@contextlib.contextmanager
def storage(tools: Tools, image: str) -> Iterator[Storage]:
    """Installed where it is not, and reached."""
    made = Storage(tools)
    made.install(image)
    try:
        yield made
    finally:
        made.close()
