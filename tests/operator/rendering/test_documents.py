"""docs/kubernetes-objects.md says what is rendered: objects, places, defaults."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from flowjob_operator.rendering.effective import BUILT_IN, effective
from flowjob_operator.rendering.layers import CONFIG_MAP
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from tests.operator.rendering.examples import JOB, PLATFORM, SPECS, a_revision, render
from tests.operator.rendering.golden import documents

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/kubernetes-objects.md").read_text()


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


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples/kubernetes").rglob("*.yaml")), ids=lambda p: p.name
)
def test_what_examples_apply_can_be_deployed(path: Path) -> None:
    for each in yaml.safe_load_all(path.read_text()):
        if each and each.get("kind") == "FlowJob":
            assert effective(FlowJobSpec.of(each["spec"]), image="flowjob-worker:1").refused == ()
            render(JOB, a_revision(each["spec"]), PLATFORM)


def test_the_config_map_is_the_one_that_is_read() -> None:
    assert f"name: {CONFIG_MAP}" in PAGE
