"""Scratch directories go, whoever still writes into them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flowjob.runtime.real import scratch


def test_what_comes_while_a_directory_is_removed_goes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = scratch.run_directory()
    really = shutil.rmtree
    late = iter(["spool"])

    def remove(path: Path, *, ignore_errors: bool) -> None:
        really(path / "slot", ignore_errors=ignore_errors)
        for name in late:
            (path / name).touch()
            return
        really(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", remove)
    (directory / "slot").mkdir()
    scratch.remove(directory)
    assert not directory.exists()


def test_a_directory_that_cannot_be_removed_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "rmtree", lambda path, *, ignore_errors: None)
    monkeypatch.setattr(scratch, "PAUSES", (0.0, 0.0))
    scratch.remove(tmp_path)
    assert tmp_path.exists()
