"""Tells a user's own requests from those that another web page has their browser send.

Pure checks of headers. Browsers send Origin with every write, and Host as the address bar has it."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from flowjob_api.problems import Refused

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(host: str) -> bool:
    """Of a host's name or address, without port."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_foreign_hosts(request: Request, allowed: tuple[str, ...]) -> None:
    """Raises Refused: a page whose name was rebound to this machine calls us by that name."""
    host = _host_of(request.headers.get("host", ""))
    if not (is_loopback(host) or host in allowed):
        raise Refused(
            "FORBIDDEN",
            "this service is called by a name that is not its own: use localhost, or start it with a token",
        )


def refuse_foreign_origins(request: Request) -> None:
    """Raises Refused: a write that another site's page has sent."""
    if request.method in SAFE:
        return
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Refused("CSRF", "another site's page has sent this request")
    if site not in (None, "same-origin", "none"):
        raise Refused("CSRF", "another site's page has sent this request")


def _host_of(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
