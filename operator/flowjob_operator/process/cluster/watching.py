"""Watches, by kopf: every event of the kinds we watch is handed to the operator's loop; nothing else is asked of kopf.

It has a thread and a loop of its own: when one watch is refused for good, kopf ends, and all tasks of its loop with it.
Here that only means that it is started anew, by whoever owns this. No handlers but on.event: they keep no annotations,
need no finalizers, and never write."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import kopf

from flowjob_operator.process.cluster.api import Object, Resource
from flowjob_operator.process.cluster.connection import Connection, Tokens
from flowjob_operator.process.cluster.mirror import pruned
from flowjob_operator.process.cluster.scopes import WATCHED, Selection

STOP_SECONDS: Final = 15.0

Sink = Callable[[Resource, str | None, Object], None]
"""Takes the resource, the event's type (None: it was there when the watch began) and the object, pruned."""


class Watches:
    """One run of kopf. `start()`, wait for `ended`, `stop()`."""

    def __init__(
        self,
        connection: Connection,
        tokens: Tokens,
        namespaces: Sequence[str] | None,
        selection: Selection,
        sink: Sink,
    ) -> None:
        """`namespaces` None: all of them. `sink` is called on the loop that calls `start`."""
        self._connection = connection
        self._tokens = tokens
        self._namespaces = namespaces
        self._selection = selection
        self._sink = sink
        self._thread: threading.Thread | None = None
        self._kopf_loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ended: asyncio.Future[str] | None = None
        """Done when kopf has ended: why"""

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="asyncio_watches", daemon=True)
        self._thread.start()

    @property
    def why(self) -> str | None:
        """Why they have ended; None: they run."""
        return self.ended.result() if self.ended is not None and self.ended.done() else None

    async def stop(self) -> None:
        """Until the thread is gone, or is given up."""
        if self._thread is None or self.ended is None:
            return
        await asyncio.to_thread(self._started.wait, STOP_SECONDS)
        if self._kopf_loop is not None and self._stopping is not None and not self.ended.done():
            self._kopf_loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    # -- on kopf's thread

    def _run(self) -> None:
        why = "it ended by itself"
        try:
            asyncio.run(self._watch())
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told and tried again
            why = f"{type(error).__name__}: {error}"
        finally:
            self._started.set()
            self._tell(self._end, why)

    async def _watch(self) -> None:
        self._kopf_loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._started.set()
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login")(self._login)
        for resource in WATCHED:
            self._register(registry, resource)
        settings = kopf.OperatorSettings()
        self._configure(settings)
        await kopf.operator(
            registry=registry,
            settings=settings,
            standalone=True,
            clusterwide=self._namespaces is None,
            namespaces=self._namespaces or (),
            stop_flag=self._stopping,
        )

    def _configure(self, settings: kopf.OperatorSettings) -> None:
        settings.posting.enabled = False
        # Namespaces and kinds are known: nothing of the cluster's is observed, so no right to is needed.
        settings.scanning.disabled = True
        settings.watching.chunk_size = 100
        settings.queueing.idle_timeout = 1.0
        for resource in WATCHED:
            if labels := self._selection.of(resource):
                selectors = settings.watching.label_selectors
                selectors[resource.group, resource.version, resource.plural] = labels

    def _register(self, registry: kopf.OperatorRegistry, resource: Resource) -> None:
        async def seen(event: Any, **_: Any) -> None:
            self._tell(self._sink, resource, event["type"], pruned(resource, event["object"]))

        names = (resource.group, resource.version, resource.plural)
        kopf.on.event(*names, registry=registry, id=resource.plural)(seen)

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:
        """Also asked when a token is refused: it may have been replaced."""
        connection = self._connection
        self._tokens.forget()
        header = self._tokens.header().get("Authorization", "")
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_data=connection.ca_data,
            insecure=connection.insecure or None,
            scheme="Bearer" if header else None,
            token=header.removeprefix("Bearer ") or None,
            certificate_data=connection.certificate_data,
            private_key_data=connection.key_data,
        )

    def _tell(self, what: Callable[..., None], *values: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *values)

    def _end(self, why: str) -> None:
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(why)


def quiet_kopf() -> None:
    """Its own log is about its own tasks; what matters of it is told by `ended`."""
    logging.getLogger("kopf").setLevel(logging.ERROR)
