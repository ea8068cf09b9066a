"""Where a run keeps its checkpoints: a directory, a small disk that gets full, an S3 server that goes away.

Each can be asked what is in it, and be struck by the fault that is its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests import s3_servers
from tests.recovery.store import objects_in

DISK_BYTES = 64 << 20


class Place(Protocol):
    def options(self) -> list[str]:
        """Of `flowjob run`."""
        ...

    def names(self) -> list[str]:
        """Of all objects; may raise OSError while it is struck."""
        ...

    def objects(self) -> dict[str, bytes]: ...

    def strike(self) -> None: ...

    def heal(self) -> None: ...

    def out(self) -> str:
        """Where sinks that write to it are to write; it may be struck as the checkpoints are."""
        ...

    def environment(self) -> dict[str, str]:
        """What sinks need to get there."""
        ...

    def fetch(self, into: Path) -> None:
        """Brings what is at `out` there, and what is hidden under the name that a directory would give it."""
        ...


@dataclass
class Directory:
    path: Path

    def options(self) -> list[str]:
        return ["--checkpoints", str(self.path)]

    def names(self) -> list[str]:
        return [str(p.relative_to(self.path)) for p in self.path.rglob("*.json")]

    def objects(self) -> dict[str, bytes]:
        return objects_in(self.path)

    def strike(self) -> None: ...

    def heal(self) -> None: ...

    def out(self) -> str:
        return str(self.path.with_name("out"))

    def environment(self) -> dict[str, str]:
        return {}

    def fetch(self, into: Path) -> None:
        if self.path.with_name("out").exists():
            shutil.copytree(self.path.with_name("out"), into)


@dataclass
class SmallDisk(Directory):
    """The ballast is beside the checkpoints, on the same disk."""

    path: Path = field(init=False)
    disk: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        self.path = self.disk / "checkpoints"

    def strike(self) -> None:
        with contextlib.suppress(OSError), open(self.disk / "ballast", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))

    def heal(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.disk / "ballast")


@dataclass
class Bucket:
    """`frozen`: the server forgets everything when it ends, so it is only stopped."""

    server: s3_servers.S3Server
    prefix: str
    frozen: bool

    def options(self) -> list[str]:
        location = self.server.location(self.prefix)
        return ["--checkpoints", location.url, "--endpoint", self.server.endpoint]

    def names(self) -> list[str]:
        return list(self._keys())

    def objects(self) -> dict[str, bytes]:
        return dict(self._objects(self.prefix))

    def strike(self) -> None:
        self.server.pause() if self.frozen else self.server.kill()

    def heal(self) -> None:
        self.server.resume() if self.frozen else self.server.start()

    def out(self) -> str:
        return f"s3://{s3_servers.BUCKET}/out"

    def environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.server.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}

    def fetch(self, into: Path) -> None:
        for key, data in self._objects("out"):
            path = into / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        with contextlib.closing(self.server.client()) as client:
            uploads = client.list_multipart_uploads(Bucket=s3_servers.BUCKET).get("Uploads", ())
        for key in (Path(upload["Key"]).relative_to("out") for upload in uploads):
            (into / key.parent).mkdir(parents=True, exist_ok=True)
            (into / key.parent / f".{key.name}.inprogress").touch()

    def _keys(self) -> Iterator[str]:
        with contextlib.closing(self.server.client()) as client:
            yield from self._listed(client, self.prefix)

    def _objects(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Those below a prefix, by their names behind it."""
        with contextlib.closing(self.server.client()) as client:
            for key in self._listed(client, prefix):
                answer = client.get_object(Bucket=s3_servers.BUCKET, Key=f"{prefix}/{key}")
                yield key, answer["Body"].read()

    def _listed(self, client: Any, prefix: str) -> Iterator[str]:
        pages = client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=s3_servers.BUCKET, Prefix=f"{prefix}/"):
            for item in page.get("Contents", ()):
                yield item["Key"].removeprefix(f"{prefix}/")


@contextlib.contextmanager
def opened(store: str, directory: Path) -> Iterator[Place]:
    """`store` as scenario.Scenario says; temporary things are in `directory`."""
    if store == "small disk":
        disk = directory / "disk"
        disk.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], check=True
        )
        try:
            yield SmallDisk(disk=disk)
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
    elif store in ("moto", "s3"):
        with (s3_servers.moto if store == "moto" else s3_servers.versitygw)() as server:
            yield Bucket(server, "chaos", frozen=store == "moto")
    else:
        yield Directory(directory / "checkpoints")


def can_mount(directory: Path) -> bool:
    """Whether there can be a small disk: root may, outside of strict containers."""
    directory.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)],
        check=False,
        capture_output=True,
    )
    if done.returncode == 0:
        subprocess.run(["umount", str(directory)], check=True)
    return done.returncode == 0
