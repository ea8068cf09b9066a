"""A bucket as a place for a sink's files: a multipart upload per file, completed when the file is committed.

A file is written to local disk first and uploaded when it is staged. What S3 holds of an upload that is not complete
is invisible and durable, which is just what a commit needs. botocore is imported on first use: local jobs never pay."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flowjob.connectors.files.staged import Staged, is_left, lost
from flowjob.connectors.leftovers import Leftovers
from flowjob.errors import PlanError
from flowjob.runtime.storage.s3_errors import is_from_s3, told
from flowjob.runtime.storage.s3_sessions import session_with

PART_BYTES = 16 << 20
"""S3 wants at least 5 MiB in every part but the last, and at most 10,000 parts."""


def split_url(url: str) -> tuple[str, str]:
    """(bucket, prefix without slashes at its ends) of `s3://bucket/prefix`. Raises PlanError."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise PlanError(f"{url}: write s3://bucket/prefix")
    return parts.netloc, parts.path.strip("/")


class S3Place:
    """See staged.Place. `scratch` is a local directory; credentials, region, endpoint come as botocore finds them."""

    def __init__(self, url: str, scratch: Path) -> None:
        self._url = url.rstrip("/")
        self._scratch = scratch
        self._client: Any = None

    def prepare(self, prefix: str) -> int:
        self._scratch.mkdir(parents=True, exist_ok=True)
        with _telling("list", self._url):
            return self._first_number(prefix)

    def _first_number(self, prefix: str) -> int:
        bucket, at = split_url(self._url)
        start = _key(at, prefix)
        used = -1
        for page in (
            self._s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
        ):
            for found in page.get("Contents", ()):
                digits = found["Key"][len(start) :].split(".")[0]
                used = max(used, int(digits)) if digits.isdigit() else used
        return used + 1

    def sweep(self, run: str, leftovers: Leftovers, keep: frozenset[str]) -> None:
        bucket, at = split_url(self._url)
        with _telling("list unfinished uploads of", self._url):
            pages = self._s3().get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=bucket, Prefix=_key(at, run)):
                for found in page.get("Uploads", ()):
                    name = found["Key"].removeprefix(_key(at, ""))
                    if is_left(name, run, leftovers) and name not in keep:
                        self._abort(bucket, found["Key"], found["UploadId"])

    def path(self, name: str) -> str:
        return str(self._scratch / name)

    def stage(self, name: str) -> Staged:
        with _telling("upload", f"{self._url}/{name}"):
            return self._upload(name)

    def _upload(self, name: str) -> Staged:
        bucket, at = split_url(self._url)
        key, path = _key(at, name), self.path(name)
        s3 = self._s3()
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        tags: list[str] = []
        size = 0
        try:
            with open(path, "rb") as file:
                while (piece := file.read(PART_BYTES)) or not tags:
                    answer = s3.upload_part(
                        Bucket=bucket,
                        Key=key,
                        UploadId=upload,
                        PartNumber=len(tags) + 1,
                        Body=piece,
                    )
                    tags.append(answer["ETag"])
                    size += len(piece)
        except BaseException:
            self._abort(bucket, key, upload)
            raise
        os.unlink(path)
        return Staged(place=self._url, name=name, size=size, upload=upload, parts=tags)

    def publish(self, staged: Staged) -> None:
        bucket, at = split_url(staged.place)
        key = _key(at, staged.name)
        with _telling("make visible", f"{staged.place}/{staged.name}"):
            size = self._size(bucket, key)
            if size is None:
                self._complete(bucket, key, staged)
            elif size != staged.size:
                raise lost(staged, f"the object has {size:,} bytes now")

    def discard(self, name: str, staged: Staged | None) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(name))
        if staged is not None:
            bucket, at = split_url(staged.place)
            self._abort(bucket, _key(at, staged.name), staged.upload)

    def _size(self, bucket: str, key: str) -> int | None:
        """Of the object, when it is visible already."""
        from botocore.exceptions import ClientError

        try:
            size: int = self._s3().head_object(Bucket=bucket, Key=key)["ContentLength"]
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
                raise
            return None
        return size

    def _complete(self, bucket: str, key: str, staged: Staged) -> None:
        from botocore.exceptions import ClientError

        upload = {"Bucket": bucket, "Key": key, "UploadId": staged.upload}
        parts = [{"PartNumber": i + 1, "ETag": tag} for i, tag in enumerate(staged.parts)]
        s3 = self._s3()
        try:
            # Asked first, because not every server's answer to completing an unknown upload says that it is unknown.
            s3.list_parts(**upload, MaxParts=1)
            s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchUpload":
                raise
            if self._size(bucket, key) != staged.size:  # else another one was quicker
                raise lost(staged, "neither its upload nor the object exists") from None

    def _abort(self, bucket: str, key: str, upload: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        # An upload that stays costs storage, not rows: the next sweep takes it.
        with contextlib.suppress(BotoCoreError, ClientError):
            self._s3().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)

    def _s3(self) -> Any:
        if self._client is None:
            from botocore.config import Config

            self._client = session_with(None).create_client(
                "s3",
                config=Config(
                    s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else {},
                    signature_version="s3v4",
                    retries={"mode": "standard", "max_attempts": 5},
                    connect_timeout=10,
                    read_timeout=60,
                ),
            )
        return self._client


@contextlib.contextmanager
def _telling(operation: str, place: str) -> Iterator[None]:
    """What the server or the way to it did wrong is no defect of anybody's program: told in a line, and tried again."""
    try:
        yield
    except Exception as error:
        if is_from_s3(error):
            raise told(error, operation, place) from error
        raise


def _key(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
