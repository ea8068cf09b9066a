"""What a request shows: a bearer token, or a cookie of a session with the token against forged writes.

Whether the token is worth anything is the doors' business."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final, Literal

from fastapi import Request

from flowjob_api.auth.forgery import SAFE, refuse_foreign_origins
from flowjob_api.auth.sessions import Sessions
from flowjob_api.problems import Refused

CSRF_HEADER: Final = "x-csrf-token"
LONGEST_TOKEN: Final = 16_384


@dataclass(frozen=True, slots=True)
class Presented:
    """A token, and how it came."""

    token: str = field(repr=False)
    via: Literal["token", "cookie"]


def presented(request: Request, sessions: Sessions) -> Presented:
    """Raises Refused: UNAUTHENTICATED without either, CSRF."""
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or not _may_be_one(token):
            raise _nobody("the Authorization header has to be `Bearer <token>`")
        return Presented(token, "token")
    opened = sessions.of(request)
    if opened is None:
        raise _nobody("send a token: `Authorization: Bearer <token>`, or log in")
    if request.method not in SAFE:
        refuse_foreign_origins(request)
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), opened.csrf.encode()):
            raise Refused("CSRF", "send the session's csrfToken as X-CSRF-Token")
    return Presented(opened.token, "cookie")


def _may_be_one(token: str) -> bool:
    """What goes into a header to others must not carry a header of its own."""
    return (
        len(token) <= LONGEST_TOKEN and token.isascii() and token.isprintable() and " " not in token
    )


def _nobody(detail: str) -> Refused:
    return Refused("UNAUTHENTICATED", detail, headers={"WWW-Authenticate": "Bearer"})
