"""Who asks, and a browser's login.

The token that is sent is exchanged for a cookie that scripts of the page cannot read; what they can is the token
against forged requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowjob_api.schemas.model import Answer, Time, Wish, example


class Login(Wish):
    """A bearer token, to be exchanged for a cookie."""

    model_config = example(token="eyJ…")
    token: Annotated[str, Field(min_length=1, max_length=16_384)]


class Session(Answer):
    """Who you are, and what this service is."""

    model_config = example(
        user="jane@example.com", groups=["shop"], mode="cluster", authentication="token", loggedIn=True,
        csrfToken="8c1f…", expiresAt="2026-03-01T20:00:00.000Z", version="0.1.0",
    )  # fmt: skip
    user: str | None
    """Null: nobody has logged in."""
    groups: list[str] = []
    mode: Literal["local", "cluster"]
    authentication: Literal["none", "token"]
    """none: whoever reaches this address may do everything, so it is one of this machine."""
    logged_in: bool = True
    csrf_token: str | None = None
    """To be sent as X-CSRF-Token with every request of a cookie's session that changes something."""
    expires_at: Time | None = None
    version: str = ""
    """Of the service."""
