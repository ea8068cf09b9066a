"""From an address and a token to a client. Nothing is sent before the first question.

A token goes over an encrypted connection, or to this machine: anything else is refused before it is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from flowjob.client.client import Client
from flowjob.client.clock import Clock
from flowjob.client.http_transport import HttpTransport, address_of
from flowjob.client.kubectl import Kubectl
from flowjob.client.retrying import Retries
from flowjob.client.service import Service
from flowjob.errors import BadRequest, NotAllowed

LOCAL = "http://127.0.0.1:8081"
"""Where `flowjob run --web` serves unless said."""


def connect(
    server: str | None = None,
    *,
    token: str | None = None,
    token_file: str | None = None,
    ca_file: str | None = None,
    retries: Retries = Retries(),  # noqa: B008 - it is frozen
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
) -> Client:
    """A client of the service at `server`, else FLOWJOB_SERVER, else on this machine.

    token_file  is read for each request: whoever writes it may renew the token
    ca_file     certificates to trust besides the system's; else FLOWJOB_CA_FILE

    The token is `token`, that in `token_file`, or FLOWJOB_TOKEN. Raises BadRequest for an address that is none, and for
    a token that would travel in the clear."""
    given = os.environ if environ is None else environ
    address = address_of(server or given.get("FLOWJOB_SERVER") or LOCAL)
    found = _token(token, token_file, given)
    if found is not None and not address.secure and not address.is_loopback:
        raise BadRequest(
            f"a token would go to {address.url} in the clear, for everybody on the way to read",
            next_step="Say https://, or leave the token out (FLOWJOB_TOKEN is set)"
            if token is None and token_file is None
            else "Say https://",
        )
    transport = HttpTransport(address, ca_file or given.get("FLOWJOB_CA_FILE"))
    return Client(
        Service(transport, address.url, found or (lambda: None), clock=clock, retries=retries)
    )


def connect_through(
    kubectl: Kubectl,
    service: str,
    *,
    token_file: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Client:
    """A client of the service NAMESPACE/NAME of a cluster, by a port that kubectl forwards. The token is that in
    `token_file`, FLOWJOB_TOKEN, or the one of the kubeconfig."""
    from flowjob.client.forwarding import ForwardedTransport, token_of

    found = _token(None, token_file, os.environ if environ is None else environ)
    transport = ForwardedTransport(kubectl, service)
    where = f"{service} of {kubectl.where}"
    return Client(Service(transport, where, found or _once(lambda: token_of(kubectl))))


def _once(ask: Callable[[], str]) -> Callable[[], str | None]:
    """Asks when it is wanted first: a plugin may take seconds."""
    kept: list[str] = []

    def token() -> str | None:
        if not kept:
            kept.append(ask())
        return kept[0]

    return token


def _token(
    said: str | None, file: str | None, environ: Mapping[str, str]
) -> Callable[[], str | None] | None:
    if file is not None:
        return lambda: read_token(file)
    value = _clean(said or environ.get("FLOWJOB_TOKEN") or "", "the token")
    return (lambda: value) if value else None


def read_token(path: str) -> str:
    """Raises NotAllowed."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise NotAllowed(f"the token in {path} cannot be read: {reason}") from None
    token = _clean(text, path)
    if not token:
        raise NotAllowed(f"{path} is empty")
    return token


def _clean(text: str, what: str) -> str:
    token = text.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise NotAllowed(f"{what} has characters in it that no token has")
    return token
