"""`flowjob run --web`: where the job is shown and steered, and by whom.

The address is bound before anything starts, so that a port which is taken costs nothing. The service itself is another
package (`pip install flowjob[api]`), which is imported only here."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from flowjob.errors import PlanError, Unreachable

if TYPE_CHECKING:
    from flowjob.cluster.job_details import LiveJob

DEFAULT = "127.0.0.1:8081"
TOKEN = "FLOWJOB_WEB_TOKEN"
"""Environment: a token that whoever asks must have, also on this machine."""

_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\s/]+):)?(?P<port>[0-9]{1,5})")


def with_address(arguments: Sequence[str]) -> list[str]:
    """`--web` alone means `--web 127.0.0.1:8081`: what stands behind it is an address, or belongs to something else."""
    found: list[str] = []
    for place, word in enumerate(arguments):
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        alone = word == "--web" and _ADDRESS.fullmatch(following) is None
        found.append(f"--web={DEFAULT}" if alone else word)
    return found


def parsed(address: str) -> tuple[str, int]:
    """Host and port. Raises PlanError."""
    found = _ADDRESS.fullmatch(address)
    port = int(found["port"]) if found else 65_536
    if found is None or port > 65_535:
        raise PlanError(f"--web {address}: an address is [host:]port, such as {DEFAULT}")
    return (found["host"] or DEFAULT.partition(":")[0]).strip("[]"), port


class Web:
    """A bound address. `close` it if it is not served."""

    def __init__(self, host: str, listening: socket.socket, token: str | None) -> None:
        self._host = host
        self._listening = listening
        self._token = token

    @classmethod
    def bind(cls, address: str) -> Web:
        """Raises PlanError, Unreachable."""
        host, port = parsed(address)
        _check_installed()
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(1)  # else a second one could still bind, and fail later
        except OSError as error:
            listening.close()
            raise Unreachable(
                f"--web {host}:{port}: cannot listen there: {error.strerror or error}. Choose another port: "
                f"--web {port + 1 if port < 65_535 else 8081}, or --web 0 for any that is free"
            ) from error
        given = os.environ.get(TOKEN) or None
        return cls(
            host, listening, given or (None if _is_loopback(host) else secrets.token_urlsafe(24))
        )

    @property
    def url(self) -> str:
        port = self._listening.getsockname()[1]
        return (
            f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"
        )

    def announce(self) -> None:
        """Where it is, on stderr; and the token, if it was made here."""
        lines = f"web page and API at {self.url}/\n"
        if self._token is not None and not os.environ.get(TOKEN):
            lines += f"whoever asks needs this token: {self._token}\n"
        sys.stderr.write(lines)
        sys.stderr.flush()

    @property
    def serve(self) -> Callable[[LiveJob], Awaitable[None]]:
        """To be run in the JobManager's loop."""

        async def serving(live: LiveJob) -> None:
            from flowjob_api.serving import serve_live

            await serve_live(live, self._listening, token=self._token)

        return serving

    def close(self) -> None:
        self._listening.close()


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("flowjob_api", "fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise PlanError(
            f"--web needs {missing[0]}, which is not installed: pip install 'flowjob[api]'"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
