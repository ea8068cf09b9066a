"""The JobManager's internal API over HTTP: routes and codes, nothing else. docs/jobmanager-api.md has them for people.

What is asked and answered is cluster/control_api.py, what is done about it runtime/jobmanager/. Starlette and uvicorn
(`pip install flowjob[cluster]`) are imported when a server is made, never before."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from flowjob.cluster.control_api import JobManagerView, NotLeader, Problem, Request
from flowjob.cluster.job_details import JobDetails
from flowjob.errors import Unreachable
from flowjob.runtime.jobmanager.hosting import Host
from flowjob.runtime.jobmanager.operating import Operations
from flowjob.runtime.real.details_api import Answer, DetailsApi

LARGEST_BODY = 64 * 1024
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


class InternalApi:
    """What is answered, without HTTP. `details` of the job are told, too."""

    def __init__(self, host: Host, operations: Operations, details: JobDetails) -> None:
        self._host = host
        self._operations = operations
        self.details = DetailsApi(details)

    def status(self) -> Answer:
        found = self._host.answer()
        return (421 if isinstance(found, NotLeader) else 200), found

    def ask(self, id: str, body: bytes) -> Answer:
        if refused := self._not_here():
            return refused
        if _ID.fullmatch(id) is None:
            return 400, Problem(code="BAD_REQUEST", error=f"`{id[:80]}` is no id of an operation")
        try:
            request = msgspec.json.decode(body, type=Request)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return 400, Problem(code="BAD_REQUEST", error=f"this is no operation: {error}")
        view = self._operations.ask(id, request)
        if view is None:
            return 409, Problem(code="CONFLICT", error=f"operation {id} is another request's")
        return 200, view

    def look(self, id: str) -> Answer:
        if refused := self._not_here():
            return refused
        view = self._operations.look(id)
        if view is None:
            return 404, Problem(
                code="UNKNOWN_OPERATION", error=f"operation {id[:80]} is not known here"
            )
        return 200, view

    def _not_here(self) -> Answer | None:
        found = self._host.answer()
        return None if isinstance(found, JobManagerView) else (421, found)


class ApiServer:
    """Serves until `close`."""

    def __init__(self, api: InternalApi, context: Callable[[], ssl.SSLContext] | None) -> None:
        self._api = api
        self._context = context
        self._server: Any = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    async def listen(self, host: str, port: int) -> None:
        """Raises Unreachable."""
        import uvicorn

        try:
            listening = _bound(host, port)
        except OSError as error:
            raise Unreachable(
                f"cannot listen on {host}:{port} for the internal API: {error.strerror or error}"
            ) from error
        config = uvicorn.Config(
            application(self._api),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=LARGEST_BODY,
            timeout_graceful_shutdown=1,  # for clients that do not say goodbye: the next JobManager waits for it
        )
        config.load()
        if self._context is not None:
            config.ssl = self._context()
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        begun = asyncio.Event()
        self._server = _quiet_server(uvicorn.Server, begun)(config)
        self._serving = asyncio.ensure_future(self._server.serve(sockets=[listening]))
        self._serving.add_done_callback(lambda _: begun.set())
        await begun.wait()
        if self._serving.done():
            self._serving.result()

    async def close(self) -> None:
        if self._serving is not None:
            self._server.should_exit = True
            await asyncio.wait([self._serving])


def application(api: InternalApi) -> Any:
    """For ASGI servers."""
    from starlette.applications import Starlette
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response
    from starlette.routing import Route

    def told(answer: Answer) -> Response:
        status, body = answer
        return Response(msgspec.json.encode(body), status, media_type="application/json")

    async def status(_: HttpRequest) -> Response:
        return told(api.status())

    async def details(request: HttpRequest) -> Response:
        return told(await api.details.answer(request.path_params["path"], request.query_params))

    async def operation(request: HttpRequest) -> Response:
        id = request.path_params["id"]
        if request.method == "GET":
            return told(api.look(id))
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                return told(
                    (413, Problem(code="BAD_REQUEST", error="a request is at most 64 kB long"))
                )
        return told(api.ask(id, body))

    def route(path: str, work: Callable[[HttpRequest], Awaitable[Response]], *ways: str) -> Route:
        return Route(f"/internal/v1/{path}", work, methods=list(ways))

    return Starlette(
        routes=[
            route("status", status, "GET"),
            route("details/{path:path}", details, "GET"),
            route("operations/{id}", operation, "GET", "PUT"),
        ]
    )


def _bound(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def _quiet_server(base: Any, begun: asyncio.Event) -> Any:
    """One that leaves the process's signals alone, and says when it listens."""

    class Server(base):  # type: ignore[misc]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            begun.set()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Server
