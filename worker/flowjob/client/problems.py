"""From an answer that is a refusal to its exception: problem+json, or whatever a proxy has put there. Pure.

What to do next is said here where the service does not say it. It must not know which request it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from flowjob.errors import (
    BadRequest,
    Conflict,
    NotAllowed,
    NotFound,
    ServiceError,
    ServiceUnreachable,
)

LONGEST_TEXT = 2000
"""Characters shown of what is no problem+json."""


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field of a request."""

    field: str = ""
    message: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """RFC 9457, and what our service adds."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    instance: str = ""
    code: str = ""
    next_step: str = ""
    errors: list[FieldProblem] = []


def problem_of(status: int, headers: Mapping[str, str], body: bytes) -> Problem:
    """Of any answer that is no success; never raises."""
    if "json" in headers.get("content-type", ""):
        try:
            found = msgspec.json.decode(body, type=Problem, strict=False)
            if found.title or found.detail:
                return msgspec.structs.replace(found, status=status)
        except (msgspec.ValidationError, msgspec.DecodeError):
            guessed = _guessed(body)
            if guessed is not None:
                return msgspec.structs.replace(guessed, status=status)
    shown = "" if "html" in headers.get("content-type", "") else body.decode("utf-8", "replace")
    return Problem(status=status, title=f"HTTP {status}", detail=shown.strip()[:LONGEST_TEXT])


def _guessed(body: bytes) -> Problem | None:
    """Of JSON in which some field is of another type than ours: its words, at least."""
    try:
        given: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    if not isinstance(given, dict):
        return None
    words = {n: given[n] for n in ("title", "detail", "code") if isinstance(given.get(n), str)}
    return Problem(**words) if words else None


def error_of(problem: Problem, where: str) -> ServiceError:
    """The exception. `where`: the address of the service, for people."""
    said = problem.detail or problem.title or f"HTTP {problem.status}"
    if problem.errors:
        fields = "; ".join(
            f"{e.field}: {e.message}" if e.field else e.message for e in problem.errors
        )
        said = f"{said}: {fields}" if fields not in said else said
    kind, step = _kind(problem.status)
    step = NEXT_STEPS.get(problem.code, step)
    if not 400 <= problem.status < 500 and problem.code == "":
        said = f"{where} answered {problem.status}: {said}"
    return kind(
        said, status=problem.status, reason=problem.code, next_step=problem.next_step or step
    )


NEXT_STEPS = {
    "UNSUPPORTED": "",
    "FIELD_OWNED": "Change it there; or say --force, and have it leave that field alone",
    "NOT_NOW": "`flowjob status` says what it is doing",
    "EXISTS": "Choose another name",
    "KEY_REUSED": "Give another key, or none",
    "IN_USE": "It can go when the job has a newer one: flowjob snapshot take",
    "TOO_MANY": "Ask more slowly",
}
"""By the service's own codes, where the status alone says too little."""

_LOOK = "`flowjob jobs` lists what there is; another namespace is said with -n"
_TOKEN = "Give a token in FLOWJOB_TOKEN or --token-file"
_ROLE = "Ask for a role in that namespace that allows it"
_AGAIN = "Look at it with `flowjob status`, and ask again"


def _kind(status: int) -> tuple[type[ServiceError], str]:
    match status:
        case 401:
            return NotAllowed, _TOKEN
        case 403:
            return NotAllowed, _ROLE
        case 404 | 410:
            return NotFound, _LOOK
        case 409 | 412 | 428:
            return Conflict, _AGAIN
        case 408 | 429 | 502 | 503 | 504:
            return ServiceUnreachable, "Try again later; `flowjob doctor` says what is in the way"
        case _ if 400 <= status < 500:
            return BadRequest, ""
        case _ if 300 <= status < 400:
            return ServiceError, "Say the address that is meant: redirects are not followed"
        case _:
            return ServiceError, "Its log says why"
