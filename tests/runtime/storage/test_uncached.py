"""Files past the page cache have the same bytes as others, wherever writes end, and whatever the file system can do."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.runtime.storage import uncached
from flowjob.runtime.storage.uncached import STAGED, UncachedFile, becomes_the_object

AROUND = st.integers(0, 64).map(lambda n: n * 997) | st.sampled_from(
    [STAGED - 1, STAGED, STAGED + 1, 2 * STAGED, 2 * STAGED + 4095]
)


def pattern(count: int, seed: int) -> bytes:
    return bytes((seed + i) % 251 for i in range(997)) * (count // 997 + 1)


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(AROUND, max_size=6))
def test_it_has_what_was_written_to_it(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    path = tmp_path_factory.mktemp("files") / "state"
    pieces = [pattern(size, seed)[:size] for seed, size in enumerate(sizes)]
    with UncachedFile(path) as file:
        for piece in pieces:
            assert file.write(piece) == len(piece)
        assert file.tell() == sum(sizes)
    assert path.read_bytes() == b"".join(pieces)


def test_arrays_are_written_by_their_bytes(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    numbers = np.arange(1000)
    with UncachedFile(tmp_path / "state") as file:
        assert file.write(numbers) == numbers.nbytes
    assert (tmp_path / "state").read_bytes() == numbers.tobytes()


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"another's")
    with pytest.raises(FileExistsError), UncachedFile(path):
        raise AssertionError("nothing is written")
    assert path.read_bytes() == b"another's"


@pytest.mark.parametrize("refused", ["open", "write"])
def test_where_it_cannot_be_done_files_are_written_as_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    real_open, real_write = os.open, os.write

    def opened(path: Any, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT and refused == "open":
            real = real_open(path, flags & ~os.O_DIRECT, mode)  # tmpfs makes it, and then refuses
            os.close(real)
            raise OSError(errno.EINVAL, "no direct writes")
        return real_open(path, flags, mode)

    def written(descriptor: int, data: Any) -> int:
        if uncached._is_direct(descriptor) and refused == "write":
            raise OSError(errno.EINVAL, "no direct writes")
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "write", written)
    data = pattern(2 * STAGED + 5, 3)[: 2 * STAGED + 5]
    with UncachedFile(tmp_path / "state") as file:
        file.write(data)
    assert (tmp_path / "state").read_bytes() == data


def test_a_disk_that_takes_less_than_it_is_given_gets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, bytes(data[:5000])))
    data = pattern(STAGED + 17, 1)[: STAGED + 17]
    with UncachedFile(tmp_path / "state") as file:
        file.write(data)
    assert (tmp_path / "state").read_bytes() == data


def test_a_full_disk_is_said_and_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"), UncachedFile(tmp_path / "state") as file:
        file.write(b"x" * 100)
    monkeypatch.undo()
    assert set(os.listdir("/proc/self/fd")) == before


def test_only_what_a_directory_of_the_same_disk_takes_over_is_not_read_again(
    tmp_path: Path,
) -> None:
    assert becomes_the_object(str(tmp_path), tmp_path)
    assert becomes_the_object(f"file://{tmp_path}/to/be/made", tmp_path)
    assert not becomes_the_object("s3://bucket/prefix", tmp_path)
    assert not becomes_the_object("", tmp_path)
    assert not becomes_the_object("/proc", tmp_path)
    assert not becomes_the_object(str(tmp_path), tmp_path / "gone")
