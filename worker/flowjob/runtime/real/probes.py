"""/livez, /readyz and /metrics of a process of a cluster, over plain HTTP, from a thread of its own.

A thread, so that they answer before the event loop begins and while it stands still: /livez is about the loop's
progress, which a process that merely exists cannot fake. It must not know what the process does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BEAT = 1.0
"""Seconds between two signs of life of the loop."""

STUCK_AFTER = 20.0
"""Seconds without one, behind which the process is not alive."""

RENDER_WITHIN = 5.0
"""Seconds that the loop gets for /metrics."""

Render = Callable[[], bytes]


class Probes:
    """`ready` and `metrics` are asked in the loop's thread; `start` comes before the loop, `beat` runs in it.

    ready    None: it is; else why it is not
    metrics  Prometheus' text format
    """

    def __init__(
        self,
        ready: Callable[[], str | None] = lambda: "starting",
        metrics: Render = lambda: b"",
        stuck_after: float = STUCK_AFTER,
    ) -> None:
        self.ready = ready
        self.metrics = metrics
        self._stuck_after = stuck_after
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beaten = 0.0
        self._not_ready: str | None = "starting"
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    def start(self, host: str, port: int) -> None:
        """Raises OSError."""
        probes = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, body = probes.answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes are no news."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="probes", daemon=True).start()

    def stop(self) -> None:
        """Takes up to half a second. A process that ends need not: the thread ends with it."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    async def beat(self) -> None:
        """Runs until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._beaten = time.monotonic()
            self._not_ready = self.ready()
            await asyncio.sleep(BEAT)

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and text. In any thread."""
        match path:
            case "/livez":
                silent = 0.0 if self._loop is None else time.monotonic() - self._beaten
                if silent > self._stuck_after:
                    return 503, f"the event loop has stood still for {silent:.0f} s\n".encode()
                return 200, b"ok\n"
            case "/readyz":
                why = self._not_ready
                return (200, b"ok\n") if why is None else (503, f"{why}\n".encode())
            case "/metrics":
                return self._render()
        return 404, b"there are /livez, /readyz and /metrics\n"

    def _render(self) -> tuple[int, bytes]:
        if self._loop is None:
            return 503, b"starting\n"
        found: concurrent.futures.Future[bytes] = concurrent.futures.Future()

        def render() -> None:
            try:
                found.set_result(self.metrics())
            except Exception as error:  # noqa: BLE001 - told to who asked
                found.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(render)
            return 200, found.result(RENDER_WITHIN)
        except TimeoutError:
            return 503, b"the event loop does not answer\n"
        except Exception as error:  # noqa: BLE001 - a defect must not end the probes
            return 500, f"{error!r}\n".encode()
