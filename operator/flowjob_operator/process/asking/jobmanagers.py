"""Asks JobManagers, over HTTPS with certificates of both sides, each question with a deadline.

A JobManager is known by the identity in its certificate, not by its address: pods are asked by IP, and a pod of another
job is not believed. One that does not lead names the one that does, which is asked instead. When to ask is
looking.py's business."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from flowjob.cluster.control_api import (
    JobManagerView,
    NotLeader,
    OperationView,
    Request,
)
from flowjob.cluster.identity import JOBMANAGER, JobId, refusal
from flowjob_operator.core.observed import Unreachable
from flowjob_operator.process.asking.answers import NotUnderstood, read_operation, read_view
from flowjob_operator.process.sessions import WithSession

STATUS: Final = "/internal/v1/status"
OPERATIONS: Final = "/internal/v1/operations"
MISDIRECTED: Final = 421
LONGEST_ANSWER: Final = 2**20
ROLES: Final = frozenset({JOBMANAGER})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """Of a JobManager's internal API. `pod` is the pod's name."""

    host: str
    port: int
    pod: str = ""

    def __str__(self) -> str:
        return f"{self.pod or self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Papers:
    """PEM: whom the operator trusts, and what it proves itself with. None: without TLS, for tests only."""

    trusted: bytes
    certificate: bytes
    key: bytes


class Refused(Exception):
    """The JobManager will not do it, and says why. `unknown`: it knows no such thing."""

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


class Silent(Exception):
    """None leads, none answers, or not so that it could be understood."""

    def __init__(self, reason: str, *, not_leading: bool = False, unreadable: bool = False) -> None:
        super().__init__(reason)
        self.not_leading = not_leading
        self.unreadable = unreadable

    @property
    def fact(self) -> Unreachable:
        return Unreachable(
            reason=str(self), not_leading=self.not_leading, unreadable=self.unreadable
        )


class _Checked(ssl.SSLObject):
    """Ends the handshake with whoever is not the JobManager that was called."""

    def do_handshake(self) -> None:
        super().do_handshake()
        job = _job_of(self.server_hostname or "")
        found: dict[str, Any] = dict(self.getpeercert() or {})
        uris = [value for kind, value in found.get("subjectAltName", ()) if kind == "URI"]
        if (why := refusal(uris, job, ROLES)) is not None:
            raise ssl.SSLCertVerificationError(why)


def _called(job: JobId) -> str:
    """A host's name that says whom is called: what TLS sends along, and connections are kept by."""
    return f"{job.uid}.{job.name}.{job.namespace}"


def _job_of(called: str) -> JobId:
    uid, _, rest = called.partition(".")
    name, _, namespace = rest.partition(".")
    return JobId(namespace, name, uid)


def context_of(papers: Papers) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=papers.trusted.decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Names and addresses of pods say nothing: _Checked looks at the identity instead.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.sslobject_class = _Checked
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "operator.pem"
        both.touch(mode=0o600)
        both.write_bytes(papers.certificate + b"\n" + papers.key)
        context.load_cert_chain(both)
    return context


class JobManagers(WithSession):
    """Use it as an async context manager. `papers` is asked for before every request: they are renewed."""

    def __init__(
        self,
        papers: Callable[[], Papers | None],
        seconds: float,
        observer: Callable[[str, float], None] | None = None,
    ) -> None:
        self._papers = papers
        self._seconds = seconds
        self._observer = observer
        self._context: tuple[Papers, ssl.SSLContext] | None = None

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
        )

    async def status(
        self, job: JobId, addresses: Sequence[Address]
    ) -> tuple[JobManagerView, Address]:
        """And who has answered. Raises Silent."""
        data, address = await self._of_leader("GET", job, addresses, STATUS, None)
        view = _understood(read_view, data, address)
        if view.uid != job.uid:
            raise Silent(f"{address} is the JobManager of another job, {view.uid}")
        return view, address

    async def operation(
        self, job: JobId, addresses: Sequence[Address], id_: str
    ) -> OperationView | None:
        """None: it knows no such operation. Raises Silent, Refused."""
        try:
            data, address = await self._of_leader(
                "GET", job, addresses, f"{OPERATIONS}/{quote(id_, safe='')}", None
            )
        except Refused as error:
            if error.unknown:
                return None
            raise
        return _understood(read_operation, data, address)

    async def ask(
        self, job: JobId, addresses: Sequence[Address], id_: str, request: Request
    ) -> OperationView:
        """Raises Silent: whether it was understood is not known, and it may be asked again. Raises Refused."""
        path = f"{OPERATIONS}/{quote(id_, safe='')}"
        body = msgspec.json.encode(request)
        data, address = await self._of_leader("PUT", job, addresses, path, body)
        return _understood(read_operation, data, address)

    async def _of_leader(
        self, method: str, job: JobId, addresses: Sequence[Address], path: str, body: bytes | None
    ) -> tuple[bytes, Address]:
        """From the first that leads. `addresses` in the order in which they are tried."""
        if not addresses:
            raise Silent("there is no pod of a JobManager that runs")
        waiting, asked, reasons = list(addresses), set[Address](), list[str]()
        not_leading = False
        while waiting and len(asked) < 4:
            address = waiting.pop(0)
            if address in asked:
                continue
            asked.add(address)
            try:
                status, data = await self._send(method, job, address, path, body)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reasons.append(f"{address}: {_why(error, self._seconds)}")
                continue
            if status == MISDIRECTED:
                not_leading = True
                waiting[:0] = _leader(data, addresses)
                continue
            return _accepted(status, data, address), address
        if not_leading and not reasons:
            raise Silent("no JobManager leads", not_leading=True)
        raise Silent("; ".join(reasons), not_leading=not_leading)

    async def _send(
        self, method: str, job: JobId, address: Address, path: str, body: bytes | None
    ) -> tuple[int, bytes]:
        papers = self._papers()
        scheme = "http" if papers is None else "https"
        host = f"[{address.host}]" if ":" in address.host else address.host
        began = asyncio.get_running_loop().time()
        result = "silent"
        try:
            async with self._session.request(
                method,
                f"{scheme}://{host}:{address.port}{path}",
                data=body,
                ssl=True if papers is None else self._context_for(papers),
                server_hostname=None if papers is None else _called(job),
                headers={"Content-Type": "application/json"},
            ) as answer:
                data = await answer.content.read(LONGEST_ANSWER)
                while not answer.content.at_eof() and len(data) < LONGEST_ANSWER:
                    data += await answer.content.read(LONGEST_ANSWER)
                result = "ok" if answer.status < 400 else str(answer.status)
                return answer.status, data
        finally:
            if self._observer is not None:
                self._observer(result, asyncio.get_running_loop().time() - began)

    def _context_for(self, papers: Papers) -> ssl.SSLContext:
        if self._context is None or self._context[0] != papers:
            self._context = (papers, context_of(papers))
        return self._context[1]


def _leader(data: bytes, addresses: Sequence[Address]) -> list[Address]:
    """Where the one that leads can be asked, as the answer says: its host is right, its port may be another's."""
    try:
        leader = msgspec.json.decode(data, type=NotLeader).leader
    except msgspec.DecodeError:
        return []
    if not leader:
        return []
    host = leader.rpartition(":")[0].strip("[]") or leader
    for address in addresses:
        if host == address.host or host.split(".")[0] == address.pod:
            return [address]
    return [Address(host, addresses[0].port)]


def _accepted(status: int, data: bytes, address: Address) -> bytes:
    if status < 400:
        return data
    try:
        found = msgspec.json.decode(data)
        message = str(found.get("message") or found.get("error") or found)
    except (msgspec.DecodeError, AttributeError):
        message = data[:300].decode(errors="replace")
    if status >= 500 or status in (408, 425, 429):
        raise Silent(f"{address} answers {status}: {message}")
    raise Refused(f"{address} answers {status}: {message}", unknown=status == 404)


def _understood(read: Callable[[bytes], T], data: bytes, address: Address) -> T:
    try:
        return read(data)
    except NotUnderstood as error:
        why = f"{address} answers what this operator does not understand: {error}"
        raise Silent(why, unreadable=True) from None


def _why(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    return str(error) or type(error).__name__
