"""`flowjob jobmanager` and `flowjob taskmanager`: what they are told, and what they refuse before anything starts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import typer

from flowjob.cli.services import ServiceOptions, serve_job, split_address, token_of
from flowjob.errors import Unreachable
from flowjob.runtime.jobmanager.request import Service
from flowjob.runtime.real.taskmanager_process import control_urls


@pytest.mark.parametrize(
    ("text", "address"),
    [("here:7400", ("here", 7400)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:1", ("0.0.0.0", 1))],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert split_address(text, "--listen") == address


@pytest.mark.parametrize("text", ["here", ":7400", "here:", "here:x", "here:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not HOST:PORT"):
        split_address(text, "--listen")


def test_several_jobmanagers_are_separated_by_commas() -> None:
    assert control_urls("a:1, ws://b:2,") == ("ws://a:1", "ws://b:2")


def test_a_jobmanager_makes_the_token_and_others_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    with pytest.raises(typer.BadParameter, match="No such file"):
        token_of(str(file), make=False)
    made = token_of(str(file), make=True)
    assert len(made) > 20
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token_of(str(file), make=True) == token_of(str(file), make=False) == made
    assert [p.name for p in tmp_path.iterdir()] == ["token"]
    file.write_text("\n")
    with pytest.raises(typer.BadParameter, match="is empty"):
        token_of(str(file), make=False)
    monkeypatch.setenv("FLOWJOB_TOKEN", "given")
    assert token_of(None, make=False) == "given"
    with pytest.raises(typer.BadParameter, match="FLOWJOB_TOKEN"):  # taken, so that no child has it
        token_of(None, make=False)


def test_an_address_that_is_not_ours_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWJOB_TOKEN", "given")
    (tmp_path / "nowhere.py").write_text(
        "import flowjob as fj\n"
        "class Row(fj.Schema):\n    x: int\n"
        "job = fj.Job('nowhere')\n"
        "job.write(job.read(fj.from_rows([Row(1)], Row)), fj.discard())\n"
    )
    options = ServiceOptions("192.0.2.1:7400", Service("main"))  # an address of nobody's
    with pytest.raises(Unreachable, match=r"cannot listen on 192\.0\.2\.1:7400: .*assign"):
        serve_job("nowhere.py", {}, options)


def test_the_name_of_a_run_is_part_of_the_names_of_files() -> None:
    with pytest.raises(typer.BadParameter, match="name of a run"):
        serve_job("any.py", {}, ServiceOptions("127.0.0.1:0", Service("a/b")))
