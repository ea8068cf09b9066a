"""Which kind of store a location means, and whether it can mean one at all; nothing is touched before the first use.

S3's client library is imported only where a location is in S3: local jobs never pay for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from flowjob.errors import StorageError
from flowjob.runtime.env import Clock, Random, StoreLocation
from flowjob.runtime.storage.local import LocalStore
from flowjob.runtime.storage.object_store import ObjectStore


def open_object_store(
    location: StoreLocation,
    clock: Clock,
    chance: Random,
    run_blocking: Callable[..., Awaitable[Any]],
) -> ObjectStore:
    """The store at `location`. Raises StorageError when that is no location, before anything is tried."""
    if not location.url:
        raise StorageError("the place for checkpoints is empty; name a directory or s3://bucket")
    directory = directory_of(location.url)
    if directory is not None:
        return LocalStore(directory, chance, run_blocking)
    scheme = location.url.partition("://")[0]
    if scheme == "file":
        raise StorageError(f"{location.url}: write file:///path, with three slashes")
    if scheme == "s3":
        from flowjob.runtime.storage.s3 import S3Store

        _check_endpoint(location.endpoint)
        return S3Store(location, clock, chance, run_blocking)
    raise StorageError(
        f"{location.url}: there is no store of the kind `{scheme}`; use a directory or s3://bucket/prefix"
    )


def directory_of(url: str) -> str | None:
    """The directory that a location means; None when it is elsewhere, or no location."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url or None
    return unquote(rest) if scheme == "file" and rest.startswith("/") else None


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is None:
        return
    parts = urlsplit(endpoint)
    if parts.username or parts.password:
        raise StorageError(
            "the endpoint must not hold credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        )
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise StorageError(f"{endpoint}: write an endpoint as http://host:port or https://host")
