"""A job's code on its way from where it lies into every pod: kept under its digest, verified, unpacked once."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from flowjob.cluster.artifacts import entrypoint_of, keep, unpacked, verify
from flowjob.cluster.job_file import JobFile, Program, Storage
from flowjob.entrypoint import load
from flowjob.errors import BadArtifact, PlanError, StorageError
from tests.cluster.job_files import PROGRAM, a_job_file, sha256
from tests.cluster.test_unpacking import WHEEL, wheel, zipped
from tests.s3_servers import BUCKET, moto


def with_program(file: JobFile, **changes: object) -> JobFile:
    return msgspec.structs.replace(file, program=msgspec.structs.replace(file.program, **changes))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "lies" / "packed_flights.py"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    return path


def test_an_artifact_is_kept_under_its_digest_and_found_there_by_every_pod(
    tmp_path: Path, script: Path
) -> None:
    file = a_job_file(tmp_path / "root", Program(artifact=str(script), args={"width": "3"}))
    kept = keep(file, _made(tmp_path / "preflight"))
    digest = sha256(script.read_bytes())
    assert kept.digest == digest
    place = tmp_path / "root/shop/flights/0f3c/artifacts" / digest / "packed_flights.py"
    assert kept.location == str(place)
    assert place.read_text() == PROGRAM

    script.unlink()  # what comes later does not need it any more
    pinned = with_program(file, artifact=kept.location, digest=f"sha256:{digest}")
    first = entrypoint_of(pinned, tmp_path / "pod")
    assert first == entrypoint_of(pinned, tmp_path / "pod")
    assert first.target == str(tmp_path / "pod/program" / digest / "packed_flights.py")
    assert load(first).name == "flights"
    sys.modules.pop("packed_flights")


def test_keeping_again_changes_nothing(tmp_path: Path, script: Path) -> None:
    file = a_job_file(tmp_path / "root", Program(artifact=f"file://{script}"))
    first = keep(file, _made(tmp_path / "a"))
    written = Path(first.location).stat().st_mtime_ns
    assert keep(file, _made(tmp_path / "b")).location == first.location
    assert Path(first.location).stat().st_mtime_ns == written


@pytest.mark.parametrize("kind", ["zip", "wheel"])
def test_archives_are_imported_from_where_they_are_unpacked(tmp_path: Path, kind: str) -> None:
    files = {"zipped_flights/__init__.py": b"", "zipped_flights/jobs.py": PROGRAM.encode()}
    archive = zipped(tmp_path / "a.zip", files) if kind == "zip" else wheel(tmp_path, files)
    program = Program(artifact=str(archive), main="zipped_flights.jobs:job")
    file = a_job_file(tmp_path / "root", program)
    kept = keep(file, _made(tmp_path / "preflight"))
    assert kind == "zip" or kept.location.endswith(WHEEL)
    pinned = with_program(file, artifact=kept.location, digest=kept.digest)
    found = entrypoint_of(pinned, tmp_path / "pod")
    assert load(found).name == "flights"
    assert str(tmp_path / "pod") in str(sys.modules["zipped_flights.jobs"].__file__)
    for name in ("zipped_flights.jobs", "zipped_flights"):
        sys.modules.pop(name)
    sys.path.remove(found.sys_path[0])


def test_changed_code_is_not_run(tmp_path: Path, script: Path) -> None:
    file = a_job_file(tmp_path / "root", Program(artifact=str(script)))
    kept = keep(file, _made(tmp_path / "preflight"))
    pinned = with_program(file, artifact=kept.location, digest=kept.digest)
    Path(kept.location).write_text("print('somebody else')")
    with pytest.raises(BadArtifact, match="is not the code of this revision"):
        entrypoint_of(pinned, tmp_path / "pod")
    assert not list((tmp_path / "pod").rglob("*.py"))
    with pytest.raises(BadArtifact, match="code that nobody has pinned is not run"):
        entrypoint_of(with_program(pinned, digest=None), tmp_path / "pod")


def test_a_script_is_verified_where_it_is_mounted(tmp_path: Path, script: Path) -> None:
    file = a_job_file(tmp_path, Program(script=str(script), digest=sha256(PROGRAM.encode())))
    assert entrypoint_of(file, tmp_path / "pod").target == str(script)
    script.write_text(PROGRAM + "#")
    with pytest.raises(BadArtifact, match="was pinned at pre-flight"):
        entrypoint_of(file, tmp_path / "pod")


def test_a_copy_that_was_broken_off_is_made_anew(tmp_path: Path, script: Path) -> None:
    file = a_job_file(tmp_path / "root", Program(artifact=str(script)))
    kept = keep(file, _made(tmp_path / "preflight"))
    pinned = with_program(file, artifact=kept.location, digest=kept.digest)
    (tmp_path / "pod/program/.fetching-dead").mkdir(parents=True)
    assert unpacked(pinned, tmp_path / "pod").is_dir()
    Path(kept.location).write_bytes(b"cut")
    assert keep(file, _made(tmp_path / "again")).location == kept.location
    assert verify(Path(kept.location), kept.digest) == kept.digest


@pytest.mark.parametrize(
    ("program", "error", "reason"),
    [
        (Program(), BadArtifact, "names no program"),
        (Program(artifact="/nowhere/a.py", digest="ab"), BadArtifact, "/nowhere/a.py cannot be read"),
        (Program(artifact="http://x/a.py", digest="ab"), BadArtifact, "not by http"),
        (Program(script="/nowhere/a.py"), BadArtifact, "/nowhere/a.py cannot be read"),
        (Program(entrypoint="nowhere/a.py"), PlanError, "there is no file"),
    ],
)  # fmt: skip
def test_what_cannot_be_found_is_named(
    tmp_path: Path, program: Program, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        entrypoint_of(a_job_file(tmp_path, program), tmp_path / "pod")


def test_an_archive_needs_to_say_where_the_job_is(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"x.py": b""})
    digest = sha256(archive.read_bytes())
    with pytest.raises(BadArtifact, match="say in `main` where"):
        entrypoint_of(a_job_file(tmp_path, Program(artifact=str(archive), digest=digest)), tmp_path)


def test_what_is_larger_than_allowed_is_not_copied(tmp_path: Path, script: Path) -> None:
    file = a_job_file(tmp_path, Program(artifact=str(script)), config={"artifacts.maxBytes": 10})
    with pytest.raises(BadArtifact, match="has more than 10 bytes"):
        keep(file, _made(tmp_path / "x"))


def test_without_storage_nothing_can_be_kept(tmp_path: Path, script: Path) -> None:
    with pytest.raises(StorageError, match=r"set checkpoints\.storage"):
        keep(a_job_file("", Program(artifact=str(script)), storage=None), tmp_path)


@pytest.mark.slow
def test_artifacts_lie_in_buckets_and_are_kept_in_others(tmp_path: Path, script: Path) -> None:
    with moto() as server:
        server.client().put_object(
            Bucket=BUCKET, Key="code/v1/packed_flights.py", Body=script.read_bytes()
        )
        storage = Storage(
            location=f"s3://{BUCKET}/root", endpoint=server.endpoint, region="us-east-1"
        )
        program = Program(artifact=f"s3://{BUCKET}/code/v1/packed_flights.py")
        file = a_job_file("", program, storage=storage)
        kept = keep(file, _made(tmp_path / "preflight"))
        assert kept.location.startswith(
            f"s3://{BUCKET}/root/shop/flights/0f3c/artifacts/{kept.digest}/"
        )
        pinned = with_program(file, artifact=kept.location, digest=kept.digest)
        assert entrypoint_of(pinned, tmp_path / "pod").target.endswith("packed_flights.py")
        missing = with_program(file, artifact=f"s3://{BUCKET}/code/v2/packed_flights.py")
        with pytest.raises(BadArtifact, match="there is no artifact s3://"):
            keep(missing, _made(tmp_path / "again"))


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
