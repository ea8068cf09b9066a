"""A bucket on an S3 server within the test's process (moto, from PyPI); sinks find it by boto3's usual means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import pytest


@contextmanager
def bucket_named(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A boto3 client; the bucket is empty, the environment says where it is."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    reset = Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urlopen(reset).close()  # it remembers what it was told as another server of this process
    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    yield client
    client.close()
    server.stop()
