"""An object store in a bucket of S3, or of a server that speaks its protocol and has conditional writes.

Credentials, region and endpoint come by botocore's usual ways; it is imported with the first request. It must not know
what is stored. Servers and permissions: docs/storage.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from flowjob.errors import ObjectMissing, StorageError
from flowjob.runtime.env import Clock, Random, StoreLocation
from flowjob.runtime.storage import s3_errors
from flowjob.runtime.storage.object_store import ObjectInfo
from flowjob.runtime.storage.paths import check_name
from flowjob.runtime.storage.s3_calls import S3Calls, S3Settings, connect, split_url
from flowjob.runtime.storage.s3_upload import Content, Upload

LISTED_AT_ONCE = 1000
DELETED_AT_ONCE = 1000
"""S3's own limits."""


class S3Store:
    """See ObjectStore. Nothing is sent before the first operation."""

    def __init__(
        self,
        location: StoreLocation,
        clock: Clock,
        chance: Random,
        run_blocking: Callable[..., Awaitable[Any]],
        *,
        settings: S3Settings | None = None,
        connect: Callable[[StoreLocation, S3Settings], Any] = connect,
    ) -> None:
        self._bucket, self._prefix = split_url(location.url)
        self._chance = chance
        self._run = run_blocking
        self._calls = S3Calls(
            location, clock, chance, run_blocking, settings or S3Settings(), connect=connect
        )

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    async def put(self, name: str, data: bytes | Path) -> None:
        await self._upload(name).put(await self._content(data))

    async def create(self, name: str, data: bytes) -> bool:
        return await self._upload(name).create(bytes(data))

    async def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            if await self.head(name) is None:
                raise ObjectMissing(f"{self._place(name)}: there is no such object")
            return b""
        asked: dict[str, Any] = {"Bucket": self._bucket, "Key": self._key(name)}
        if start or length is not None:
            end = "" if length is None else start + length - 1
            asked["Range"] = f"bytes={start}-{end}"

        def read(client: Any) -> bytes:
            with client.get_object(**asked)["Body"] as body:
                content: bytes = body.read()
                return content

        try:
            data: bytes = await self._calls(
                "read", self._place(name), read, expected=_is_told_by_get
            )
        except Exception as error:
            if s3_errors.is_absent(error):
                raise ObjectMissing(f"{self._place(name)}: there is no such object") from None
            if _is_behind_the_end(error):
                return b""
            raise
        return data

    async def head(self, name: str) -> ObjectInfo | None:
        try:
            found = await self._calls(
                "look at",
                self._place(name),
                lambda client: client.head_object(Bucket=self._bucket, Key=self._key(name)),
                expected=s3_errors.is_absent,
            )
        except Exception as error:
            if s3_errors.is_absent(error):
                return None
            raise
        return ObjectInfo(name, found["ContentLength"], _micros(found["LastModified"]))

    async def scan(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        root = self._root()
        asked = {
            "Bucket": self._bucket,
            "Prefix": root + prefix,
            "MaxKeys": LISTED_AT_ONCE,
        }
        while True:
            page = await self._calls(
                "list",
                f"{self.url}/{prefix}",
                lambda client: client.list_objects_v2(**asked),
            )
            for found in page.get("Contents", ()):
                name = found["Key"][len(root) :]
                if name and not name.endswith("/"):  # consoles make objects to show as folders
                    yield ObjectInfo(name, found["Size"], _micros(found["LastModified"]))
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    async def delete(self, names: list[str]) -> None:
        keys = [self._key(name) for name in names]
        for at in range(0, len(keys), DELETED_AT_ONCE):
            await self._delete_some(keys[at : at + DELETED_AT_ONCE])

    async def sweep(self, prefix: str, before: int) -> None:
        asked = {"Bucket": self._bucket, "Prefix": self._root() + prefix}
        place = f"{self.url}/{prefix}"
        while True:
            page = await self._calls(
                "list uploads of", place, lambda client: client.list_multipart_uploads(**asked)
            )
            for found in page.get("Uploads", ()):
                if _micros(found["Initiated"]) < before:
                    await self._abort(found["Key"], found["UploadId"])
            if not page.get("IsTruncated"):
                return
            asked["KeyMarker"] = page["NextKeyMarker"]
            asked["UploadIdMarker"] = page["NextUploadIdMarker"]

    async def close(self) -> None:
        await self._calls.close()

    async def _delete_some(self, keys: list[str]) -> None:
        place = f"s3://{self._bucket}/{keys[0]}" + (f" and {len(keys) - 1} more" * (len(keys) > 1))

        def delete(client: Any) -> list[dict[str, str]]:
            answer = client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": k} for k in keys], "Quiet": True}
            )
            failed: list[dict[str, str]] = answer.get("Errors", [])
            return failed

        failed = await self._calls("delete", place, delete)
        for failure in failed:
            if failure.get("Code") != "NoSuchKey":
                await self._delete_one(failure["Key"])

    async def _delete_one(self, key: str) -> None:
        """What a server would not delete together with others, it may delete alone, later; else it says why not."""
        await self._calls(
            "delete",
            f"s3://{self._bucket}/{key}",
            lambda client: client.delete_object(Bucket=self._bucket, Key=key),
        )

    async def _abort(self, key: str, id: str) -> None:
        try:
            await self._calls(
                "abort the upload of",
                f"s3://{self._bucket}/{key}",
                lambda client: client.abort_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=id
                ),
                expected=_is_no_upload,
            )
        except Exception as error:
            if not _is_no_upload(error):  # it has just ended by itself
                raise

    async def _content(self, data: bytes | Path) -> Content:
        if not isinstance(data, Path):
            return Content(bytes(data), len(data))
        try:
            status = await self._run(data.stat)
        except OSError as error:
            raise StorageError(f"cannot read {data}: {error.strerror}") from error
        return Content(data, status.st_size)

    def _upload(self, name: str) -> Upload:
        return Upload(
            self._calls, self._bucket, self._key(name), self._place(name), self._chance.token()
        )

    def _root(self) -> str:
        return f"{self._prefix}/" if self._prefix else ""

    def _key(self, name: str) -> str:
        return self._root() + check_name(name)

    def _place(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._root()}{name}"


def _micros(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)


def _is_behind_the_end(error: Exception) -> bool:
    return s3_errors.status_of(error) == 416


def _is_told_by_get(error: Exception) -> bool:
    return s3_errors.is_absent(error) or _is_behind_the_end(error)


def _is_no_upload(error: Exception) -> bool:
    return s3_errors.code_of(error) == "NoSuchUpload"
