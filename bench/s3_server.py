"""A real S3 server of this machine to measure against: versitygw, which `make bench` builds.

Its objects are files in a temporary directory. Credentials are in the environment while it runs, as every client here
takes them from there."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

BUCKET = "flowjob-bench"
REGION = "us-east-1"
KEY, SECRET = "bench-access-key", "bench-secret-key"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
READY_SECONDS = 30.0


@dataclass(frozen=True)
class S3Server:
    """A running one."""

    endpoint: str

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}"

    def client(self) -> Any:
        import boto3

        return boto3.client("s3", endpoint_url=self.endpoint, region_name=REGION)

    def bytes_below(self, url: str) -> int:
        """What all objects below a place in the bucket have together."""
        prefix = url.removeprefix(f"{self.url}/").rstrip("/") + "/"
        with contextlib.closing(self.client()) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
            return sum(found["Size"] for page in pages for found in page.get("Contents", ()))


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """An empty one. Raises RuntimeError where it is not installed, or does not start."""
    program = shutil.which("versitygw", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        raise RuntimeError("versitygw, an S3 server, is not installed: `make bench` builds it")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        tempfile.TemporaryDirectory(prefix="flowjob-bench-s3-") as directory,
        mock.patch.dict(os.environ, ENVIRONMENT),
    ):
        objects = Path(directory, "objects")
        objects.mkdir()
        arguments = [program, "--quiet", "--keep-alive", "--port", f"127.0.0.1:{port}"]
        arguments += ["--region", REGION, "posix", str(objects)]
        with _process(arguments, Path(directory, "log"), port):
            server = S3Server(f"http://127.0.0.1:{port}")
            with contextlib.closing(server.client()) as client:
                client.create_bucket(Bucket=BUCKET)
            yield server


@contextlib.contextmanager
def _process(arguments: list[str], log: Path, port: int) -> Iterator[None]:
    environment = {**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, env=environment)
    try:
        give_up = time.monotonic() + READY_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"the S3 server did not start: {log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
