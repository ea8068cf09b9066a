"""One request of the service, made to succeed: headers, deadline, tries, JSON, streams that are opened again.

What is asked of it is client.py's. It must not know jobs, only paths and types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from flowjob.client.clock import Clock, RealClock
from flowjob.client.event_stream import ServerEvent, events
from flowjob.client.problems import error_of, problem_of
from flowjob.client.retrying import PASSING, Retries
from flowjob.client.transport import Answer, Request, Transport
from flowjob.errors import BadRequest, ServiceError, ServiceUnreachable

T = TypeVar("T")

QUIET = 45.0
"""Seconds of a stream without a sign of life: the service gives one every 15."""

LIVED = 10.0
"""Seconds behind which a stream that breaks is no failure of opening it."""

Token = Callable[[], str | None]
"""The caller's token now: it may be renewed in its file."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `key`: of a write, so that it is done once however often it is sent. `etag`: only if the job is still
    as it was then. `deadline`: seconds for all tries."""

    method: str
    path: str
    query: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    body: Any = None
    key: str | None = None
    etag: str | None = None
    deadline: float = 30.0

    @property
    def target(self) -> str:
        given = {n: _text(v) for n, v in self.query.items() if v is not None}
        return f"{self.path}?{urlencode(given)}" if given else self.path


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Reply:
    """A success, decoded or not."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Service:
    """`where`: the address, for people."""

    def __init__(
        self,
        transport: Transport,
        where: str,
        token: Token = lambda: None,
        *,
        clock: Clock | None = None,
        retries: Retries = Retries(),  # noqa: B008 - it is frozen
    ) -> None:
        self.where = where
        self.clock: Clock = RealClock() if clock is None else clock
        self._transport = transport
        self._token = token
        self._retries = retries

    def close(self) -> None:
        self._transport.close()

    def json(self, call: Call, type: type[T]) -> T:
        """The answer as `type`. Raises ServiceError and its kin."""
        return self._decoded(self.send(call).body, type)

    def send(self, call: Call) -> Reply:
        """Any answer that is a success, after as many tries as the deadline allows."""
        until = self.clock.now() + call.deadline
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = self._once(call, max(0.1, until - self.clock.now()))
                if reply.status < 300:
                    return reply
                error = error_of(problem_of(reply.status, reply.headers, reply.body), self.where)
                passing, said = reply.status in PASSING, reply.headers.get("retry-after")
            except OSError as problem:
                error, passing, said = self._unreachable(problem), not _is_final(problem), None
            pause = self._retries.pause(attempt, self.clock.chance(), said) if passing else None
            if pause is None or self.clock.now() + pause >= until:
                raise error
            self.clock.sleep(pause)

    def follow(self, call: Call, last_id: str = "") -> Iterator[ServerEvent]:
        """The events of a stream, which is opened again where it broke off, until the service says that it is over
        (204). Raises ServiceError when it cannot be opened for as long as requests are tried; so it does when the
        caller's rights have ended, which the service says by `expired`."""
        attempt = 0
        while True:
            error: ServiceError
            began = self.clock.now()
            try:
                with closing(self._open(call, last_id)) as answer:
                    if answer.status == 204:
                        return
                    if answer.status >= 300:
                        problem = problem_of(answer.status, answer.headers, answer.read())
                        raise error_of(problem, self.where)
                    for event in events(answer.lines(), last_id):
                        attempt, last_id = 0, event.id
                        if event.kind == "expired":
                            break
                        yield event
                error = ServiceUnreachable(f"{self.where} ended the stream")
            except ServiceError as refused:
                if refused.status not in PASSING:
                    raise
                error = refused
            except OSError as broken:
                if _is_final(broken):
                    raise self._unreachable(broken) from None
                error = self._unreachable(broken)
            attempt = 1 if self.clock.now() - began >= LIVED else attempt + 1
            pause = self._retries.pause(attempt, self.clock.chance())
            if pause is None:
                raise error
            self.clock.sleep(pause)

    def _once(self, call: Call, seconds: float) -> Reply:
        with closing(self._transport.send(self._request(call, seconds))) as answer:
            try:
                return Reply(answer.status, answer.headers, answer.read())
            except ValueError as error:
                raise ServiceError(f"{self.where}: {error}") from None

    def _open(self, call: Call, last_id: str) -> Answer:
        request = self._request(call, QUIET)
        headers = {**request.headers, "Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        return self._transport.send(Request("GET", request.path, headers, None, QUIET))

    def _request(self, call: Call, seconds: float) -> Request:
        headers = {"Accept": "application/json, */*;q=0.5", "User-Agent": "flowjob-client"}
        token = self._token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        if call.etag is not None:
            headers["If-Match"] = call.etag
        body = None
        if call.body is not None:
            body = msgspec.json.encode(call.body)
            headers["Content-Type"] = "application/json"
        return Request(call.method, call.target, headers, body, seconds)

    def _decoded(self, body: bytes, type: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=type)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ServiceError(
                f"{self.where} answered with something else than flowjob's service would: {error}",
                next_step="Does something else listen there? --server says another address",
            ) from None

    def _unreachable(self, error: OSError) -> ServiceError:
        if _is_final(error):
            reason = getattr(error, "verify_message", "") or str(error)
            return BadRequest(
                f"{self.where} is not who it says, or cannot prove it: {reason}",
                next_step="--ca-file FILE (FLOWJOB_CA_FILE) names the authority that has signed its certificate",
            )
        late = isinstance(error, TimeoutError)
        why = "it did not answer in time" if late else (error.strerror or str(error))
        return ServiceUnreachable(
            f"no service answers at {self.where}: {why}",
            next_step="`flowjob run … --web` serves one on 127.0.0.1:8081; --server (FLOWJOB_SERVER) names another, "
            "--context or -n a cluster",
        )


def _is_final(error: OSError) -> bool:
    """A certificate that is refused is refused again."""
    import ssl

    return isinstance(error, ssl.SSLCertVerificationError)
