"""The one door to the world: clock, network, disk, processes, chance.

Runtime code takes an `Env` and imports no `time`, `socket`, `random`, `uuid` or `threading`, so that the same code
runs for real (runtime/real/) and in a deterministic simulation with virtual time and injected faults.
This module holds protocols only; it must not touch the world itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from flowjob.runtime.storage.object_store import ObjectStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """Where objects are: `url` is a directory or `s3://bucket/prefix`; `endpoint` of another S3 than Amazon's.

    Credentials are never in here: they are in files in the directory `credentials`, or come by the usual means of
    botocore. `ca_bundle`: a file with the authorities that the endpoint's certificate may be of."""

    url: str
    endpoint: str | None = None
    region: str | None = None
    credentials: str | None = None
    ca_bundle: str | None = None

    def at(self, url: str, endpoint: str | None = None, region: str | None = None) -> StoreLocation:
        """Another place, with what is known of this one where nothing else is said."""
        return replace(
            self, url=url, endpoint=endpoint or self.endpoint, region=region or self.region
        )


class Clock(Protocol):
    """Wall time and monotonic time are different things and different types."""

    def wall(self) -> int:
        """Microseconds since the epoch, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of this clock; 0 lets other tasks run once."""
        ...


class Listener(Protocol):
    """An open listening port."""

    @property
    def address(self) -> tuple[str, int]: ...

    async def close(self) -> None: ...


class Network(Protocol):
    """Byte connections in asyncio's transport/protocol style (`asyncio.BufferedProtocol` is welcome)."""

    async def listen(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol]
    ) -> Listener: ...

    async def connect(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol], *, deadline: float
    ) -> asyncio.BaseProtocol:
        """Raises OSError or TimeoutError after `deadline` seconds."""
        ...


class ControlConnection(Protocol):
    """One ordered, reliable stream of whole messages (a WebSocket, in reality)."""

    async def send(self, message: bytes) -> None: ...

    async def receive(self) -> bytes | None:
        """The next message; None when the other side has closed or is lost."""
        ...

    async def close(self, reason: str = "") -> None: ...


ControlHandler = Callable[[ControlConnection], Awaitable[None]]


class ControlPlane(Protocol):
    """Carries control messages between JobManager and TaskManagers; authenticated by a bearer token, or where the world
    has certificates, by those: then tokens mean nothing."""

    async def serve(self, host: str, port: int, token: str, handler: ControlHandler) -> Listener:
        """Calls `handler` for every connection that shows `token` (compared in constant time), or its certificate."""
        ...

    async def connect(self, url: str, token: str, *, deadline: float) -> ControlConnection: ...


class Process(Protocol):
    """A child process."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """Its exit status; negative for a signal, as in subprocess."""
        ...

    def kill(self) -> None:
        """SIGKILL; no error when it has already gone."""
        ...

    def terminate(self) -> None:
        """SIGTERM; no error when it has already gone."""
        ...


class OwnedProcess(Process, Protocol):
    """A child process that hears us on its standard input, which ends when we do."""

    def send(self, data: bytes) -> None:
        """A few bytes to its standard input; no error when it has already gone."""
        ...

    def exit_reason(self, status: int) -> str:
        """What `wait` returned, as the rest of a sentence: `was killed by signal 9 (SIGKILL)`."""
        ...


class ProcessLauncher(Protocol):
    """Starts the processes of a cluster: on this machine, or as nothing at all where Kubernetes does it."""

    async def launch(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> OwnedProcess:
        """Starts a Python process; `arguments` are those of `python -m`."""
        ...


class Random(Protocol):
    """Chance, seeded in simulation."""

    def random(self) -> float: ...

    def token(self) -> str:
        """An unguessable string for names and bearer tokens."""
        ...


class Freezer(Protocol):
    """Looks at this process as it is now, while it goes on."""

    def freeze(self, work: Callable[[Path], bytes], *, deadline: float) -> Awaitable[bytes]:
        """Calls `work(directory)` on an unchanging copy of this process's memory (a fork, in reality) and gives what it
        returns: little. The copy is made by the call itself, not when its result is awaited. Large results are files in
        `directory`, which is this process's to read and remove. `work` must not touch threads, locks, sockets or the
        event loop.

        Raises TimeoutError after `deadline` seconds, and OSError when the copy cannot be made or dies."""
        ...

    def spent(self) -> float:
        """Seconds of CPU that this thread has used, here or in the copy: what a copy costs, and would save."""
        ...


@dataclass(frozen=True, slots=True)
class Env:
    """Everything a process of ours may reach. `directory` is this process's scratch space on local disk."""

    clock: Clock
    network: Network
    control: ControlPlane
    launcher: ProcessLauncher
    random: Random
    directory: Path

    run_blocking: Callable[..., Awaitable[Any]]
    """`await env.run_blocking(function, *args)`: runs blocking I/O in a small thread pool."""

    freezer: Freezer | None = None
    open_store: Callable[[StoreLocation], ObjectStore] | None = None
    """The object store at a location; nothing is opened or checked before its first use."""
