"""docs/kubernetes-objects.md says what is rendered: objects, places, defaults."""

from __future__ import annotations

import json
import re
from pathlib import Path

from flowjob_operator.rendering.effective import BUILT_IN
from flowjob_operator.rendering.layers import CONFIG_MAP
from tests.operator.rendering.examples import JOB, PLATFORM, SPECS, a_revision, render
from tests.operator.rendering.golden import documents

PAGE = (Path(__file__).parents[3] / "docs/kubernetes-objects.md").read_text()


def test_every_kind_of_object_is_named() -> None:
    kinds = {o["kind"] for objects in documents().values() for o in objects}
    assert {kind for kind in kinds if kind not in PAGE} == set()


def test_every_mount_is_named() -> None:
    made = [o for s in SPECS.values() for o in render(JOB, a_revision(s), PLATFORM).objects()]
    ours = {
        mount["mountPath"]
        for each in made
        for container in each.get("spec", {})
        .get("template", {})
        .get("spec", {})
        .get("containers", [])
        for mount in container.get("volumeMounts", [])
        if mount["name"].startswith("flowjob-")
    }
    assert {path for path in ours if f"| `{path}` |" not in PAGE} == set()


def test_built_in_values_are_those_of_the_table() -> None:
    table = dict(re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE))
    plain = {p: v for p, v in BUILT_IN.items() if not isinstance(v, dict)}
    assert table == {p: v if isinstance(v, str) else json.dumps(v) for p, v in plain.items()}


def test_the_config_map_is_the_one_that_is_read() -> None:
    assert f"name: {CONFIG_MAP}" in PAGE
