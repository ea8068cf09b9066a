"""A type checker knows what rows a stream has, from the source to the sink."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
api = pytest.importorskip("mypy.api")


def checked(*paths: Path) -> str:
    config = ["--config-file", str(ROOT / "pyproject.toml")]
    report, errors, _ = api.run([*config, "--strict", *map(str, paths)])
    assert not errors
    return str(report)


def test_examples_pass_the_strictest_check_and_mistakes_in_rows_are_found() -> None:
    program = Path(__file__).with_name("typed_program.py")
    examples = sorted((ROOT / "examples").glob("*.py"))
    report = checked(program, *examples)
    expected = [
        (number, match[1])
        for number, line in enumerate(program.read_text().splitlines(), 1)
        if (match := re.search(r"# error: `(.*)`", line))
    ]
    found = [line for line in report.splitlines() if ": error: " in line]
    assert len(found) == len(expected), report
    for line, (number, message) in zip(found, expected):
        assert f"typed_program.py:{number}: error:" in line
        assert message in line
