"""The door of a local job: nobody needs to log in on this machine, or everybody has the one token.

Without a token, requests that another web page has a browser send must be told from the user's own: by Host, which a
page elsewhere cannot choose when names are rebound, and by Origin, which browsers send with every write."""

from __future__ import annotations

import hmac
from importlib.metadata import version

from fastapi import Request

from flowjob_api.auth.callers import NOBODY, Caller
from flowjob_api.auth.door import Opened
from flowjob_api.auth.forgery import refuse_foreign_hosts, refuse_foreign_origins
from flowjob_api.auth.presenting import presented
from flowjob_api.auth.sessions import Sessions
from flowjob_api.problems import Refused
from flowjob_api.schemas.session import Session

USER = "local"


class LocalDoor:
    """A Door. `token` None: no login. `hosts`: by which names this service may be called, besides loopback's; empty:
    any, where there is a token."""

    def __init__(
        self, sessions: Sessions, token: str | None = None, hosts: tuple[str, ...] = ()
    ) -> None:
        self._sessions = sessions
        self._token = token
        self._hosts = hosts

    async def caller(self, request: Request) -> Caller:
        if self._token is None:
            refuse_foreign_hosts(request, self._hosts)
            refuse_foreign_origins(request)
            return NOBODY
        given = presented(request, self._sessions)
        if not self._is_right(given.token):
            raise Refused(
                "UNAUTHENTICATED",
                "this token is not the one that the service was started with",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return Caller(USER, via=given.via)

    def _is_right(self, token: str) -> bool:
        wanted = self._token or ""
        return hmac.compare_digest(token.encode(), wanted.encode())

    async def still(self, caller: Caller) -> bool:
        return True

    async def session(self, request: Request) -> Session:
        known = {"mode": "local", "version": version("flowjob")}
        if self._token is None:
            refuse_foreign_hosts(request, self._hosts)
            return Session(user=None, authentication="none", logged_in=True, **known)  # type: ignore[arg-type]
        opened = self._sessions.of(request)
        if opened is None or not self._is_right(opened.token):
            return Session(user=None, authentication="token", logged_in=False, **known)  # type: ignore[arg-type]
        return Session(
            user=USER,
            authentication="token",
            csrf_token=opened.csrf,
            expires_at=opened.expires_at,
            **known,  # type: ignore[arg-type]
        )

    async def log_in(self, request: Request, token: str) -> Opened:
        if self._token is None:
            raise Refused("UNSUPPORTED", "nobody needs to log in here")
        refuse_foreign_origins(request)
        if not self._is_right(token):
            raise Refused(
                "UNAUTHENTICATED", "this token is not the one that the service was started with"
            )
        opened, cookie = self._sessions.open(request, token)
        session = Session(
            user=USER,
            mode="local",
            authentication="token",
            csrf_token=opened.csrf,
            expires_at=opened.expires_at,
            version=version("flowjob"),
        )
        return Opened(session, cookie)

    async def log_out(self, request: Request) -> str:
        refuse_foreign_origins(request)
        return self._sessions.close(request)
