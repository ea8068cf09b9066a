"""Completes OpenAPI: problems, how callers show who they are, and what every model of a problem is called.

FastAPI writes most of it; what it cannot know is added once, when the document is first asked for."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from flowjob_api.schemas.history import Change, LogLine
from flowjob_api.schemas.problems import FieldProblem, Problem

SECURITY: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of Kubernetes, or the local one",
    },
    "cookie": {"type": "apiKey", "in": "cookie", "name": "flowjob_session"},
}
EXTRA: Final = (Problem, FieldProblem, LogLine, Change)
OPEN: Final = ("/healthz", "/readyz", "/metrics", "/api/v1/session")


def operation_id(route: APIRoute) -> str:
    """What scripts and generators call it: without the path, which may come to lie elsewhere."""
    return route.name


def install(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(app: FastAPI) -> dict[str, Any]:
    found: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        separate_input_output_schemas=True,
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in EXTRA:
        schema = model.model_json_schema(
            mode="serialization", ref_template="#/components/schemas/{model}"
        )
        for name, part in schema.pop("$defs", {}).items():
            schemas.setdefault(name, part)
        schemas.setdefault(model.__name__, schema)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = dict(SECURITY)
    for path, methods in found["paths"].items():
        for operation in methods.values():
            operation["security"] = [] if path in OPEN else [{"bearer": []}, {"cookie": []}, {}]
    return found
