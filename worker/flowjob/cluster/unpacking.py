"""Unpacks a job's code: a script, a zip of modules, or a wheel; with nothing from an index, and nobody else's packages.

What is in an archive is input: names that lead out of the directory, links, and archives that grow beyond all measure
are refused before anything is written. It must not know where archives come from."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import lzma
import platform
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from flowjob.errors import BadArtifact

MOST_FILES = 20_000
MOST_BYTES = 2 << 30
"""Unpacked."""

# What zipfile lets through of bytes that are none of its own: names that are no text, unknown methods, broken streams.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ValueError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
)


def unpack(artifact: Path, directory: Path) -> None:
    """Puts the modules of `artifact` into the new `directory`. Raises BadArtifact."""
    directory.mkdir(parents=True)
    if artifact.suffix == ".py":
        shutil.copyfile(artifact, directory / artifact.name)
        return
    if artifact.suffix == ".whl":
        check_wheel_name(artifact.name)
    try:
        with zipfile.ZipFile(artifact) as archive:
            _check(archive, artifact.name)
            archive.extractall(directory)
    except _DAMAGED as error:
        raise BadArtifact(f"{artifact.name} cannot be unpacked: {error}") from None
    if artifact.suffix == ".whl":
        _check_record(directory, artifact.name)
        _spread(directory)


def check_wheel_name(name: str) -> None:
    """Raises BadArtifact for a wheel that is for another Python or machine. Only the name is looked at, as pip does."""
    parts = name.removesuffix(".whl").split("-")
    if len(parts) not in (5, 6):
        raise BadArtifact(
            f"{name} is not named as wheels are: name-version-python-abi-platform.whl"
        )
    pythons, abis, platforms = (part.split(".") for part in parts[-3:])
    major, minor = sys.version_info[:2]
    mine = {f"cp{major}{minor}", f"py{major}{minor}", f"py{major}", f"cp{major}"}
    older = {f"{kind}{major}{m}" for kind in ("py", "cp") for m in range(minor)}
    stable = "abi3" in abis or "none" in abis
    if not mine & set(pythons) and not (stable and older & set(pythons)):
        raise BadArtifact(
            f"{name} is for {', '.join(pythons)}, and the image has Python {major}.{minor}"
        )
    if not {"none", "abi3", f"cp{major}{minor}"} & set(abis):
        raise BadArtifact(
            f"{name} is for another ABI than that of Python {major}.{minor}: {', '.join(abis)}"
        )
    machine = platform.machine().lower()
    if not any(p == "any" or (p.endswith(f"_{machine}") and "linux" in p) for p in platforms):
        raise BadArtifact(
            f"{name} is for {', '.join(platforms)}, and this machine is linux_{machine}"
        )


def _check(archive: zipfile.ZipFile, name: str) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise BadArtifact(
            f"{name} unpacks to more than {MOST_FILES:,} files, or {MOST_BYTES:,} bytes"
        )
    seen: set[str] = set()
    for entry in entries:
        path = PurePosixPath(entry.filename)
        odd = "\\" in entry.filename or "\0" in entry.filename or ":" in entry.filename
        if odd or path.is_absolute() or ".." in path.parts or not path.parts:
            raise BadArtifact(f"{name} holds `{entry.filename}`, which leads out of its directory")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadArtifact(
                f"{name} holds `{entry.filename}`, which is neither a file nor a directory"
            )
        if str(path) in seen and not entry.is_dir():
            raise BadArtifact(f"{name} holds `{entry.filename}` twice")
        seen.add(str(path))


def _check_record(directory: Path, name: str) -> None:
    """Holds a wheel's files against its own list of them."""
    records = list(directory.glob("*.dist-info/RECORD"))
    if len(records) != 1:
        raise BadArtifact(f"{name} is no wheel: it has {len(records)} lists of its files (RECORD)")
    rows = csv.reader(io.StringIO(records[0].read_text(errors="replace")))
    for row in rows:
        path, digest = [*row, "", ""][:2]
        algorithm, _, expected = digest.partition("=")
        if algorithm != "sha256":  # of RECORD itself there is none
            continue
        file = directory / path
        if ".." in PurePosixPath(path).parts or not file.is_file():
            raise BadArtifact(f"{name} lists {path}, which is not in it")
        actual = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest())
        if actual.rstrip(b"=").decode() != expected.rstrip("="):
            raise BadArtifact(f"{name} is damaged: {path} is not what its list says")


def _spread(directory: Path) -> None:
    """What an installation would put beside the modules. Scripts and headers are not needed."""
    for data in directory.glob("*.data"):
        for part in ("purelib", "platlib"):
            if (data / part).is_dir():
                shutil.copytree(data / part, directory, dirs_exist_ok=True)
