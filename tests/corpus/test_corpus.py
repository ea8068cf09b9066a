"""Snapshots of every version of flowjob that ever was are read, match the program, and are gone on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import flowjob as fj
from flowjob.plan.compile import compile_job
from flowjob.plan.restore import Fate, plan_restore
from flowjob.runtime.checkpoint.manifest_io import decode_manifest
from flowjob.runtime.checkpoint.verifying import verify_snapshot
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.real.stores import with_stores
from tests.corpus.add import CORPUS, tables
from tests.corpus.programs import PROGRAMS, Taken, go_on, program

KEPT = sorted(path.with_suffix("") for path in CORPUS.glob("*/*.json"))


def expected(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(directory.with_suffix(".json").read_text())
    return found


def by_name(directory: Path) -> str:
    return f"{directory.parent.name}-{directory.name}"


def test_there_are_snapshots_of_every_program() -> None:
    assert {directory.name for directory in KEPT} == set(PROGRAMS)


@pytest.mark.parametrize("directory", KEPT, ids=by_name)
def test_its_tables_read_as_they_did(directory: Path) -> None:
    manifest = decode_manifest((directory / "manifest.json").read_bytes(), "manifest.json")
    location = StoreLocation(str(directory))
    assert with_stores(lambda open_: verify_snapshot(open_(location), "", manifest)) == []
    assert tables(directory) == expected(directory)["tables"]


@pytest.mark.parametrize("directory", KEPT, ids=by_name)
def test_the_program_of_today_may_take_it_over(directory: Path) -> None:
    manifest = decode_manifest((directory / "manifest.json").read_bytes(), "manifest.json")
    job = fj.Job("rehearsal")
    program(directory.name)(job)
    plan = plan_restore(compile_job(job, parallelism=3), manifest)
    fates = {operator.name: operator.fate for operator in plan.operators}
    assert fates["op"] is Fate.RESTORED
    assert fates["readings"] is Fate.RESTORED
    assert not [detail for operator in plan.operators for detail in operator.details]


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("directory", KEPT, ids=by_name)
def test_it_is_gone_on_from_with_the_same_results(directory: Path, parallelism: int) -> None:
    files = [path for path in directory.rglob("*") if path.is_file()]
    taken = Taken({p.relative_to(directory).as_posix(): p.read_bytes() for p in files})
    rows = go_on(directory.name, taken, parallelism)
    assert sorted(rows.elements()) == expected(directory)["rows"]
