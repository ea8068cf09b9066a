"""How a request is let in, as the routers need it; local.py and kubernetes.py are its two kinds.

What the caller may then do is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fastapi import Request

from flowjob_api.auth.callers import Caller
from flowjob_api.schemas.session import Session


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, and the Set-Cookie header that carries it."""

    session: Session
    cookie: str


class Door(Protocol):
    """All methods raise Refused."""

    async def caller(self, request: Request) -> Caller:
        """Who asks. UNAUTHENTICATED; CSRF for a write of a cookie's session without its token."""
        ...

    async def still(self, caller: Caller) -> bool:
        """Whether they are still who they were: asked again while they follow events."""
        ...

    async def session(self, request: Request) -> Session:
        """Never UNAUTHENTICATED: it says so itself."""
        ...

    async def log_in(self, request: Request, token: str) -> Opened: ...

    async def log_out(self, request: Request) -> str:
        """The Set-Cookie header that ends the session."""
        ...
