"""A job's code, as its job file names it: fetched once and kept at pre-flight, and the same in every pod since.

`keep` is for pre-flight, `entrypoint_of` for every pod that runs the job: it verifies the digest before anything of the
code is imported. From where may be fetched is judged by artifact_rules.py, archives are opened by unpacking.py."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote

from flowjob.cluster.artifact_rules import ArtifactRules, Source, rules_of, source_of
from flowjob.cluster.places import artifact_name, job_paths, location_of, store_of
from flowjob.cluster.unpacking import unpack
from flowjob.entrypoint import Entrypoint, locate
from flowjob.errors import BadArtifact
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.real.stores import OpenStore, with_stores
from flowjob.runtime.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from flowjob.cluster.job_file import JobFile, Program

CHUNK = 8 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """digest    sha256 in hexadecimal digits
    location  where it is kept
    path      of the copy here"""

    digest: str
    location: str
    path: Path


def keep(file: JobFile, directory: Path) -> Kept:
    """Fetches the artifact of a job file into `directory`, and keeps it in the job's part of its storage, under its
    digest. May be repeated. Raises BadArtifact, StorageError."""
    location = store_of(file)
    copy, digest = _fetch(file, directory)
    name = artifact_name(job_paths(file), digest, copy.name)

    async def store(open_store: OpenStore) -> str:
        target = open_store(location)
        found = await target.head(name)
        if found is None or found.size != copy.stat().st_size:
            again = directory / f"{copy.name}.kept"  # a store may take the file itself
            shutil.copyfile(copy, again)
            await target.put(name, again)
            again.unlink(missing_ok=True)
        return f"{target.url.rstrip('/')}/{name}"

    return Kept(digest, with_stores(store), copy)


def entrypoint_of(file: JobFile, directory: Path) -> Entrypoint:
    """What this pod imports, its code verified: the same path in every pod that has the same `directory`. An artifact
    is fetched from where pre-flight has kept it, and unpacked there, once. Raises BadArtifact, StorageError, and
    PlanError where no job can be."""
    program = file.program
    if program.entrypoint is not None:
        return locate(program.entrypoint, program.args, Path.cwd())
    if program.script is not None:
        verify(Path(program.script), program.digest)
        return locate(program.script, program.args, Path.cwd())
    if program.artifact is None:
        raise BadArtifact("the job file names no program: entrypoint, script or artifact")
    return located(program, unpacked(file, directory))


def unpacked(file: JobFile, directory: Path) -> Path:
    """The directory with the artifact's modules, made if it is not there yet: whole, or not at all. Raises BadArtifact,
    StorageError."""
    digest = _digest(file.program)
    if not digest or not digest.isalnum():
        shown = (file.program.artifact or "").partition("?")[0]
        raise BadArtifact(
            f"the job file has no digest for {shown}: code that nobody has pinned is not run"
        )
    target = directory / "program" / digest
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as scratch:
        copy, _ = _fetch(file, Path(scratch))
        ready = Path(scratch) / "ready"
        unpack(copy, ready)
        try:
            ready.rename(target)
        except OSError:
            if not target.is_dir():  # else another process of this pod was quicker
                raise
    return target


def located(program: Program, directory: Path) -> Entrypoint:
    """Where in an unpacked artifact the job is."""
    scripts = list(directory.glob("*.py"))
    if (program.artifact or "").partition("?")[0].endswith(".py") and len(scripts) == 1:
        attribute = f":{program.main.rpartition(':')[2]}" if program.main else ""
        return locate(f"{scripts[0].name}{attribute}", program.args, directory)
    if not program.main:
        raise BadArtifact("say in `main` where in the artifact the job is: module:attribute")
    return locate(program.main, program.args, directory)


def verify(path: Path, digest: str | None) -> str:
    """The sha256 of a file, in hexadecimal digits. Raises BadArtifact when it is not the one that was said."""
    expected = (digest or "").removeprefix("sha256:").lower()
    try:
        with open(path, "rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadArtifact(f"{path} cannot be read: {error.strerror}") from None
    if expected and actual != expected:
        raise BadArtifact(
            f"{path.name} is not the code of this revision: its sha256 is {actual}, and {expected} was pinned at "
            "pre-flight. Publish changed code under another name, or change the FlowJob so that it is fetched anew"
        )
    return actual


def _digest(program: Program) -> str | None:
    return program.digest.removeprefix("sha256:").lower() if program.digest else None


def _fetch(file: JobFile, directory: Path) -> tuple[Path, str]:
    """A copy in `directory`, verified if a digest is known; and its digest."""
    url, rules = file.program.artifact or "", rules_of(file.config)
    own = _own(file, url)
    if own is not None:
        target = directory / os.path.basename(unquote(url))
        _get(*own, target, rules)
        return target, verify(target, file.program.digest)
    source = source_of(url, rules)
    target = directory / source.name
    if source.scheme == "file":
        _copy(Path(source.path), target, rules)
    elif source.scheme == "s3":
        bucket, _, name = url.removeprefix("s3://").partition("/")
        base = location_of(file.storage) if file.storage is not None else StoreLocation("")
        parent, _, last = name.rpartition("/")
        place = base.at(f"s3://{bucket}/{parent}".rstrip("/"))
        _get(place, last, target, rules)
    else:
        _download(file, source, target, rules)
    return target, verify(target, file.program.digest)


def _own(file: JobFile, url: str) -> tuple[StoreLocation, str] | None:
    """Location and name of what pre-flight has kept; None for what lies elsewhere."""
    if file.storage is None:
        return None
    location = location_of(file.storage)
    root = location.url.removeprefix("file://").rstrip("/")
    name = url.removeprefix("file://").removeprefix(f"{root}/")
    digest = _digest(file.program)
    kept = artifact_name(job_paths(file), digest, "").removesuffix("~") if digest else None
    return (location, name) if kept and name.startswith(kept) else None


def _get(location: StoreLocation, name: str, target: Path, rules: ArtifactRules) -> None:
    with open(target, "wb") as file:
        with_stores(lambda open_store: _read_into(file, open_store(location), name, rules))


async def _read_into(file: BinaryIO, store: ObjectStore, name: str, rules: ArtifactRules) -> None:
    found = await store.head(name)
    if found is None:
        raise BadArtifact(f"there is no artifact {store.url.rstrip('/')}/{name}")
    if found.size > rules.max_bytes:
        raise BadArtifact(
            f"{store.url.rstrip('/')}/{name} has {found.size:,} bytes, more than the {rules.max_bytes:,} of "
            "artifacts.maxBytes"
        )
    for start in range(0, found.size, CHUNK):
        file.write(await store.get(name, start, CHUNK))


def _copy(path: Path, target: Path, rules: ArtifactRules) -> None:
    try:
        if path.stat().st_size > rules.max_bytes:
            raise BadArtifact(
                f"{path} has more than {rules.max_bytes:,} bytes (artifacts.maxBytes)"
            )
        shutil.copyfile(path, target)
    except OSError as error:
        raise BadArtifact(f"{path} cannot be read: {error.strerror}") from None


def _download(file: JobFile, source: Source, target: Path, rules: ArtifactRules) -> None:
    from flowjob.runtime.real.downloading import download

    download(source, target, rules, None if file.storage is None else file.storage.ca_bundle)
