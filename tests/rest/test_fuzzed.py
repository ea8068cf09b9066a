"""Requests that nobody meant: made from OpenAPI and of noise, they never meet a fault of the service.

Seconds, and the same ones in every run of CI; OpenAPI itself says what may be sent where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob_api.settings import Settings
from tests.rest.local_world import Local, document, in_local

pytestmark = pytest.mark.slow

NOISE = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "..",
            "../..",
            "%2e%2e",
            "\r\nX: y",
            "a" * 3000,
            "null",
            "-1",
            "1e9",
            "\x00",
            "{}",
            "local",
            "orders",
        ]
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NOISE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NOISE, inner, max_size=3),
    max_leaves=6,
)
ROUTES = sorted(
    (method.upper(), path)
    for path, methods in document()["paths"].items()
    for method in methods
    if not path.endswith("/events")
)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = document()["components"]["schemas"][
            schema["$ref"].rsplit("/", 1)[-1]
        ]
        return found
    return schema


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, str], dict[str, str], bytes]:
    """Method, path, query, headers and body: each part as it should be, or not at all."""
    method, template = draw(st.sampled_from(ROUTES))
    operation = document()["paths"][template][method.lower()]
    right = {"namespace": "local", "name": "orders", "id": "3", "snapshot": "first"}
    path = template
    for name, value in right.items():
        chosen = value if draw(st.integers(0, 3)) else draw(NOISE)
        path = path.replace(f"{{{name}}}", chosen)
    names = [
        p["name"]
        for p in operation.get("parameters", ())
        if p["in"] == "query" and p["name"] != "follow"
    ]
    query = draw(st.dictionaries(st.sampled_from([*names, "x"]), NOISE, max_size=4))
    headers = draw(
        st.dictionaries(
            st.sampled_from(
                ["Idempotency-Key", "If-Match", "If-None-Match", "Cookie", "X-Request-Id", "Accept"]
            ),
            st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
            max_size=3,
        )
    )
    body = b""
    if "requestBody" in operation and draw(st.booleans()):
        schema = resolved(operation["requestBody"]["content"]["application/json"]["schema"])
        fields = draw(
            st.dictionaries(
                st.sampled_from([*schema.get("properties", {"x": 0}), "x"]), JSON, max_size=4
            )
        )
        body = json.dumps(fields).encode()
    elif draw(st.booleans()):
        body = draw(st.binary(max_size=50))
    return method, path, query, headers, body


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(requests(), min_size=3, max_size=8))
def test_no_request_meets_a_fault(
    made: list[tuple[str, str, dict[str, str], dict[str, str], bytes]],
) -> None:
    async def test(local: Local) -> None:
        for method, path, query, headers, body in made:
            kind = {"Content-Type": "application/json"} if body else {}
            answer = await local.http.request(
                method, _path(path), params=query, headers={**headers, **kind}, content=body
            )
            assert answer.status_code < 500, (method, path, query, headers, body, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"] != "INTERNAL"

    in_local(test, settings=Settings(writes_at_once=10_000))


def _path(path: str) -> str:
    """What a client can put on the wire: the rest is percent-encoded by it."""
    from urllib.parse import quote

    return quote(path, safe="/%")
