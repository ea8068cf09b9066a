"""The Kubernetes API as plain requests: status codes and messages as they are, without a client's help.

Knows where an API server is and who asks; nothing of our kinds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

Object = dict[str, Any]


class Refusal(Exception):
    """The API server said no. `fields` are those it names."""

    def __init__(self, status: int, body: Object) -> None:
        self.status = status
        self.message = str(body.get("message", ""))
        self.reason = str(body.get("reason", ""))
        causes = (body.get("details") or {}).get("causes") or []
        self.fields = [cause.get("field", "") for cause in causes]
        super().__init__(f"{status}: {self.message}")


@dataclass(frozen=True)
class Api:
    """As seen by whoever owns the token."""

    address: str
    certificates: Path
    token: str

    def get(self, path: str, *, accept: str = "application/json") -> Object:
        return self._request("GET", path, headers={"Accept": accept})

    def create(self, path: str, body: Object) -> Object:
        return self._request("POST", path, body)

    def replace(self, path: str, body: Object) -> Object:
        return self._request("PUT", path, body)

    def patch(self, path: str, body: Object) -> Object:
        return self._request("PATCH", path, body, {"Content-Type": MERGE})

    def apply(self, path: str, body: Object, *, manager: str, force: bool = False) -> Object:
        options = f"fieldManager={manager}" + ("&force=true" if force else "")
        return self._request("PATCH", f"{path}?{options}", body, {"Content-Type": APPLY})

    def delete(self, path: str) -> Object:
        return self._request("DELETE", path)

    def _request(
        self, method: str, path: str, body: Object | None = None, headers: Object | None = None
    ) -> Object:
        pool = urllib3.PoolManager(ca_certs=str(self.certificates), retries=False)
        with pool:
            answer = pool.request(
                method,
                self.address + path,
                body=None if body is None else json.dumps(body),
                headers={
                    "Authorization": f"Bearer {self.token}",
                    "Content-Type": "application/json",
                    **(headers or {}),
                },
                timeout=60,
            )
        try:
            found: Object = json.loads(answer.data)
        except ValueError:
            found = {"message": answer.data.decode(errors="replace")}
        if answer.status >= 400:
            raise Refusal(answer.status, found)
        return found
