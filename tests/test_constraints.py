"""Holds `constraints.txt` to `pyproject.toml`: what is not pinned changes under a checkout that nobody touched."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def names_of(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in requirements)
    return {normal(match.group()) for match in found if match}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_of_the_project_is_installed_in_a_version_it_was_tested_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = project["dependencies"] + [one for extra in extras for one in extra]
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert names_of(wanted) - names_of(pinned) - {"flowjob"} == set()
