"""The chart's README, schema and rules are generated, current and complete; the schema refuses what is no setting."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from charts.generating.__main__ import generated
from charts.generating.readme import readme, settings
from charts.generating.schema import schema
from flowjob_operator.core.observed import Defaults
from flowjob_operator.process.permissions import rules
from flowjob_operator.rendering.layers import read_layer
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import Source

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "charts/flowjob"
FILES = list(generated())
TEXT = (CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)
CHECK = jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize(("name", "text"), FILES, ids=[name for name, _ in FILES])
def test_what_is_committed_is_what_it_is_generated_from(name: str, text: str) -> None:
    assert (ROOT / name).read_text() == text, f"{name} is stale: run `make chart`"


def test_the_readme_has_every_setting_with_its_default() -> None:
    page = dict(FILES)["charts/flowjob/README.md"]
    for path, default in (
        ("image.repository", '"flowjob-operator"'),
        ("watchNamespaces", "[]"),
        ("podSecurityContext", r'{"runAsNonRoot": true,'),
        ("prometheusRule.for", '"10m"'),
    ):
        assert f"| `{path}` | `{default}" in page
    assert {s.section for s in settings(TEXT)} == set(re.findall(r"^### (.*)$", page, re.M))


@pytest.mark.parametrize("where", ["own", "jobs", "cluster"])
def test_roles_have_what_the_operator_needs_and_nothing_else(where: Any) -> None:
    def grants(found: list[dict[str, Any]]) -> set[tuple[str, str, str, str]]:
        return {
            (group, resource, verb, name)
            for rule in found
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
            for name in rule.get("resourceNames", [""])
        }

    scopes = yaml.safe_load((CHART / "files/rules.yaml").read_text())
    assert set(scopes) == {"own", "jobs", "cluster", "hook"}
    assert grants(scopes[where]) == grants(rules(where))


def test_secrets_of_jobs_are_never_read() -> None:
    scopes = yaml.safe_load((CHART / "files/rules.yaml").read_text())
    verbs = [v for r in scopes["jobs"] if r["resources"] == ["secrets"] for v in r["verbs"]]
    assert verbs == ["create", "update"]


def test_a_setting_without_a_comment_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"a\.c has no comment"):
        readme("", "a:\n  # What b is.\n  b: 1\n  c: 2\n")


def test_a_comment_that_stands_apart_belongs_to_nothing() -> None:
    (found,) = settings(
        "# Of the file.\n\n## Things\n\n# What a is,\n# in two lines.\na:\n  b: [1]\n"
    )
    assert (found.path, found.section, found.about) == ("a", "Things", "What a is, in two lines.")
    assert found.default == {"b": [1]}


PAGES = ("installing", "kubernetes-objects", "operator", "rest", "security")
GROUPS = {name for name, value in VALUES.items() if isinstance(value, dict) and value} - {"image"}
"""Fields of a FlowJob begin otherwise."""


@pytest.mark.parametrize("name", PAGES)
def test_settings_that_a_page_names_exist(name: str) -> None:
    text = (ROOT / f"docs/{name}.md").read_text()
    for named in re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)`", text):
        found: Any = VALUES
        path = named.split(".")
        if path[0] in GROUPS:
            for part in path:
                assert part in found, named
                found = found[part]


@pytest.mark.parametrize("name", PAGES)
def test_commands_about_the_operator_s_own_objects_name_its_namespace(name: str) -> None:
    text = (ROOT / f"docs/{name}.md").read_text()
    for command in re.findall(r"kubectl [^`\n]*", text):
        if "flowjob-authority" in command or "deployment/flowjob" in command:
            assert re.match(r"kubectl -n flowjob ", command), command


def test_the_schema_takes_the_chart_s_own_values_and_knows_each() -> None:
    assert [e.message for e in CHECK.iter_errors(VALUES)] == []
    assert set(VALUES) == set(schema()["properties"]) - {"global"}


def test_every_group_of_settings_has_the_same_names_in_the_schema() -> None:
    for name, part in schema()["properties"].items():
        wanted = VALUES.get(name)
        if part.get("properties") and isinstance(wanted, dict) and wanted and "Probe" not in name:
            assert set(wanted) <= set(part["properties"]), name


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("a misspelt setting", {"replica": 2}),
    ("a misspelt setting of a group", {"serviceMonitor": {"enabled": True}}),
    ("a text where a number belongs", {"replicas": "2"}),
    ("a text where a list belongs", {"watchNamespaces": "a,b"}),
    ("a namespace that is none", {"watchNamespaces": ["Team A"]}),
    ("a namespace twice", {"watchNamespaces": ["a", "a"]}),
    ("a digest that is none", {"image": {"digest": "latest"}}),
    ("an image with its tag", {"image": {"repository": "flowjob-operator:1"}}),
    ("a pull policy that Kubernetes has not", {"image": {"pullPolicy": "Sometimes"}}),
    ("a pull policy of jobs' image", {"jobs": {"image": {"pullPolicy": "Always"}}}),
    ("an unknown log level", {"operator": {"logLevel": "verbose"}}),
    ("a duration without unit", {"operator": {"resync": "60"}}),
    ("a setting that the operator has not", {"operator": {"settings": {"colour": "red"}}}),
    ("a setting in two places", {"operator": {"settings": {"port": 1}}}),
    ("an unknown action", {"admissionPolicy": {"actions": ["Refuse"]}}),
    ("no action", {"admissionPolicy": {"actions": []}}),
    ("a star within a name", {"admissionPolicy": {"secrets": ["a*b"]}}),
    ("resources that are neither requests nor limits", {"resources": {"cpu": 1}}),
    ("a volume without name", {"extraVolumes": [{"emptyDir": {}}]}),
    ("a port that is none", {"service": {"port": 0}}),
    ("more replicas than make sense", {"replicas": 50}),
    ("a default that is no field", {"defaults": {"checkpoints.intervall": "30s"}}),
    ("a default written as a tree", {"defaults": {"checkpoints": {"interval": "30s"}}}),
    ("a default of the wrong kind", {"defaults": {"checkpoints.interval": "soon"}}),
    ("a default out of bounds", {"defaults": {"checkpoints.retained": 0}}),
    ("a default that is none of the words", {"defaults": {"priorState": "Maybe"}}),
    ("an unknown field in a default", {"defaults": {"checkpoints.secretRef": {"nam": "a"}}}),
    ("the default image among the defaults", {"defaults": {"image": "a"}}),
    ("a program for all jobs", {"defaults": {"job.script": "pass"}}),
    ("a state for all jobs", {"defaults": {"job.state": "Suspended"}}),
    ("what every object says itself", {"defaults": {"deletionPolicy": "Discard"}}),
]


@pytest.mark.parametrize("values", [v for _, v in REFUSED], ids=[what for what, _ in REFUSED])
def test_the_schema_refuses(values: dict[str, Any]) -> None:
    assert list(CHECK.iter_errors(values))


TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("durations", {"defaults": {"checkpoints.interval": "1m30s", "checkpoints.minPause": "0s"}}),
    ("no checkpoints", {"defaults": {"checkpoints.interval": "Off"}}),
    ("quantities", {"defaults": {"checkpoints.spillBytes": "256Mi"}}),
    ("resources", {"defaults": {"taskManager.resources": {"limits": {"memory": "2Gi", "cpu": 2}}}}),
    ("any pod template", {"defaults": {"jobManager.podTemplate": {"spec": {"tolerations": []}}}}),
    ("settings of the engine", {"defaults": {"config": {"exchange.compression": "lz4"}}}),
    ("pull secrets", {"defaults": {"imagePullSecrets": [{"name": "a"}]}}),
    ("rollbacks", {"defaults": {"upgrade.rollback.enabled": True}}),
    ("values of a chart around it", {"global": {"anything": 1}}),
]


@pytest.mark.parametrize("values", [v for _, v in TAKEN], ids=[what for what, _ in TAKEN])
def test_the_schema_takes(values: dict[str, Any]) -> None:
    assert [e.message for e in CHECK.iter_errors(values)] == []


def test_what_the_schema_takes_as_a_default_the_operator_takes_too() -> None:
    """And what it refuses, the operator would leave out with a complaint."""
    taken = {k: v for _, values in TAKEN for k, v in values.get("defaults", {}).items()}
    layer = read_layer(Defaults(source=Source.CHART, values=taken))
    assert layer.problems == ()
    for what, values in REFUSED:
        if "defaults" in values and "image" not in values["defaults"] and "tree" not in what:
            assert read_layer(Defaults(source=Source.CHART, values=values["defaults"])).problems


@pytest.mark.slow
def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(
        json.loads((CHART / "values.schema.json").read_text())
    )


def pasted(commands: str, folder: Path) -> str:
    """What kubectl is given, when a shell runs them."""
    kubectl = folder / "kubectl"
    kubectl.write_text('#!/bin/sh\ncase "$*" in *"apply -f -"*) cat;; esac\n')
    kubectl.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    # A here-document without its end would take in all that follows.
    shell = subprocess.run(
        ["bash", "-c", f"{commands}\necho end"],
        env={"PATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert shell.stderr == ""
    assert shell.stdout.endswith("end\n")
    return shell.stdout.removesuffix("end\n")


def test_the_commands_of_the_notes_can_be_pasted(tmp_path: Path) -> None:
    notes = re.sub(r"{{.*?}}", "", (CHART / "templates/NOTES.txt").read_text())
    commands = notes.partition("storage:\n")[2].partition("--watch\n")[0] + "--watch"
    assert yaml.safe_load(pasted(commands, tmp_path))["kind"] == "FlowJob"


@pytest.mark.slow
def test_the_job_of_the_notes_is_a_job() -> None:
    notes = (CHART / "templates/NOTES.txt").read_text()
    manifest = notes.partition("<<'JOB'\n")[2].partition("\nJOB\n")[0]
    spec = yaml.safe_load(manifest)["spec"]
    assert FlowJobSpec.of(spec).checkpoints.storage
    names: dict[str, Any] = {}
    exec(spec["job"]["script"], names)  # noqa: S102 - our own page
    assert names["job"].explain()
