"""HTTP by the standard library: one kept connection for short answers, one of its own for each stream.

Why not httpx: importing it takes longer than most commands. Redirects are not followed, because a token must not go
where nobody has sent it. It must not know jobs, retries or JSON."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from flowjob.client.transport import LONGEST_ANSWER, Answer, Request
from flowjob.errors import BadRequest

LOOPBACK = ("127.0.0.1", "::1", "localhost")

LONGEST_LINE = 8 << 20
"""Bytes of a line of a stream."""


@dataclass(frozen=True, slots=True)
class Address:
    """Of a server. `base`: the path that it is served under, without a slash at its end."""

    host: str
    port: int
    secure: bool
    base: str = ""

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.base}"


def address_of(url: str) -> Address:
    """`https://host[:port][/path]`; http unless said. Raises BadRequest."""
    text = url if "://" in url else f"http://{url}"
    step = "Write it as https://host:port, or http://127.0.0.1:8081"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadRequest(f"`{url}` is no address of a service: {error}", next_step=step) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f"`{url}` is no address of a service", next_step=step)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadRequest(
            f"the address {parts.scheme}://{parts.hostname} has more in it than a host, a port and a path",
            next_step="A token is given in FLOWJOB_TOKEN or --token-file, never in the address",
        )
    secure = parts.scheme == "https"
    return Address(parts.hostname, port or (443 if secure else 80), secure, parts.path.rstrip("/"))


class HttpTransport:
    """Connects when the first request is sent. `ca_file`: whom to trust besides the system's authorities."""

    def __init__(self, address: Address, ca_file: str | None = None) -> None:
        self._address = address
        self._ca_file = ca_file
        self._kept: http.client.HTTPConnection | None = None
        self._context: ssl.SSLContext | None = None

    def send(self, request: Request) -> Answer:
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                return self._ask(kept, request)
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                kept.close()  # the server has ended it meanwhile: no fault of this request
        return self._ask(self._connect(request.timeout), request)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _ask(self, connection: http.client.HTTPConnection, request: Request) -> Answer:
        connection.timeout = request.timeout
        if connection.sock is not None:
            connection.sock.settimeout(request.timeout)
        try:
            connection.request(
                request.method,
                self._address.base + request.path,
                body=request.body,
                headers=dict(request.headers),
            )
            return _HttpAnswer(self, connection, connection.getresponse())
        except http.client.HTTPException as error:
            connection.close()
            if isinstance(error, ConnectionError):
                raise
            raise ConnectionError(f"what answers speaks no HTTP ({error!r})") from None
        except BaseException:
            connection.close()
            raise

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """For the next request: an answer was read to its end."""
        if self._kept is None and connection.sock is not None:
            self._kept = connection
        else:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        address = self._address
        tunnel = None if address.is_loopback else proxy_of(address)
        host, port = (address.host, address.port) if tunnel is None else tunnel
        if not address.secure:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=self._trust()
            )
        if tunnel is not None:
            connection.set_tunnel(address.host, address.port)
        return connection

    def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
            if self._ca_file is not None:
                try:
                    self._context.load_verify_locations(self._ca_file)
                except (OSError, ssl.SSLError) as error:
                    raise BadRequest(
                        f"the certificates in {self._ca_file} cannot be used: {error}",
                        next_step="--ca-file is a file of certificates in PEM",
                    ) from None
        return self._context


def proxy_of(address: Address) -> tuple[str, int] | None:
    """Host and port of the proxy that the environment names for it (HTTPS_PROXY, NO_PROXY), or None."""
    from urllib.request import getproxies, proxy_bypass

    named = getproxies().get("https" if address.secure else "http")
    if not named or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    parts = urlsplit(named if "://" in named else f"http://{named}")
    return (parts.hostname, parts.port or 80) if parts.hostname else None


class _HttpAnswer:
    """See transport.Answer."""

    def __init__(
        self,
        transport: HttpTransport,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._response = response
        self._is_kept = False
        self.status = response.status
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in response.getheaders()}

    def read(self) -> bytes:
        try:
            body = self._response.read(LONGEST_ANSWER + 1)
            whole = len(body) <= LONGEST_ANSWER and not self._response.read(1)
        except http.client.HTTPException as error:
            self.close()
            raise ConnectionError(f"the answer broke off ({error!r})") from None
        if whole and self._response.length:
            self.close()
            raise ConnectionError("the answer broke off")
        if not whole:
            self.close()
            raise ValueError(f"the answer is longer than {LONGEST_ANSWER >> 20} MB")
        if not self._response.will_close:
            self._is_kept = True
            self._transport.keep(self._connection)
        return body

    def lines(self) -> Iterator[str]:
        try:
            while line := self._response.readline(LONGEST_LINE):
                yield line.rstrip(b"\r\n").decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise ConnectionError(f"the stream broke off ({error!r})") from None

    def close(self) -> None:
        self._response.close()
        if not self._is_kept:
            self._connection.close()
