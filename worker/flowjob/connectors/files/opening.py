"""Opens a file for reading from any position, compressed or not. Blocking; called off the loop.

The compression is told from the name's ending. Positions count uncompressed bytes, so a compressed file is read from
its beginning to get to one."""

from __future__ import annotations

import zipfile
from typing import Any, Protocol

import pyarrow as pa

from flowjob.errors import FlowjobError

CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".zstd": "zstd", ".lz4": "lz4"}
_SKIP = 1 << 20


class Bytes(Protocol):
    """An open stream of bytes."""

    def read(self, size: int) -> bytes: ...

    def close(self) -> None: ...


def compression_of(path: str) -> str | None:
    """The codec of a file by its name: one of Arrow's, or "zip"; None for a plain file."""
    if path.lower().endswith(".zip"):
        return "zip"
    return next((c for ending, c in CODECS.items() if path.lower().endswith(ending)), None)


def open_bytes(path: str, offset: int = 0) -> Bytes:
    """The uncompressed bytes of a file from `offset` on."""
    codec = compression_of(path)
    if codec is None:
        plain = open(path, "rb")  # noqa: SIM115 - whoever asked closes it
        plain.seek(offset)
        return plain
    stream = _ZipMember(path) if codec == "zip" else _Compressed(path, codec)
    while offset:
        skipped = len(stream.read(min(offset, _SKIP)))
        if not skipped:
            stream.close()
            raise FlowjobError(f"{path} ends {offset} bytes before the place to continue from")
        offset -= skipped
    return stream


class _Compressed:
    """Arrow's decompressing stream; it raises when the file was cut short."""

    def __init__(self, path: str, codec: str) -> None:
        self._path = path
        self._stream: Any = pa.input_stream(path, compression=codec)

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._stream.read(size)
        except OSError as error:
            raise OSError(f"{self._path} cannot be decompressed: {error}") from error
        return data

    def close(self) -> None:
        self._stream.close()


class _ZipMember:
    """The only member of a zip archive."""

    def __init__(self, path: str) -> None:
        self._archive = zipfile.ZipFile(path)
        names = [
            i.filename
            for i in self._archive.infolist()
            if not i.is_dir() and not i.filename.startswith("__MACOSX/")
        ]
        if len(names) != 1:
            self._archive.close()
            raise FlowjobError(
                f"{path} has {len(names)} files in it ({', '.join(names[:5])}); a zip is read when "
                "it has exactly one. Unpack it and read the files."
            )
        self._member = self._archive.open(names[0])

    def read(self, size: int) -> bytes:
        return self._member.read(size)

    def close(self) -> None:
        self._member.close()
        self._archive.close()
