"""Every answer has the schema that OpenAPI gives it, with every field; and the models are those of the engine."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest

from flowjob.cluster import job_figures, job_history
from flowjob.cluster.job_details import Configuration, DetailsError, Plan
from flowjob_api.schemas import graph, history
from flowjob_api.schemas.model import Answer
from tests.rest.local_world import JOB, Local, check, document, in_local
from tests.rest.samples import sample

ANSWERS = {
    "/api/v1/jobs": "JobList", JOB: "Job", f"{JOB}/graph?subtasks=true": "Graph", f"{JOB}/tasks": "Tasks",
    f"{JOB}/checkpoints": "Checkpoints", f"{JOB}/checkpoints/3": "CheckpointDetail", f"{JOB}/snapshots": "Snapshots",
    f"{JOB}/exceptions": "Exceptions", f"{JOB}/metrics?vertex=-1&names=busy,lag": "Metrics", f"{JOB}/logs": "Logs",
    f"{JOB}/configuration": "Configuration", f"{JOB}/plan": "Plan", "/api/v1/session": "Session",
}  # fmt: skip
STRUCTS = [
    s
    for module in (job_figures, job_history)
    for s in vars(module).values()
    if isinstance(s, type) and issubclass(s, msgspec.Struct) and s is not job_figures.Data
    and s.__name__ not in ("Changes",)
] + [Configuration, Plan]  # fmt: skip


def test_every_answer_has_its_schema_and_every_field() -> None:
    async def test(local: Local) -> None:
        for path, name in ANSWERS.items():
            answer = await local.http.get(path)
            assert answer.status_code == 200, (path, answer.text)
            found = answer.json()
            check(found, name)
            assert set(found) == set(document()["components"]["schemas"][name]["properties"]), path

    in_local(test)


@pytest.mark.parametrize(
    "struct", sorted(set(STRUCTS), key=lambda s: s.__name__), ids=lambda s: s.__name__
)
def test_models_have_the_fields_of_what_job_managers_answer(struct: Any) -> None:
    model: type[Answer] = getattr(graph, struct.__name__, None) or getattr(history, struct.__name__)
    own = {"phase", "error", "in_use"} if struct.__name__ == "SnapshotFacts" else set()
    assert set(model.model_fields) - own == set(struct.__struct_fields__)
    full = sample(struct)
    loaded = model.model_validate(msgspec.to_builtins(full))
    for name in struct.__struct_fields__:
        value = getattr(full, name)
        if not isinstance(value, msgspec.Struct | list | dict):
            assert getattr(loaded, name) == value


def test_every_path_is_described_with_an_example_for_each_body() -> None:
    schemas = document()["components"]["schemas"]
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            body = operation.get("requestBody")
            if body:
                (reference,) = _references(body["content"]["application/json"]["schema"])
                (example,) = schemas[reference]["examples"]
                schema = {
                    "$ref": f"#/components/schemas/{reference}",
                    "components": {"schemas": schemas},
                }
                jsonschema.Draft202012Validator(schema).validate(example)


def _references(schema: dict[str, Any]) -> list[str]:
    found = [schema.get("$ref", "")] + [part.get("$ref", "") for part in schema.get("anyOf", ())]
    return [ref.rsplit("/", 1)[-1] for ref in found if ref]


def test_every_refusal_is_a_problem_that_says_what_to_do() -> None:
    cases = [
        ("GET", "/nothing", 404, "NOT_FOUND"), ("GET", "/api/v1/jobs/", 404, "NOT_FOUND"),
        ("PUT", "/api/v1/jobs", 405, "METHOD_NOT_ALLOWED"), ("BREW", "/api/v1/jobs", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/v1/jobs?limit=0", 422, "INVALID"), ("GET", "/api/v1/jobs?state=Good", 422, "INVALID"),
        ("GET", "/api/v1/jobs?continue=%00", 422, "INVALID"), ("GET", "/api/v1/jobs?continue=W10=", 422, "INVALID"),
        ("GET", "/api/v1/jobs/local/other", 404, "NOT_FOUND"), ("GET", "/api/v1/jobs/LOCAL/orders", 422, "INVALID"),
        ("GET", f"{JOB}/checkpoints/101", 404, "NOT_FOUND"), ("GET", f"{JOB}/checkpoints/-1", 422, "INVALID"),
        ("GET", f"{JOB}/checkpoints/1e3", 422, "INVALID"), ("GET", f"{JOB}/metrics?names=x", 422, "INVALID"),
        ("GET", f"{JOB}/logs?level=LOUD", 422, "INVALID"), ("GET", f"{JOB}/events?topics=x", 422, "INVALID"),
        ("GET", "/api/v1/operations/none", 404, "NOT_FOUND"), ("POST", f"{JOB}/scale", 422, "INVALID"),
        ("POST", f"{JOB}/upgrade", 422, "INVALID"), ("POST", f"{JOB}/resume", 409, "NOT_NOW"),
    ]  # fmt: skip

    async def test(local: Local) -> None:
        for method, path, status, code in cases:
            answer = await local.http.request(method, path)
            found = answer.json()
            assert (answer.status_code, found["code"]) == (status, code), (method, path, found)
            assert answer.headers["content-type"] == "application/problem+json"
            check(found, "Problem")
            assert found["detail"]

    in_local(test)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "BAD_REQUEST"), (b"[]", 422, "INVALID"), (b'{"parallelism": 0}', 422, "INVALID"),
        (b'{"parallelism": "4"}', 202, ""), (b'{"parallelism": 1e999}', 422, "INVALID"),
        (b'{"parallelism": 2, "paralelism": 3}', 422, "INVALID"), (b"\xff\xfe", 400, "BAD_REQUEST"),
        (b'{"parallelism": ' + b"9" * 5000 + b"}", 400, "BAD_REQUEST"), (b"[" * 100_000, 400, "BAD_REQUEST"),
        (b'"' + b"x" * 300_000 + b'"', 413, "TOO_LARGE"),
    ],
    ids=range(10),
)  # fmt: skip
def test_hostile_bodies_are_refused_without_effect(body: bytes, status: int, code: str) -> None:
    async def test(local: Local) -> None:
        headers = {"Content-Type": "application/json"}
        answer = await local.http.post(f"{JOB}/scale", content=body, headers=headers)
        assert (answer.status_code, answer.json().get("code", "")) == (status, code)
        assert len(local.live.operations.requests) == (1 if status == 202 else 0)

    in_local(test)


def test_bodies_are_json_and_nothing_else() -> None:
    async def test(local: Local) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            answer = await local.http.post(
                f"{JOB}/cancel", content=b"{}", headers={"Content-Type": kind}
            )
            assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert local.live.operations.requests == {}

    in_local(test)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("UNREACHABLE", 503),
        ("NOT_LEADING", 503),
        ("STORAGE", 503),
        ("UNKNOWN", 404),
        ("BAD_REQUEST", 422),
    ],
)
def test_what_a_job_manager_refuses_is_a_problem_too(code: str, status: int) -> None:
    async def test(local: Local) -> None:
        facts = local.live.details.facts
        local.live.details.fails = DetailsError(code, "why")
        local.live.details.job = lambda: _facts(facts)  # type: ignore[method-assign]
        answer = await local.http.get(f"{JOB}/graph")
        assert answer.status_code == status
        check(answer.json(), "Problem")

    in_local(test)


async def _facts(facts: Any) -> Any:
    return facts


def test_what_has_not_changed_is_not_sent_again() -> None:
    async def test(local: Local) -> None:
        first = await local.http.get(f"{JOB}/graph")
        again = await local.http.get(
            f"{JOB}/graph", headers={"If-None-Match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        other = await local.http.get(f"{JOB}/graph", headers={"If-None-Match": 'W/"x"'})
        assert other.status_code == 200

    in_local(test)


def test_answers_tell_browsers_to_trust_nothing_but_this_service() -> None:
    async def test(local: Local) -> None:
        for path in ("/api/v1/jobs", "/nothing", "/metrics"):
            headers = (
                await local.http.get(path, headers={"Origin": "https://evil.example"})
            ).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "access-control-allow-origin" not in headers
            assert headers["x-request-id"]
        injected = await local.http.get("/healthz", headers={"X-Request-Id": "a b<script>"})
        assert "<" not in injected.headers["x-request-id"]

    in_local(test)


def test_metrics_of_the_service_have_routes_and_no_paths() -> None:
    async def test(local: Local) -> None:
        for path in ("/api/v1/jobs", f"{JOB}/graph", "/nothing/secret", "/api/v1/jobs/local/other"):
            await local.http.get(path)
        text = (await local.http.get("/metrics")).text
        assert "secret" not in text
        assert "orders" not in text
        assert 'flowjob_api_requests_total{method="GET",route="other",status="404"} 1.0' in text

    in_local(test)
