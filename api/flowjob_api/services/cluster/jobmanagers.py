"""JobManagers of a cluster, asked over HTTPS with certificates of both sides: a JobDetails for each FlowJob.

A JobManager is known by the identity in its certificate, not by its address. All pods of a job's headless Service are
tried; one that does not lead names the one that does. Whether the caller may know is looked at before."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from flowjob.cluster.control_api import NotLeader, Problem
from flowjob.cluster.identity import FILES, JOBMANAGER, JobId, refusal
from flowjob.cluster.job_details import (
    LONGEST_WAIT,
    Changes,
    CheckpointDetail,
    Checkpoints,
    Configuration,
    DetailsError,
    Exceptions,
    Graph,
    JobFacts,
    LogQuery,
    Logs,
    Metrics,
    MetricsQuery,
    Plan,
    Snapshots,
    Tasks,
)
from flowjob_api.clock import Clock
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.sharing import Sharing

PORT: Final = 7402
MISDIRECTED: Final = 421
SECONDS: Final = 8.0
LONGEST: Final = 32 * 2**20
LONGEST_SHARED: Final = 256 * 1024
"""Bytes of an answer that is kept for a moment"""
SHARED_SECONDS: Final = 0.5
"""What was answered is told to others so long: many look at one job."""
LOOK_EVERY: Final = 60.0
"""Seconds between two looks at the certificates: they are renewed."""

_T = TypeVar("_T", bound=msgspec.Struct)
_CODES: Final = {
    400: "BAD_REQUEST",
    404: "UNKNOWN",
    409: "CONFLICT",
    421: "NOT_LEADING",
    503: "STORAGE",
}
Resolve = Callable[[JobId], Any]


class _Checked(ssl.SSLObject):
    """Ends the handshake with whoever is not the JobManager that was called."""

    def do_handshake(self) -> None:
        super().do_handshake()
        uid, _, rest = (self.server_hostname or "").partition(".")
        name, _, namespace = rest.partition(".")
        found: dict[str, Any] = dict(self.getpeercert() or {})
        uris = [value for kind, value in found.get("subjectAltName", ()) if kind == "URI"]
        why = refusal(uris, JobId(namespace, name, uid), frozenset({JOBMANAGER}))
        if why is not None:
            raise ssl.SSLCertVerificationError(why)


def context_of(directory: Path) -> ssl.SSLContext:
    """Of an identity directory. Raises OSError, ssl.SSLError."""
    trusted, certificate, key = (directory / name for name in FILES)
    context = ssl.create_default_context(cafile=str(trusted))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Names and addresses of pods say nothing: _Checked looks at the identity instead.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.sslobject_class = _Checked
    context.load_cert_chain(certificate, key)
    return context


async def addresses_of(job: JobId) -> list[str]:
    """host:port of all JobManagers of a job: what its headless Service's name resolves to. Raises OSError."""
    loop = asyncio.get_running_loop()
    host = f"{job.name}-jm.{job.namespace}.svc"
    found = await loop.getaddrinfo(host, PORT)
    return list(dict.fromkeys(_joined(str(entry[4][0])) for entry in found))


def _joined(address: str) -> str:
    return (
        f"[{address}]:{PORT}" if ipaddress.ip_address(address).version == 6 else f"{address}:{PORT}"
    )


@dataclass(frozen=True, slots=True)
class Reach:
    """How JobManagers are reached. `identity` None: without TLS, for tests only."""

    identity: Path | None
    addresses: Resolve = addresses_of


class JobManagers:
    """Use it as an async context manager."""

    def __init__(self, reach: Reach, clock: Clock, metrics: ServiceMetrics) -> None:
        self._reach = reach
        self._clock = clock
        self._metrics = metrics
        self._sharing = Sharing(clock, most=200, forgotten_after=SHARED_SECONDS)
        self._session: aiohttp.ClientSession | None = None
        self._context: tuple[tuple[int, ...], ssl.SSLContext] | None = None
        self._looked_at: float | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=256, keepalive_timeout=30),
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

    def of(self, job: JobId) -> RemoteDetails:
        return RemoteDetails(self, job)

    async def ask(self, job: JobId, path: str, kind: type[_T], wait: float = 0.0) -> _T:
        """What the one that leads answers, or has answered others just now. Raises DetailsError.

        Whoever waits for something new is told when it is there, and nothing of before."""
        if wait:
            return (await self._decoded(job, path, kind, wait))[0]
        key, length = (job, path), 0

        async def question() -> _T:
            nonlocal length
            found, length = await self._decoded(job, path, kind, 0.0)
            return found

        found: _T = await self._sharing.ask(key, SHARED_SECONDS, question)
        if length > LONGEST_SHARED:
            self._sharing.forget(key)
        return found

    async def _decoded(self, job: JobId, path: str, kind: type[_T], wait: float) -> tuple[_T, int]:
        """And how many bytes it was."""
        data = await self._answer(job, path, wait)
        try:
            return msgspec.json.decode(data, type=kind), len(data)
        except msgspec.MsgspecError:
            raise DetailsError(
                "UNREACHABLE", "the JobManager answers what this service does not understand"
            ) from None

    async def _answer(self, job: JobId, path: str, wait: float) -> bytes:
        """`GET /internal/v1/<path>` of the one that leads. Raises DetailsError."""
        began = self._clock.monotonic()
        result = "silent"
        try:
            data = await self._of_leader(job, path, min(wait, LONGEST_WAIT) + SECONDS)
            result = "ok"
        except DetailsError as error:
            result = error.code.lower()
            raise
        finally:
            if not wait:
                took = self._clock.monotonic() - began
                self._metrics.upstream.labels("jobmanager", result).observe(took)
        return data

    async def _of_leader(self, job: JobId, path: str, seconds: float) -> bytes:
        try:
            waiting: list[str] = await self._reach.addresses(job)
        except OSError:
            raise DetailsError("UNREACHABLE", "the job has no JobManager now") from None
        asked: set[str] = set()
        why = "no JobManager leads the job now"
        while waiting and len(asked) < 4:
            address = waiting.pop(0)
            if address in asked:
                continue
            asked.add(address)
            try:
                status, data = await self._send(job, address, path, seconds)
            except (aiohttp.ClientError, OSError, TimeoutError):
                why = "the JobManager does not answer"
                continue
            if status == MISDIRECTED:
                waiting[:0] = _leader(data)
                continue
            return _accepted(status, data)
        raise DetailsError("UNREACHABLE", why)

    async def _send(self, job: JobId, address: str, path: str, seconds: float) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("not opened: use `async with`")
        context = self._context_now()
        scheme = "http" if context is None else "https"
        async with self._session.get(
            f"{scheme}://{address}/internal/v1/{path}",
            ssl=True if context is None else context,
            server_hostname=None if context is None else f"{job.uid}.{job.name}.{job.namespace}",
            timeout=aiohttp.ClientTimeout(total=seconds),
            allow_redirects=False,
        ) as answer:
            data = b""
            async for chunk in answer.content.iter_any():
                data += chunk
                if len(data) > LONGEST:
                    raise aiohttp.ClientPayloadError("an answer without an end")
            return answer.status, data

    def _context_now(self) -> ssl.SSLContext | None:
        """Raises OSError."""
        directory, now = self._reach.identity, self._clock.monotonic()
        if directory is None:
            return None
        if self._context is None or self._looked_at is None or now - self._looked_at > LOOK_EVERY:
            self._looked_at = now
            written = tuple((directory / name).stat().st_mtime_ns for name in FILES)
            if self._context is None or self._context[0] != written:
                self._context = (written, context_of(directory))
        return self._context[1]


def _leader(data: bytes) -> list[str]:
    try:
        leader = msgspec.json.decode(data, type=NotLeader).leader
    except msgspec.MsgspecError:
        return []
    return [leader] if leader else []


def _accepted(status: int, data: bytes) -> bytes:
    if status < 400:
        return data
    try:
        problem = msgspec.json.decode(data, type=Problem)
        text = problem.error
    except msgspec.MsgspecError:
        text = "the JobManager's answer is not understood"
    raise DetailsError(_CODES.get(status, "UNREACHABLE"), text)


class RemoteDetails:
    """A JobDetails of one job."""

    def __init__(self, managers: JobManagers, job: JobId) -> None:
        self._managers = managers
        self._job = job

    async def _get(
        self, kind: type[_T], name: str, query: dict[str, Any] | None = None, wait: float = 0.0
    ) -> _T:
        given = {k: v for k, v in (query or {}).items() if v not in (None, "")}
        path = f"details/{name}" + (f"?{urlencode(given)}" if given else "")
        return await self._managers.ask(self._job, path, kind, wait)

    async def job(self) -> JobFacts:
        return await self._get(JobFacts, "job")

    async def graph(self, *, subtasks: bool = False) -> Graph:
        return await self._get(Graph, "graph", {"subtasks": "true" if subtasks else None})

    async def tasks(self, *, vertex: int | None = None) -> Tasks:
        return await self._get(Tasks, "tasks", {"vertex": vertex})

    async def checkpoints(self) -> Checkpoints:
        return await self._get(Checkpoints, "checkpoints")

    async def checkpoint(self, id: int) -> CheckpointDetail:
        return await self._get(CheckpointDetail, f"checkpoints/{int(id)}")

    async def snapshots(self) -> Snapshots:
        return await self._get(Snapshots, "snapshots")

    async def exceptions(self) -> Exceptions:
        return await self._get(Exceptions, "exceptions")

    async def metrics(self, query: MetricsQuery) -> Metrics:
        given = {"vertex": query.vertex, "names": ",".join(query.names), "window": query.window}
        return await self._get(Metrics, "metrics", given)

    async def logs(self, query: LogQuery) -> Logs:
        given = {**msgspec.structs.asdict(query)}
        return await self._get(Logs, "logs", given, query.wait)

    async def configuration(self) -> Configuration:
        return await self._get(Configuration, "configuration")

    async def plan(self) -> Plan:
        return await self._get(Plan, "plan")

    async def changes(self, *, after: int | None = None, wait: float = 0.0) -> Changes:
        return await self._get(Changes, "changes", {"after": after, "wait": wait or None}, wait)
