"""Puts one object into a bucket: in one request when it is small, else in parts that go up side by side.

An upload in parts is invisible until it is completed, and aborted when anything fails. It must not know who asks."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowjob.errors import StorageError
from flowjob.runtime.storage import s3_errors
from flowjob.runtime.storage.s3_calls import S3Calls

MOST_PARTS = 10_000
"""S3's own limit."""

WRITER = "flowjob-writer"
"""Metadata that tells whose object it is: random for each write, so that an answer that was lost can be asked for."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes, or a file of which `size` bytes are sent."""

    data: bytes | Path
    size: int

    def part(self, start: int, length: int) -> bytes | memoryview:
        if isinstance(self.data, bytes):
            return memoryview(self.data)[start : start + length]
        try:
            with open(self.data, "rb") as file:
                file.seek(start)
                read = file.read(length)
        except OSError as error:
            raise StorageError(f"cannot read {self.data}: {error.strerror}") from error
        if len(read) != length:
            raise StorageError(f"{self.data} has become shorter while it was stored")
        return read


@dataclass(frozen=True, slots=True)
class Upload:
    """One object to be written to `key`; `place` is its name for people, `token` this write's own."""

    calls: S3Calls
    bucket: str
    key: str
    place: str
    token: str

    async def put(self, content: Content) -> None:
        if content.size < self.calls.settings.multipart_from:
            await self._put_whole(content)
        else:
            await self._put_parts(content)

    async def create(self, data: bytes) -> bool:
        """Whether there was no such object, and now there is ours."""

        def put(client: Any) -> None:
            client.put_object(
                Bucket=self.bucket,
                Key=self.key,
                Body=data,
                IfNoneMatch="*",
                Metadata={WRITER: self.token},
            )

        try:
            await self.calls("create", self.place, put, expected=_exists_already)
        except Exception as error:
            if not _exists_already(error):
                raise
            # An earlier try may have worked and its answer been lost; then the object that is there is ours.
            return await self._is_ours()
        return True

    async def _put_whole(self, content: Content) -> None:
        def put(client: Any) -> None:
            body = bytes(content.part(0, content.size))
            client.put_object(
                Bucket=self.bucket, Key=self.key, Body=body, Metadata={WRITER: self.token}
            )

        await self.calls("write", self.place, put)

    async def _put_parts(self, content: Content) -> None:
        begun = await self.calls(
            "write",
            self.place,
            lambda client: client.create_multipart_upload(
                Bucket=self.bucket, Key=self.key, Metadata={WRITER: self.token}
            ),
        )
        id = begun["UploadId"]
        try:
            await self._complete(id, await self._send_parts(id, content))
        except BaseException:
            # A part that a thread is still sending may come after this; sweeping finds what that leaves.
            with contextlib.suppress(StorageError):
                await self._abort(id)
            raise

    async def _send_parts(self, id: str, content: Content) -> list[dict[str, Any]]:
        settings = self.calls.settings
        length = max(settings.part_bytes, -(-content.size // MOST_PARTS))
        free = asyncio.Semaphore(settings.parts_at_once)

        async def send(number: int, start: int) -> dict[str, Any]:
            def upload(client: Any) -> Any:
                return client.upload_part(
                    Bucket=self.bucket,
                    Key=self.key,
                    UploadId=id,
                    PartNumber=number,
                    Body=bytes(content.part(start, min(length, content.size - start))),
                )

            async with free:
                answer = await self.calls("write", self.place, upload)
            return {"PartNumber": number, "ETag": answer["ETag"]}

        try:
            async with asyncio.TaskGroup() as group:
                sent = [
                    group.create_task(send(number, start))
                    for number, start in enumerate(range(0, content.size, length), 1)
                ]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in sent]

    async def _complete(self, id: str, parts: list[dict[str, Any]]) -> None:
        try:
            await self.calls(
                "write",
                self.place,
                lambda client: client.complete_multipart_upload(
                    Bucket=self.bucket,
                    Key=self.key,
                    UploadId=id,
                    MultipartUpload={"Parts": parts},
                ),
                expected=_is_no_upload,
            )
        except Exception as error:
            if not _is_no_upload(error):
                raise
            if not await self._is_ours():
                raise s3_errors.told(error, "write", self.place) from error

    async def _abort(self, id: str) -> None:
        await self.calls(
            "abort the upload of",
            self.place,
            lambda client: client.abort_multipart_upload(
                Bucket=self.bucket, Key=self.key, UploadId=id
            ),
        )

    async def _is_ours(self) -> bool:
        try:
            found = await self.calls(
                "look at",
                self.place,
                lambda client: client.head_object(Bucket=self.bucket, Key=self.key),
                expected=s3_errors.is_absent,
            )
        except Exception as error:
            if s3_errors.is_absent(error):
                return False
            raise
        metadata = {name.lower(): value for name, value in found.get("Metadata", {}).items()}
        return bool(metadata.get(WRITER) == self.token)


def _exists_already(error: Exception) -> bool:
    return s3_errors.status_of(error) == 412


def _is_no_upload(error: Exception) -> bool:
    return s3_errors.code_of(error) == "NoSuchUpload"
