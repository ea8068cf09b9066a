"""S3 servers to test against, each a process of its own: moto (from PyPI, in memory) and versitygw (a real one).

`make s3` installs versitygw into the environment by Go's module proxy; tests that need it are marked `s3`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowjob.runtime.env import StoreLocation

BUCKET = "flowjob-tests"
ACCESS_KEY, SECRET_KEY = "tests-access-key", "tests-secret-key"
READY_SECONDS = 30.0
VERSITYGW = Path(sys.executable).parent / "versitygw"


class S3Server:
    """May be stopped, killed and started again, at the same address and, if it is a real one, with the same objects."""

    def __init__(self, arguments: list[str], port: int, log: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._arguments = arguments
        self._port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
            )
        give_up = time.monotonic() + READY_SECONDS
        while time.monotonic() < give_up and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port)):
                return
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"{self._arguments[0]} did not start: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """As if the power failed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Connections are accepted, and nobody answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def location(self, prefix: str) -> StoreLocation:
        return StoreLocation(f"s3://{BUCKET}/{prefix}", self.endpoint, "us-east-1")

    def client(self) -> Any:
        """boto3's own, for looking behind the store's back."""
        import boto3
        from botocore.config import Config

        # Not the default session: it keeps the credentials of whoever came first in this process.
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )


@contextlib.contextmanager
def moto() -> Iterator[S3Server]:
    port = _free_port()
    with _running([sys.executable, "-m", "moto.server", "-p", str(port)], port) as server:
        yield server


def has_versitygw() -> bool:
    return VERSITYGW.exists()


@contextlib.contextmanager
def versitygw() -> Iterator[S3Server]:
    if not has_versitygw():
        raise RuntimeError("versitygw is not installed: run `make s3`")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="flowjob-s3-") as data:
        arguments = [str(VERSITYGW), "--quiet", "--keep-alive", "--port", f"127.0.0.1:{port}"]
        arguments += ["--region", "us-east-1", "posix", data]
        with _running(arguments, port) as server:
            yield server


@contextlib.contextmanager
def _running(arguments: list[str], port: int) -> Iterator[S3Server]:
    """With a bucket in it, and with credentials in the environment that every client here takes."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="flowjob-s3-log-") as logs,
    ):
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_REGION"):
            patch.delenv(name, raising=False)
        server = S3Server(arguments, port, Path(logs) / "log")
        server.start()
        try:
            client = server.client()
            client.create_bucket(Bucket=BUCKET)
            client.close()
            yield server
        finally:
            server.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
