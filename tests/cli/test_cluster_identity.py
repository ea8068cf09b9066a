"""Processes of a cluster's pods look at themselves first: whose certificate they have, and whether it can be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from flowjob.cli.cluster_services import check_identity
from flowjob.cluster.job_file import JobFile
from flowjob.errors import BadIdentity
from tests.certificates import DAY, Authority
from tests.cluster.job_files import a_job_file

OURS = Authority("ours")


def with_identity(tmp_path: Path, role: str) -> JobFile:
    return a_job_file(tmp_path, identity=str(OURS.identity(tmp_path / role, role)))


@pytest.mark.parametrize("role", ["jobmanager", "taskmanager"])
def test_a_process_with_its_own_certificate_may_start(tmp_path: Path, role: str) -> None:
    check_identity(with_identity(tmp_path, role), role)
    check_identity(a_job_file(tmp_path), role)  # on one machine there is none


def test_another_ones_certificate_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    file = with_identity(tmp_path, "taskmanager")
    with pytest.raises(BadIdentity, match="and this is the jobmanager of job shop/flights/0f3c"):
        check_identity(file, "jobmanager")
    with pytest.raises(BadIdentity, match="of job shop/flights/other: mount the identity"):
        check_identity(msgspec.structs.replace(file, uid="other"), "taskmanager")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["jobmanager", "taskmanager"])
def test_a_process_whose_certificate_has_expired_ends_with_a_sentence(
    tmp_path: Path, command: str
) -> None:
    identity = OURS.identity(tmp_path / "late", command, ends=-DAY / 2)
    file = a_job_file(tmp_path, identity=str(identity), jobmanagers="127.0.0.1:1")
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(file))
    words = [sys.executable, "-m", "flowjob", command, "--job-file", str(tmp_path / "job.json")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode not in (0, 3)
    assert done.stderr.startswith("error[IDENTITY]: the certificate in ")
    assert "has expired" in done.stderr
    assert "Traceback" not in done.stderr
