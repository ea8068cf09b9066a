"""CRDs and their reference page: generated from the models, current, small, and structural."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowjob_operator.resources.crd import definition
from flowjob_operator.resources.generate import REFERENCE, generated, write
from flowjob_operator.resources.kinds import FLOWJOB, FLOWSNAPSHOT, KINDS, Kind
from flowjob_operator.resources.model import leaves
from tests.operator.resources.light_checker import complaints, everything_in

LARGEST = 60_000
"""`kubectl apply` keeps the object in an annotation of 256 KiB at most; and people open these files."""

DEFAULTS = {
    "spec.job.state": "Running",
    "spec.deletionPolicy": "Retain",
    "spec.upgrade": {},  # so that its mode is shown where it is not given
    "spec.upgrade.mode": "Savepoint",
}


def schema(kind: Kind) -> dict[str, Any]:
    (version,) = definition(kind)["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def by_name(kind: Kind) -> str:
    return kind.name


FILES = list(generated())
each_kind = pytest.mark.parametrize("kind", KINDS, ids=by_name)


@pytest.mark.parametrize(("name", "text"), FILES, ids=[name for name, _ in FILES])
def test_what_is_committed_is_what_the_models_say(name: str, text: str, root: Path) -> None:
    assert (root / name).read_text() == text, f"{name} is stale: run `make crds`"


def test_no_other_file_lies_beside_the_generated_ones(root: Path) -> None:
    names = dict(FILES)
    assert {p.relative_to(root).as_posix() for p in (root / "crds").iterdir()} == {
        name for name in names if name.startswith("crds/")
    }


def test_writing_twice_changes_nothing_the_second_time(tmp_path: Path) -> None:
    assert {p.relative_to(tmp_path).as_posix() for p in write(tmp_path, FILES)} == dict(
        FILES
    ).keys()
    assert write(tmp_path, FILES) == []


@each_kind
def test_a_definition_is_small(kind: Kind, root: Path) -> None:
    assert (root / f"crds/{kind.plural}.yaml").stat().st_size < LARGEST


@each_kind
def test_a_file_says_what_it_is_generated_from_and_reads_as_the_definition(
    kind: Kind, root: Path
) -> None:
    text = (root / f"crds/{kind.plural}.yaml").read_text()
    assert "make crds" in text.splitlines()[0]
    assert yaml.safe_load(text) == definition(kind)


@each_kind
def test_schemas_are_structural(kind: Kind) -> None:
    assert list(complaints(schema(kind), kind.name)) == []


@each_kind
def test_every_field_is_described(kind: Kind) -> None:
    whole = schema(kind)["properties"]
    for part in ("spec", "status"):
        silent = [
            path
            for path, found in everything_in(whole[part], part)
            if not path.endswith(("[]", "*")) and not found.get("description", "").strip()
        ]
        assert silent == []


@each_kind
def test_descriptions_are_sentences(kind: Kind) -> None:
    for path, found in everything_in(schema(kind)):
        text = found.get("description")
        if text is not None:
            assert re.fullmatch(r"[A-Z`\d\"a-z].*\.", text, re.DOTALL), f"{path}: {text}"
            assert "  " not in text, path


def test_only_what_no_platform_overrides_has_a_default() -> None:
    found = {
        path: node["default"] for path, node in everything_in(schema(FLOWJOB)) if "default" in node
    }
    assert found == DEFAULTS
    assert not any("default" in node for _, node in everything_in(schema(FLOWSNAPSHOT)))


@each_kind
def test_a_status_has_no_bounds_that_could_refuse_it(kind: Kind) -> None:
    bounds = {"pattern", "minimum", "maximum", "minLength", "maxLength", "maxItems", "required"}
    status = schema(kind)["properties"]["status"]
    for path, node in everything_in(status):
        assert not set(node) & (bounds - {"required"}), path
    assert "required" not in status


@each_kind
def test_texts_lists_and_maps_of_a_spec_are_bounded(kind: Kind) -> None:
    """The API server estimates what a rule in CEL may cost by the bounds of what it reads."""
    bound = {"string": "maxLength", "array": "maxItems"}
    for path, node in everything_in(schema(kind)["properties"]["spec"], "spec"):
        if node.get("type") in bound and "enum" not in node:
            assert bound[node["type"]] in node or "format" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


@each_kind
def test_every_rule_says_what_to_do_and_names_a_field_that_exists(kind: Kind) -> None:
    rules = 0
    for path, node in everything_in(schema(kind)):
        for rule in node.get("x-kubernetes-validations", []):
            rules += 1
            assert len(rule["message"]) > 20, path
            assert rule.get("fieldPath", "").removeprefix(".") in {"", *node["properties"]}, path
    assert rules > 5


def test_kubectl_get_shows_what_a_person_wants() -> None:
    (version,) = definition(FLOWJOB)["spec"]["versions"]
    shown = [c["name"] for c in version["additionalPrinterColumns"] if "priority" not in c]
    assert shown == ["Phase", "Job", "Parallelism", "Checkpoint", "Age"]
    types = {c["name"]: c["type"] for c in version["additionalPrinterColumns"]}
    assert types["Checkpoint"] == types["Age"] == "date"
    assert types["Parallelism"] == "integer"


@each_kind
def test_columns_and_the_scale_subresource_name_fields_that_exist(kind: Kind) -> None:
    paths = {f".{path}" for path, _ in everything_in(schema(kind))}
    (version,) = definition(kind)["spec"]["versions"]
    named = [c["jsonPath"] for c in version["additionalPrinterColumns"]]
    named.extend(version["subresources"].get("scale", {}).values())
    for path in named:
        if not path.startswith(".metadata."):
            assert re.sub(r"\[\?.*\]", ".[]", path) in paths


def test_a_flowjob_is_scaled_by_its_parallelism() -> None:
    (version,) = definition(FLOWJOB)["spec"]["versions"]
    assert version["subresources"]["scale"] == {
        "specReplicasPath": ".spec.job.parallelism",
        "statusReplicasPath": ".status.parallelism",
        "labelSelectorPath": ".status.selector",
    }
    assert "scale" not in definition(FLOWSNAPSHOT)["spec"]["versions"][0]["subresources"]


@each_kind
def test_names_are_the_documented_ones(kind: Kind) -> None:
    made = definition(kind)
    assert made["metadata"]["name"] == f"{kind.plural}.flowjob.dev"
    assert made["spec"]["names"]["shortNames"] == [
        {"FlowJob": "fj", "FlowSnapshot": "fjs"}[kind.name]
    ]
    assert [v["name"] for v in made["spec"]["versions"]] == ["v1beta1"]
    assert made["metadata"]["annotations"]["flowjob.dev/crd-version"].isdigit()


@each_kind
def test_no_category_is_the_name_of_a_kind(kind: Kind) -> None:
    """`kubectl get flowjob` would list the category."""
    names = definition(kind)["spec"]["names"]
    every_name = (
        {k.name.lower() for k in KINDS} | {k.plural for k in KINDS} | {k.short for k in KINDS}
    )
    assert not set(names["categories"]) & every_name


@each_kind
def test_the_reference_names_every_field(kind: Kind) -> None:
    page = dict(FILES)[REFERENCE]
    for model in (kind.spec, kind.status):
        for leaf in leaves(model):
            assert f"| `{leaf.path}` |" in page


def test_the_reference_gives_each_field_of_a_flowjob_its_class() -> None:
    page = dict(FILES)[REFERENCE]
    assert re.search(r"\| `job.parallelism` \|[^|]*\| Rescale \|", page)
    assert re.search(r"\| `checkpoints.secretRef.name` \|[^|]*\| Upgrade \|", page)
    assert re.search(r"\| `checkpoints.storage` \|[^|]*\| Move \|", page)
