"""Archives of code: what is good is unpacked, and nothing of what is not ever leaves its directory."""

from __future__ import annotations

import base64
import hashlib
import platform
import stat
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob.cluster import unpacking
from flowjob.cluster.unpacking import check_wheel_name, unpack
from flowjob.errors import BadArtifact

WHEEL = "flights-1.0-py3-none-any.whl"


def zipped(path: Path, files: dict[str, bytes], **attributes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = attributes.get(name, 0) << 16
            archive.writestr(entry, data)
    return path


def wheel(directory: Path, files: dict[str, bytes], name: str = WHEEL, **wrong: bytes) -> Path:
    lines = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for path, data in files.items()
    ]
    record = "\n".join([*lines, "flights-1.0.dist-info/RECORD,,"]).encode()
    return zipped(directory / name, {**files, "flights-1.0.dist-info/RECORD": record, **wrong})


def test_a_zip_a_wheel_and_a_script_are_unpacked(tmp_path: Path) -> None:
    files = {"flights/__init__.py": b"", "flights/job.py": b"job = 1"}
    unpack(zipped(tmp_path / "a.zip", files), tmp_path / "zip")
    assert (tmp_path / "zip/flights/job.py").read_bytes() == b"job = 1"
    more = {
        **files,
        "flights-1.0.data/purelib/extra.py": b"x = 1",
        "flights-1.0.data/scripts/run": b"#!",
    }
    unpack(wheel(tmp_path, more), tmp_path / "whl")
    assert (tmp_path / "whl/extra.py").read_bytes() == b"x = 1"
    assert not (tmp_path / "whl/run").exists()
    (tmp_path / "s.py").write_text("job = 2")
    unpack(tmp_path / "s.py", tmp_path / "py")
    assert (tmp_path / "py/s.py").read_text() == "job = 2"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.py", "leads out of its directory"),
        ("a/../../evil.py", "leads out"),
        ("/etc/evil.py", "leads out"),
        ("a\\..\\evil.py", "leads out"),
        ("C:evil.py", "leads out"),
        ("..", "leads out"),
    ],
)
def test_names_that_lead_out_of_the_directory_write_nothing(
    tmp_path: Path, name: str, reason: str
) -> None:
    archive = zipped(tmp_path / "a.zip", {"good.py": b"", name: b"evil"})
    with pytest.raises(BadArtifact, match=reason):
        unpack(archive, tmp_path / "x" / "y")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [archive]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    archive = zipped(tmp_path / "a.zip", {"link": b"/etc/passwd"}, link=kind | 0o777)
    with pytest.raises(BadArtifact, match="neither a file nor a directory"):
        unpack(archive, tmp_path / "x")


def test_archives_that_grow_beyond_measure_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1000)
    with pytest.raises(BadArtifact, match="unpacks to more than"):
        unpack(zipped(tmp_path / "a.zip", {"a": bytes(600), "b": bytes(600)}), tmp_path / "x")
    monkeypatch.setattr(unpacking, "MOST_FILES", 1)
    with pytest.raises(BadArtifact, match="unpacks to more than"):
        unpack(zipped(tmp_path / "b.zip", {"a": b"", "b": b""}), tmp_path / "y")


def test_an_archive_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.py", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.py", "2")
    with pytest.raises(BadArtifact, match="twice"):
        unpack(tmp_path / "a.zip", tmp_path / "x")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """As in the file's head; its entry in the directory at the end is whole."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("flights/ä.py", "x")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[30] = 0x80
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BadArtifact, match="cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "x")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=12)
)
def test_a_damaged_archive_is_refused_or_unpacks_inside(
    tmp_path: Path, flips: list[tuple[int, int]]
) -> None:
    with_names = {"flights/a.py": b"x" * 50, "flights/b.py": b"y"}
    data = bytearray(zipped(tmp_path / "a.zip", with_names).read_bytes())
    for at, value in flips:
        data[at % len(data)] = value
    (tmp_path / "a.zip").write_bytes(data)
    target = tmp_path / f"out{len(list(tmp_path.iterdir()))}" / "in"
    try:
        unpack(tmp_path / "a.zip", target)
    except BadArtifact:
        pass
    assert {p.name for p in target.parent.iterdir()} <= {"in"}


MINOR = sys.version_info[1]
MACHINE = platform.machine()


@pytest.mark.parametrize(
    "name",
    [
        WHEEL,
        "flights-1.0-1-py2.py3-none-any.whl",
        f"flights-1.0-cp3{MINOR}-cp3{MINOR}-manylinux_2_17_{MACHINE}.manylinux2014_{MACHINE}.whl",
        f"flights-1.0-cp38-abi3-manylinux_2_17_{MACHINE}.whl",
    ],
)
def test_wheels_for_this_python_and_machine_are_taken(name: str) -> None:
    check_wheel_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("flights.whl", "not named as wheels are"),
        ("flights-1.0-py2-none-any.whl", "is for py2, and the image has Python"),
        ("flights-1.0-cp38-cp38-any.whl", "is for cp38"),
        (f"flights-1.0-cp3{MINOR}-cp3{MINOR}t-any.whl", "another ABI"),
        (f"flights-1.0-cp3{MINOR}-cp3{MINOR}-win_amd64.whl", "and this machine is linux_"),
        (f"flights-1.0-cp3{MINOR}-cp3{MINOR}-manylinux2014_riscv64.whl", "and this machine is"),
    ],
)
def test_wheels_for_another_python_or_machine_are_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(BadArtifact, match=reason):
        check_wheel_name(name)


def test_a_wheel_is_held_against_its_own_list(tmp_path: Path) -> None:
    files = {"flights/job.py": b"job = 1"}
    with pytest.raises(BadArtifact, match=r"flights/job\.py is not what its list says"):
        unpack(wheel(tmp_path, files, **{"flights/job.py": b"job = 2"}), tmp_path / "x")
    with pytest.raises(BadArtifact, match="has 0 lists of its files"):
        unpack(zipped(tmp_path / WHEEL, files), tmp_path / "y")


def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(BadArtifact, match=r"a\.zip cannot be unpacked: File is not a zip"):
        unpack(tmp_path / "a.zip", tmp_path / "x")
