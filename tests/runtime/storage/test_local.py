"""Directories as stores: nothing is seen half, everything is told, nothing is left."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowjob.errors import StorageError
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.storage import local
from flowjob.runtime.storage.local import LocalStore
from flowjob.runtime.storage.opening import open_object_store
from flowjob.runtime.storage.s3 import S3Store
from flowjob.testing import MockClock
from flowjob.testing.virtual_time import run_inline
from tests.runtime.storage.fakes import SeededRandom


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"), SeededRandom(), run_inline)


def files_in(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


@contextmanager
def failing(patch: pytest.MonkeyPatch, name: str, number: int) -> Iterator[None]:
    """Calls of os.<name> raise this error."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with patch.context() as inside:
        inside.setattr(os, name, fail)
        yield


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left.*Free some space"),
        (errno.EDQUOT, "Free some space"),
        (errno.EIO, "Input/output error"),
        (errno.EACCES, "Permission denied.*Let this user write"),
        (errno.EROFS, "Let this user write"),
    ],
)
@pytest.mark.parametrize("operation", ["put", "create"])
def test_a_write_that_fails_is_told_and_leaves_the_old_object_and_nothing_else(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, number: int,
    advice: str,
) -> None:  # fmt: skip
    asyncio.run(store.put("a/x", b"old"))
    with (
        failing(monkeypatch, "fsync", number),
        pytest.raises(StorageError, match=rf"cannot write {tmp_path}/store/a/[xy]: .*{advice}"),
    ):
        asyncio.run(store.put("a/x", b"new") if operation == "put" else store.create("a/y", b"new"))  # type: ignore[arg-type]
    assert files_in(tmp_path) == ["store/a/x"]
    assert asyncio.run(store.get("a/x")) == b"old"


@pytest.mark.parametrize("operation", ["put", "create"])
def test_an_object_has_no_name_before_its_bytes_are_on_disk(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    seen: list[list[str]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append(files_in(tmp_path / "store"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write = store.put if operation == "put" else store.create
    asyncio.run(write("x", b"data"))  # type: ignore[arg-type]
    written = [files for files in seen if files]
    assert all(
        f.startswith(local.UNFINISHED) for f in written[0]
    )  # the bytes, then the name, then the directory
    assert written[-1] == ["x"]


def test_a_file_on_the_same_file_system_becomes_the_object_without_being_copied(
    store: LocalStore, tmp_path: Path
) -> None:
    file = tmp_path / "spooled"
    file.write_bytes(b"data")
    os.utime(file, (1000, 1000))
    asyncio.run(store.put("a/x", file))
    made = (tmp_path / "store" / "a" / "x").stat()
    assert made.st_ino == file.stat().st_ino
    assert made.st_mtime > 1000  # or it would be swept as an old write before it has its name
    file.unlink()
    assert asyncio.run(store.get("a/x")) == b"data"


def test_a_file_on_another_file_system_is_copied(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "spooled"
    file.write_bytes(b"data")
    with failing(monkeypatch, "link", errno.EXDEV):
        asyncio.run(store.put("a/x", file))
    assert (tmp_path / "store" / "a" / "x").stat().st_ino != file.stat().st_ino
    assert asyncio.run(store.get("a/x")) == b"data"


def test_what_crashed_writers_left_is_never_shown_and_swept_when_it_is_old(
    store: LocalStore, tmp_path: Path
) -> None:
    async def scenario() -> None:
        await store.put("job/a", b"data")
        old, new = (tmp_path / "store" / "job" / (local.UNFINISHED + n) for n in ("old", "new"))
        empty = tmp_path / "store" / "job" / "deep" / "er"
        empty.mkdir(parents=True)
        buried = empty / (local.UNFINISHED + "old")
        other = tmp_path / "store" / "other"
        other.mkdir()
        foreign = other / (local.UNFINISHED + "old")
        for path in (old, new, buried, foreign):
            path.write_bytes(b"half")
        for path in (old, buried, foreign):
            os.utime(path, (1000, 1000))
        assert [found.name async for found in store.scan("")] == ["job/a"]
        await store.sweep("job/", 2_000_000_000)
        assert files_in(tmp_path / "store") == sorted(
            ["job/a", f"job/{new.name}", f"other/{foreign.name}"]
        )
        assert not empty.exists()
        await store.sweep("", 2_000_000_000)
        assert not other.exists()

    asyncio.run(scenario())


def test_directories_go_with_their_last_object_but_the_store_stays(
    store: LocalStore, tmp_path: Path
) -> None:
    async def scenario() -> None:
        await store.put("a/b/c/x", b"")
        await store.put("a/y", b"")
        await store.delete(["a/b/c/x"])
        assert sorted(p.name for p in (tmp_path / "store" / "a").iterdir()) == ["y"]
        await store.delete(["a/y"])
        assert list((tmp_path / "store").iterdir()) == []

    asyncio.run(scenario())


def test_a_directory_that_vanishes_before_the_first_byte_is_made_again(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir
    removals = [True, True, False]

    def mkdir(path: str, *rest: Any) -> None:
        real(path, *rest)
        if path.endswith("/a") and removals.pop(0):
            os.rmdir(path)  # as a deletion of the last object in it does

    monkeypatch.setattr(os, "mkdir", mkdir)
    asyncio.run(store.put("a/x", b"data"))
    assert files_in(tmp_path) == ["store/a/x"]


def test_a_file_where_a_directory_must_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    in_file = LocalStore(str(tmp_path / "file"), SeededRandom(), run_inline)
    with pytest.raises(StorageError, match=rf"cannot write {tmp_path}/file/x: Not a directory\. "):
        asyncio.run(in_file.put("x", b""))
    whole = LocalStore(str(tmp_path), SeededRandom(), run_inline)
    with pytest.raises(StorageError, match="Not a directory"):
        asyncio.run(whole.put("file/x", b""))
    (tmp_path / "directory" / "y").mkdir(parents=True)
    with pytest.raises(StorageError, match="Is a directory"):
        asyncio.run(whole.put("directory", b""))


def test_a_file_system_without_links_is_refused(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        failing(monkeypatch, "link", errno.EPERM),
        pytest.raises(StorageError, match=r"no hard links.*another file system"),
    ):
        asyncio.run(store.create("x", b""))


def test_a_link_whose_answer_was_lost_on_the_network_counts(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: str, target: str) -> None:
        real(source, target)
        raise FileExistsError(errno.EEXIST, "File exists", target)  # as the second try answers

    monkeypatch.setattr(os, "link", link)
    assert asyncio.run(store.create("x", b"")) is True


# -- locations


def opened(url: str, endpoint: str | None = None) -> Any:
    location = StoreLocation(url, endpoint)
    return open_object_store(location, MockClock(), SeededRandom(), run_inline)


def test_a_location_is_a_directory_or_a_bucket(tmp_path: Path) -> None:
    assert opened(str(tmp_path)).url == str(tmp_path)
    assert opened(f"file://{tmp_path}/a%20b").url == f"{tmp_path}/a b"
    assert isinstance(opened("s3://bucket/a/"), S3Store)
    assert opened("s3://bucket/a/").url == "s3://bucket/a"
    assert opened("s3://bucket").url == "s3://bucket"


@pytest.mark.parametrize(
    ("url", "endpoint", "complaint"),
    [
        ("", None, "is empty"),
        ("gs://bucket/x", None, "no store of the kind `gs`"),
        ("file://host/x", None, "three slashes"),
        ("s3:///x", None, "write s3://bucket/prefix"),
        ("s3://key:secret@bucket/x", None, "write s3://bucket/prefix"),
        ("s3://bucket", "localhost:9000", "http://host:port"),
        ("s3://bucket", "http://user:secret@host", "must not hold credentials"),
    ],
)
def test_what_is_no_location_is_refused_without_showing_secrets(
    url: str, endpoint: str | None, complaint: str
) -> None:
    with pytest.raises(StorageError, match=complaint) as told:
        opened(url, endpoint)
    assert "secret" not in str(told.value)
