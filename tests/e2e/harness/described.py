"""A service known by its OpenAPI document alone, as somebody's script knows it: operations by id, addresses out of the
document, JSON in and out.

Imports nothing of flowjob, and knows no path but the document's."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tests.e2e.harness.waiting import wait_until

DOCUMENT = "/openapi.json"
ATTEMPTS = 5
"""Where the service says that it is to be asked again, or is not reached."""


class Refusal(AssertionError):
    """An answer that says no. `status` and `code` are the answer's."""

    def __init__(self, operation: str, answer: httpx.Response) -> None:
        self.status = answer.status_code
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        self.problem: dict[str, Any] = answer.json() if is_problem else {}
        self.code = self.problem.get("code")
        super().__init__(f"{operation}: {answer.status_code} {answer.text[:2000]}")


@dataclass(frozen=True)
class Place:
    """Where it is reached, the name that its certificate is for, and the authority that signed it."""

    address: tuple[str, int]
    name: str
    authority: str


class Described:
    """`token`: whose words these are; None: nobody's. Closed by `with`."""

    def __init__(self, place: Place, token: str | None) -> None:
        self._place = place
        context = ssl.create_default_context(cadata=place.authority)
        host, port = place.address
        headers = {"Host": place.name}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(
            base_url=f"https://{host}:{port}", verify=context, headers=headers, timeout=30.0
        )
        self._document: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._document = self.get(DOCUMENT).raise_for_status().json()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str) -> httpx.Response:
        """Whatever lies there: the page, and what it names."""
        return self._send("GET", path)

    def call(self, operation: str, body: Any = None, **parameters: Any) -> Any:
        """The answer's JSON. `parameters`: of path and query, by name. Raises Refusal, KeyError: no such operation."""
        method, path, described = self._operation(operation)
        known = {p["name"]: p["in"] for p in described.get("parameters", ())}
        if unknown := parameters.keys() - known.keys():
            raise KeyError(f"{operation} has no parameter {', '.join(sorted(unknown))}")
        query = {k: v for k, v in parameters.items() if known[k] == "query"}
        headers = {k: str(v) for k, v in parameters.items() if known[k] == "header"}

        def value(found: re.Match[str]) -> str:
            return quote(str(parameters[found[1]]), safe="")

        address = re.sub(r"\{([^}]+)\}", value, path)
        answer = self._send(method.upper(), address, params=query, json=body, headers=headers)
        if str(answer.status_code) not in described["responses"]:
            raise AssertionError(f"{operation} answers what it does not tell: {answer!r}")
        if answer.is_error:
            raise Refusal(operation, answer)
        return answer.json() if answer.content else None

    def done(self, begun: Mapping[str, Any], *, within: float = 120.0) -> dict[str, Any]:
        """What was begun, when it is over. Raises AssertionError when it has failed."""
        seen: list[dict[str, Any]] = [dict(begun)]

        def is_over() -> bool:
            seen[0] = self.call("get_operation", id=begun["id"])
            return seen[0]["state"] in ("Done", "Failed")

        wait_until(f"{begun['kind']} is over", is_over, within=within, explain=lambda: str(seen[0]))
        if seen[0]["state"] == "Failed":
            raise AssertionError(f"{begun['kind']} has failed: {seen[0]['error']}")
        return seen[0]

    def _operation(self, wanted: str) -> tuple[str, str, dict[str, Any]]:
        for path, methods in self._document["paths"].items():
            for method, described in methods.items():
                if described.get("operationId") == wanted:
                    return method, path, described
        raise KeyError(f"the document has no operation {wanted}")

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        extensions = {"sni_hostname": self._place.name}

        def ask() -> httpx.Response:
            return self._client.request(method, path, extensions=extensions, **more)

        return _patiently(ask, again=method == "GET")


def _patiently(ask: Callable[[], httpx.Response], *, again: bool) -> httpx.Response:
    for attempt in range(ATTEMPTS):
        last = attempt + 1 == ATTEMPTS
        try:
            answer = ask()
        except httpx.TransportError:
            if last or not again:
                raise
        else:
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or last:
                return answer
        time.sleep(0.5)
    raise AssertionError("not reached")


def answers(address: tuple[str, int], *, within: float = 2.0) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(address, timeout=within).close()
    except OSError:
        return False
    return True
