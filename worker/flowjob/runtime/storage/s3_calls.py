"""Calls to an S3 server: one client, in threads, tried again with growing, random pauses while errors pass.

Why our own tries: botocore's sleep in threads, by a clock that no test can move. It must not know what calls do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flowjob.errors import StorageError
from flowjob.runtime.env import Clock, Random, StoreLocation
from flowjob.runtime.storage import s3_errors
from flowjob.runtime.storage.s3_sessions import session_with


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Times in seconds. `tries` of a call; pauses between them double from `first_pause` up to `longest_pause`, each
    shortened by chance to no less than half. Uploads above `multipart_from` bytes go in parts, so many at once."""

    tries: int = 7
    first_pause: float = 0.2
    longest_pause: float = 5.0
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    multipart_from: int = 16 << 20
    part_bytes: int = 8 << 20
    parts_at_once: int = 4
    connections: int = 16


class S3Calls:
    """`await calls(operation, place, function)` runs `function(client)`."""

    def __init__(
        self,
        location: StoreLocation,
        clock: Clock,
        chance: Random,
        run_blocking: Callable[..., Awaitable[Any]],
        settings: S3Settings,
        *,
        connect: Callable[[StoreLocation, S3Settings], Any],
    ) -> None:
        self.settings = settings
        self._connect = connect
        self._location = location
        self._clock = clock
        self._chance = chance
        self._run = run_blocking
        self._client: Any = None
        self._making = asyncio.Lock()

    async def __call__(
        self,
        operation: str,
        place: str,
        function: Callable[[Any], Any],
        *,
        expected: Callable[[Exception], bool] | None = None,
    ) -> Any:
        """What `function(client)` returns, or the `expected` exception that it raised, unchanged: raised again.

        Anything else from S3 becomes a StorageError that says `operation` and `place`."""
        pause = self.settings.first_pause
        for left in reversed(range(self.settings.tries)):
            try:
                client = self._client or await self._make()
                return await self._run(function, client)
            except Exception as error:
                if not s3_errors.is_from_s3(error) or (expected and expected(error)):
                    raise
                if not left or not s3_errors.passes(error):
                    told = s3_errors.told(error, operation, place, self._location.credentials)
                    raise told from error
            await self._clock.sleep(pause * (0.5 + self._chance.random() / 2))
            pause = min(2 * pause, self.settings.longest_pause)
        raise AssertionError("the last try returns or raises")

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._run(client.close)

    async def _make(self) -> Any:
        async with self._making:
            if self._client is None:
                self._client = await self._run(self._connect, self._location, self.settings)
            return self._client


def connect(location: StoreLocation, settings: S3Settings) -> Any:
    """A client; the first one is about 0.4 s of work, most of it imports, in a thread. Nothing is sent. StorageError
    for certificates that are not there: botocore takes that for a connection that may succeed the next time."""
    if location.ca_bundle is not None and not os.path.exists(location.ca_bundle):
        raise StorageError(
            f"{location.ca_bundle}: there are no certificates to trust {location.endpoint or 'S3'} by; mount them, or "
            "correct the CA bundle (caBundleRef)"
        )
    session = session_with(location.credentials)
    region = location.region or session.get_config_variable("region") or "us-east-1"

    def client(addressing: str) -> Any:
        return session.create_client(
            "s3",
            region_name=region,
            endpoint_url=location.endpoint,
            verify=location.ca_bundle,
            config=_config(settings, addressing),
        )

    if location.endpoint and not is_amazon(location.endpoint):
        return client("path")
    made = client("auto")
    # An endpoint may also come from the environment or a profile; which one it is, the client knows.
    if is_amazon(made.meta.endpoint_url):
        return made
    made.close()
    return client("path")


def is_amazon(endpoint: str) -> bool:
    """Whether buckets have host names of their own there. Other servers are asked by path: that always works."""
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _config(settings: S3Settings, addressing: str) -> Any:
    from botocore.config import Config

    return Config(
        signature_version="s3v4",
        s3={"addressing_style": addressing},
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_pool_connections=settings.connections,
        tcp_keepalive=True,
        # Checksums in trailers are refused by many servers that are not Amazon's; manifests have checksums of our own.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def split_url(url: str) -> tuple[str, str]:
    """Bucket and prefix (without slashes at its ends) of `s3://bucket/prefix`. Raises StorageError."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not bucket or "@" in bucket or any(c.isspace() for c in bucket):
        raise StorageError(f"{url.rpartition('@')[2]}: write s3://bucket/prefix, nothing else")
    return bucket, prefix.strip("/")
