"""Errors as application/problem+json, whoever raises them: services, validation, routing, and what nobody foresaw.

An answer says what, where and what to do; never a stack, a token or an address. docs/rest.md lists the codes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from flowjob.cluster.job_details import DetailsError
from flowjob_api.schemas.problems import FieldProblem, Problem

_log = logging.getLogger("flowjob.api")

MEDIA: Final = "application/problem+json"

CODES: Final = {
    "BAD_REQUEST": (400, "The request cannot be read."),
    "INVALID": (422, "A field of the request is not what it may be; `errors` says which."),
    "UNAUTHENTICATED": (401, "No token, or one that is not known (any more)."),
    "CSRF": (403, "A request of a cookie's session has no X-CSRF-Token, or a wrong one."),
    "FORBIDDEN": (403, "You may not do that."),
    "NOT_FOUND": (404, "There is no such thing, or you may not see it."),
    "METHOD_NOT_ALLOWED": (405, "That cannot be done there; the header Allow says what can."),
    "NOT_ACCEPTABLE": (406, "The answer is of another type than the one asked for."),
    "CONFLICT": (409, "The job has changed meanwhile: look again, and ask again."),
    "FIELD_OWNED": (409, "A field belongs to another manager, such as git; `errors` names both."),
    "EXISTS": (409, "There is one of that name already."),
    "KEY_REUSED": (409, "That Idempotency-Key is another request's."),
    "NOT_NOW": (409, "The job is not in a state in which that can be asked of it."),
    "UNSUPPORTED": (409, "That cannot be asked of this job; `detail` says of which it can."),
    "IN_USE": (409, "A job needs the snapshot to go on."),
    "PRECONDITION_FAILED": (412, "The job is not at the version that If-Match names."),
    "TOO_LARGE": (413, "The body is longer than is taken."),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Bodies are application/json."),
    "TOO_MANY": (429, "Too many requests of this kind; the header Retry-After says when to come again."),
    "INTERNAL": (500, "A fault of this service; its log has it under the X-Request-Id."),
    "UNREACHABLE": (503, "The JobManager, its storage or Kubernetes does not answer now."),
    "BUSY": (503, "More is asked at once than can be served; the header Retry-After says when to come again."),
    "SLOW": (408, "The request did not arrive in time."),
}  # fmt: skip
"""Every code, with its status and what it means."""

_OF_STATUS: Final = {
    400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE", 408: "SLOW", 409: "CONFLICT", 412: "PRECONDITION_FAILED", 413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE", 422: "INVALID", 429: "TOO_MANY", 503: "UNREACHABLE",
}  # fmt: skip

_OF_DETAILS: Final = {
    "UNKNOWN": "NOT_FOUND", "BAD_REQUEST": "INVALID", "CONFLICT": "KEY_REUSED",
    "NOT_LEADING": "UNREACHABLE", "STORAGE": "UNREACHABLE", "UNREACHABLE": "UNREACHABLE",
}  # fmt: skip


class Refused(Exception):
    """Becomes a problem. `code` is one of CODES."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        return CODES[self.code][0]


def response_of(refused: Refused, instance: str = "") -> Response:
    """`instance`: the path that was asked for."""
    problem = Problem(
        title=HTTPStatus(refused.status).phrase,
        status=refused.status,
        detail=refused.detail,
        code=refused.code,
        instance=instance[:2000],
        errors=refused.errors,
    )
    body = msgspec.json.encode(problem.model_dump(mode="json", by_alias=True))
    return Response(body, refused.status, headers=refused.headers, media_type=MEDIA)


def of_details(error: DetailsError) -> Refused:
    """What a JobManager refuses, in this service's words."""
    return Refused(_OF_DETAILS.get(error.code, "UNREACHABLE"), error.text)


def install(app: FastAPI) -> None:
    """From here on every error of the application is a problem."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return response_of(error, request.url.path)

    async def details(request: Request, error: Exception) -> Response:
        assert isinstance(error, DetailsError)
        return response_of(of_details(error), request.url.path)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return response_of(_invalid(error), request.url.path)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return response_of(_of_http(error, request), request.url.path)

    async def unforeseen(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        problem = Refused("INTERNAL", "this service has failed; its log says more")
        return response_of(problem, request.url.path)

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(DetailsError, details)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(Exception, unforeseen)


def _invalid(error: RequestValidationError) -> Refused:
    found = [
        FieldProblem(field=_place(e["loc"]), message=str(e["msg"])[:500])
        for e in error.errors()[:32]
    ]
    unreadable = any(e["type"] == "json_invalid" for e in error.errors())
    if unreadable:
        return Refused("BAD_REQUEST", "the body is no JSON", errors=found)
    where = f": {found[0].field}: {found[0].message}" if found else ""
    return Refused("INVALID", f"the request is not what it may be{where}", errors=found)


def _place(loc: Sequence[Any]) -> str:
    return ".".join(str(part)[:100] for part in loc)


def _of_http(error: HTTPException, request: Request) -> Refused:
    code = _OF_STATUS.get(
        error.status_code, "BAD_REQUEST" if error.status_code < 500 else "INTERNAL"
    )
    texts = {
        404: "there is nothing at this path",
        405: f"{request.method} is not possible here",
    }
    detail = texts.get(error.status_code, str(error.detail))
    return Refused(code, detail, headers=error.headers)
