"""The manifests under examples/kubernetes are what a cluster accepts, and their program is the one beside them.

That they run is shown in a cluster (tests/e2e/scenarios)."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from flowjob.testing import run, watermark

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "examples" / "kubernetes"
MANIFESTS = [
    path
    for path in sorted(FOLDER.rglob("*.yaml"))
    if path.name != "credentials.yaml" and path.parent.name != "argocd"
]
PROGRAM = FOLDER / "own-image" / "flights.py"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.relative_to(FOLDER).as_posix())
def test_a_manifest_has_the_fields_of_its_kind(path: Path) -> None:
    (definition,) = (
        made
        for made in map(load, (ROOT / "crds").glob("*.yaml"))
        if made["spec"]["names"]["kind"] == load(path)["kind"]
    )
    (version,) = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    jsonschema.validate(load(path), schema)
    known = schema["properties"]["spec"]["properties"]
    assert set(load(path)["spec"]) <= set(known)


def test_the_inline_program_is_the_one_of_the_image() -> None:
    assert load(FOLDER / "flights.yaml")["spec"]["job"]["script"] == PROGRAM.read_text()


def test_the_credentials_are_those_that_the_manifests_refer_to() -> None:
    named = {load(path)["spec"]["checkpoints"]["secretRef"]["name"] for path in MANIFESTS}
    assert named == {load(FOLDER / "credentials.yaml")["metadata"]["name"]}


def test_an_hour_has_its_departures_and_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "flights_of_the_image"  # there is another program of the file's name
    spec = importlib.util.spec_from_file_location(name, PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, program)
    spec.loader.exec_module(program)

    def flight(minute: int, delay: int) -> dict[str, Any]:
        at = datetime(2013, 1, 1, 9, minute, tzinfo=UTC)
        return {"origin": "JFK", "departed": at, "delay": delay}

    ten = datetime(2013, 1, 1, 10, tzinfo=UTC)
    out = run(
        program.hourly, [flight(10, 5), flight(50, 25), watermark(ten)], event_time="departed"
    )
    assert [(r["departures"], r["mean_delay"], r["worst"]) for r in out.rows] == [(2, 15.0, 25)]
