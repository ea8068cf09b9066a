"""Objects of the cluster as scenarios ask for them again and again, without a process for each question.

kubectl reaches any cluster and takes a tenth of a second of a core to begin: one of them stays and passes requests on.
Knows no kinds but those in `PATHS`; whoever asks for others asks kubectl."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]

PATHS = {
    "pods": "api/v1",
    "services": "api/v1",
    "events": "api/v1",
    "deployments": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "flowjobs": "apis/flowjob.dev/v1beta1",
    "flowsnapshots": "apis/flowjob.dev/v1beta1",
}
SECONDS = 30.0


class NoAnswer(Exception):
    """What the API server, or what is between here and there, said instead."""


class Reading:
    """`start` begins kubectl with words of its own, and gives its process with stdout as a pipe."""

    def __init__(self, start: Callable[..., subprocess.Popen[str]]) -> None:
        self._start = start
        self._proxy: subprocess.Popen[str] | None = None
        self._address = ""

    def get(self, namespace: str, kind: str, name: str) -> Object | None:
        """None: it is not there."""
        return self._ask(f"/{PATHS[kind]}/namespaces/{namespace}/{kind}/{name}")

    def list(self, namespace: str, kind: str, selector: str) -> Object | None:
        chosen = urllib.parse.urlencode({"labelSelector": selector})
        return self._ask(f"/{PATHS[kind]}/namespaces/{namespace}/{kind}?{chosen}")

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait(10)
            if self._proxy.stdout is not None:
                self._proxy.stdout.close()
            self._proxy = None

    def _ask(self, path: str) -> Object | None:
        if self._proxy is None or self._proxy.poll() is not None:
            self._connect()
        try:
            with urllib.request.urlopen(self._address + path, timeout=SECONDS) as answer:
                found: Object = json.load(answer)
        except urllib.error.HTTPError as failure:
            with failure:
                if failure.code == 404:
                    return None
                raise NoAnswer(f"{path}: {failure.code} {failure.read().decode()}") from None
        except OSError as failure:
            raise NoAnswer(f"{path}: {failure}") from None
        return found

    def _connect(self) -> None:
        self.close()
        self._proxy = self._start("proxy", "--port=0", stdout=subprocess.PIPE)
        assert self._proxy.stdout is not None
        said = self._proxy.stdout.readline()
        port = re.search(r"127\.0\.0\.1:(\d+)", said)
        if port is None:
            raise NoAnswer(f"kubectl proxy: {said or 'it has ended'}")
        self._address = f"http://127.0.0.1:{port[1]}"
