"""Who makes TaskManagers, as a JobManager sees them.

MiniCluster (runtime/minicluster.py) on this machine; where somebody else starts them, `Elsewhere`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flowjob.errors import Unreachable
from flowjob.runtime.env import ControlHandler, Env, Listener
from flowjob.runtime.jobmanager.request import JobRequest


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a TaskManager needs to find its JobManager."""

    url: str
    token: str

    @property
    def address(self) -> str:
        """host:port"""
        return self.url.removeprefix("ws://")


async def listen(env: Env, request: JobRequest, token: str, handler: ControlHandler) -> Listener:
    """For TaskManagers, where the request says. Raises Unreachable."""
    host, port = request.host, request.port
    try:
        return await env.control.serve(host, port, token, handler)
    except OSError as error:
        raise Unreachable(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def address_of(listener: Listener, request: JobRequest) -> str:
    """host:port, as others reach it."""
    if request.service is not None and request.service.address is not None:
        return request.service.address
    host, port = listener.address
    return f"{host}:{port}"


class Cluster(Protocol):
    """Starts and ends TaskManagers."""

    async def start(self, endpoint: Endpoint, exited: Callable[[str, str], None]) -> None:
        """Starts TaskManagers; `exited(name, reason)` is called when one's process ends."""
        ...

    def replace(self, name: str) -> None:
        """Ends what is left of this TaskManager, and starts another of that name soon."""
        ...

    async def stop(self) -> None:
        """Returns when none of its processes lives."""
        ...


class Elsewhere:
    """TaskManagers come by themselves, and new ones for those that are lost."""

    async def start(self, endpoint: Endpoint, exited: Callable[[str, str], None]) -> None:
        """They know the address."""

    def replace(self, name: str) -> None:
        """Whoever has started it will."""

    async def stop(self) -> None:
        """They end when they are told to."""
