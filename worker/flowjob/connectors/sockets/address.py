"""Where a socket connects to, and how failures of it are told.

They are JobFailed and not ConnectionError: to the engine, lost connections are those between its own processes, and
it would look for a worker that died."""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.errors import JobFailed, PlanError

LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """The other side of a connection."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def checked(host: str, port: int) -> Address:
    """The address, refused when there cannot be one."""
    if not isinstance(host, str) or not host:
        raise PlanError(f"host is a name or an address, not {host!r}")
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= LAST_PORT:
        raise PlanError(f"port is a number of 1 … {LAST_PORT}, not {port!r}")
    return Address(host, port)


def cannot_connect(address: Address, error: Exception) -> JobFailed:
    """No connection came about: refused, no such host, or no answer in time."""
    return JobFailed(
        f"cannot connect to {address}: {told(error)}\n"
        "Something must listen there before the job starts, and be reachable from every worker."
    )


def told(error: Exception) -> str:
    """The message of an exception, which for some is only their name."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return str(error) or type(error).__name__
