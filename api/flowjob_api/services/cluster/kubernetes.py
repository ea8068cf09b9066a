"""The Kubernetes API over HTTPS: as this service, or as whoever asks, with their own token and none of ours.

Bounds how many requests are under way and how long each may take. Knows no kinds; does not try again."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from flowjob_api.clock import Clock
from flowjob_api.service_metrics import ServiceMetrics

Object = dict[str, Any]

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
TOKEN_SECONDS: Final = 60.0
LONGEST: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the API server is, and who this service is there. `token_file` is read again: tokens are rotated."""

    server: str
    ca_file: Path | None = None
    token_file: Path | None = None
    seconds: float = 10.0
    requests: int = 64


class ApiError(Exception):
    """The server has answered, and not with what was asked for."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.reason = str(body.get("reason") or "")
        self.message = str(body.get("message") or "")
        details = body.get("details") or {}
        self.causes: list[Mapping[str, Any]] = list(details.get("causes") or [])
        super().__init__(f"{status} {self.reason}: {self.message}")


class Unreachable(Exception):
    """No answer, or none in time. Whether the request was done is not known."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `token`: of whoever asks; None: this service's own."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Object | None = None
    content: str = JSON
    token: str | None = None


class Kubernetes:
    """Use it as an async context manager."""

    def __init__(self, place: Place, clock: Clock, metrics: ServiceMetrics) -> None:
        self._place = place
        self._clock = clock
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self._read_at: float | None = None

    async def __aenter__(self) -> Self:
        secure = self._place.server.startswith("https:")
        context: ssl.SSLContext | bool = False
        if secure:
            file = self._place.ca_file
            context = ssl.create_default_context(cafile=None if file is None else str(file))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._place.requests, ssl=context, keepalive_timeout=60
            ),
            headers={"User-Agent": "flowjob-api", "Accept": JSON},
            # Whoever is asked by their own token must not be answered by the cookies of somebody else.
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, call: Call) -> Object:
        """Raises ApiError, Unreachable."""
        began = self._clock.monotonic()
        result = "silent"
        try:
            async with self._request(
                call, aiohttp.ClientTimeout(total=self._place.seconds)
            ) as answer:
                data = await answer.read()
                result = "ok" if answer.status < 400 else str(answer.status)
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"Kubernetes does not answer: {type(error).__name__}") from None
        finally:
            took = self._clock.monotonic() - began
            self._metrics.upstream.labels("kubernetes", result).observe(took)
        if status == 401 and call.token is None:
            self._read_at = None
        found = _decoded(data)
        if status >= 400:
            raise ApiError(status, found)
        return found

    async def lines(self, call: Call) -> AsyncIterator[Object]:
        """Of a watch, until the server ends it. Raises ApiError, Unreachable."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._place.seconds, sock_read=330)
        try:
            async with self._request(call, timeout) as answer:
                if answer.status >= 400:
                    raise ApiError(answer.status, _decoded(await answer.read()))
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > LONGEST:
                        raise Unreachable("Kubernetes sends a line without an end")
                    for line in lines:
                        if line:
                            yield _decoded(line)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"Kubernetes does not answer: {type(error).__name__}") from None

    def _request(self, call: Call, timeout: aiohttp.ClientTimeout) -> Any:
        if self._session is None:
            raise RuntimeError("not opened: use `async with`")
        token = self._own_token() if call.token is None else call.token
        headers = {"Content-Type": call.content}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        query = f"?{urlencode(call.query)}" if call.query else ""
        return self._session.request(
            call.method,
            URL(self._place.server + call.path + query, encoded=True),
            data=None if call.body is None else _payload(call),
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        )

    def _own_token(self) -> str:
        file, now = self._place.token_file, self._clock.monotonic()
        if file is not None and (self._read_at is None or now - self._read_at > TOKEN_SECONDS):
            try:
                self._token = file.read_text().strip()
                self._read_at = now
            except OSError as error:
                if not self._token:
                    raise Unreachable(
                        f"the service's own token cannot be read: {error.strerror}"
                    ) from None
        return self._token


def _payload(call: Call) -> aiohttp.BytesPayload:
    # Made here: the client would look for who can make one, which takes longer than all else that it does.
    return aiohttp.BytesPayload(msgspec.json.encode(call.body), content_type=call.content)


def _decoded(data: bytes) -> Object:
    """What is not JSON comes from something before the API server, and is a message at best."""
    try:
        found: Any = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return {"message": data[:300].decode(errors="replace")}
    return found if isinstance(found, dict) else {"message": str(found)[:300]}
