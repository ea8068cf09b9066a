"""Fetches one file by HTTP(S), under the rules of cluster/artifact_rules.py: not more, not longer, from nowhere else.

The address that was judged is the one that is connected to: a name cannot lead elsewhere the second time it is asked.
Proxies of the environment are not used. Blocking."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from pathlib import Path

from flowjob.cluster.artifact_rules import (
    MOST_REDIRECTS,
    ArtifactRules,
    Source,
    check_address,
    redirected,
)
from flowjob.errors import BadArtifact

CHUNK = 1 << 18
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def download(
    source: Source, target: Path, rules: ArtifactRules, ca_bundle: str | None = None
) -> None:
    """Writes what lies at `source` to `target`. Raises BadArtifact."""
    give_up = time.monotonic() + rules.timeout
    for _ in range(MOST_REDIRECTS + 1):
        location = _fetch(source, target, rules, give_up, ca_bundle)
        if location is None:
            return
        source = redirected(source, location, rules)
    raise BadArtifact(f"{source.host} redirects more than {MOST_REDIRECTS} times")


def _fetch(
    source: Source, target: Path, rules: ArtifactRules, give_up: float, ca_bundle: str | None
) -> str | None:
    """Where it redirects to; None when the file is there."""
    connection = _Pinned(source, rules, give_up, ca_bundle)
    query = source.url.partition("#")[0].partition("?")[2]
    try:
        connection.request("GET", (source.path or "/") + (f"?{query}" if query else ""))
        with connection.getresponse() as answer:
            if answer.status in _REDIRECTS:
                return answer.getheader("Location") or ""
            if answer.status != 200:
                raise BadArtifact(
                    f"{_place(source)} answers {answer.status} {answer.reason}: look whether it can be read from the "
                    "cluster without logging in"
                )
            _save(answer, connection, target, source)
    except TimeoutError:
        raise _late(source, rules) from None
    except (OSError, http.client.HTTPException) as error:
        raise BadArtifact(f"cannot fetch {_place(source)}: {_why(error)}") from None
    finally:
        connection.close()
    return None


def _save(
    answer: http.client.HTTPResponse,
    connection: _Pinned,
    target: Path,
    source: Source,
) -> None:
    said, rules = answer.length, connection.rules
    if said is not None and said > rules.max_bytes:
        raise _large(source, rules)
    size = 0
    with open(target, "wb") as file:
        while True:
            connection.raw.settimeout(connection.left())
            data = answer.read1(CHUNK)
            if not data:
                break
            size += len(data)
            if size > rules.max_bytes:
                raise _large(source, rules)
            file.write(data)
    if said is not None and size != said:
        raise BadArtifact(f"{_place(source)} broke off after {size:,} of {said:,} bytes")


class _Pinned(http.client.HTTPConnection):
    """To an address that was judged."""

    def __init__(
        self, source: Source, rules: ArtifactRules, give_up: float, ca_bundle: str | None
    ) -> None:
        self._secure = source.scheme == "https"
        port = source.port or (443 if self._secure else 80)
        super().__init__(source.host, port)
        self.rules = rules
        self.raw: socket.socket
        """Kept here, because the answer takes it over."""
        self._give_up = give_up
        self._ca_bundle = ca_bundle

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = self._give_up - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def connect(self) -> None:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise BadArtifact(f"there is no host {self.host}: {error.strerror}") from None
        # All of them: which one is taken must not depend on chance.
        for *_, address in found:
            check_address(
                self.host, ipaddress.ip_address(str(address[0]).partition("%")[0]), self.rules
            )
        last: OSError | None = None
        for *_, address in found:
            try:
                self.sock = socket.create_connection((str(address[0]), self.port), self.left())
            except TimeoutError:
                raise
            except OSError as error:
                last = error
            else:
                break
        else:
            raise last or OSError("no address")
        if self._secure:
            context = ssl.create_default_context()
            if self._ca_bundle is not None:
                context.load_verify_locations(self._ca_bundle)
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
        self.raw = self.sock


def _place(source: Source) -> str:
    """Without a query: that may be a signature."""
    return source.url.partition("?")[0]


def _late(source: Source, rules: ArtifactRules) -> BadArtifact:
    return BadArtifact(
        f"{_place(source)} was not there after {rules.timeout:g} s; the setting is artifacts.timeout"
    )


def _large(source: Source, rules: ArtifactRules) -> BadArtifact:
    return BadArtifact(
        f"{_place(source)} has more than {rules.max_bytes:,} bytes; the setting is artifacts.maxBytes"
    )


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
