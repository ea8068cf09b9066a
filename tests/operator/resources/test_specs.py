"""Specs: what the schema takes and refuses, and that the models read whatever the API server has taken."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest

from flowjob import Checkpoints
from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob_operator.resources.fields import LONGEST, quantity, seconds
from flowjob_operator.resources.flowjob_spec import (
    CheckpointSpec,
    DeletionPolicy,
    FlowJobSpec,
    UpgradeMode,
)
from flowjob_operator.resources.flowsnapshot import FlowSnapshotSpec
from flowjob_operator.resources.job_spec import SCRIPT_BYTES, RestartStrategy, WantedState
from flowjob_operator.resources.kinds import FLOWJOB, FLOWSNAPSHOT, FlowJob
from flowjob_operator.resources.model import Model, leaves
from flowjob_operator.resources.schema import structural
from tests.operator.resources import examples
from tests.operator.resources.examples import RULE, SCHEMA, Refused, Spec
from tests.operator.resources.light_checker import errors

KINDS = {FLOWJOB.name: structural(FlowJobSpec), FLOWSNAPSHOT.name: structural(FlowSnapshotSpec)}

taken = [(FLOWJOB.name, FlowJobSpec, what, spec) for what, spec in examples.TAKEN.items()] + [
    (FLOWSNAPSHOT.name, FlowSnapshotSpec, what, spec)
    for what, spec in examples.SNAPSHOTS_TAKEN.items()
]
refused = [(FLOWJOB.name, r) for r in examples.REFUSED] + [
    (FLOWSNAPSHOT.name, r) for r in examples.SNAPSHOTS_REFUSED
]


@pytest.mark.parametrize(
    ("kind", "model", "spec"),
    [(kind, model, spec) for kind, model, _, spec in taken],
    ids=[f"{kind}-{what}" for kind, _, what, _ in taken],
)
def test_the_schema_takes_it_and_the_model_reads_it_and_gives_it_back(
    kind: str, model: type[Model], spec: Spec
) -> None:
    assert errors(KINDS[kind], spec) == []
    given_back = model.of(spec).wire()
    assert errors(KINDS[kind], given_back) == []
    assert within(spec, given_back)
    assert model.of(given_back) == model.of(spec)


def within(part: Any, whole: Any) -> bool:
    """Everything that was said is still said."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


@pytest.mark.parametrize(
    ("kind", "case"), refused, ids=[f"{kind}-{case.what}" for kind, case in refused]
)
def test_the_schema_refuses_what_it_can_see(kind: str, case: Refused) -> None:
    found = errors(KINDS[kind], case.spec)
    if case.by is SCHEMA:
        assert case.says in " ".join(found)
    else:
        assert case.by is RULE
        assert found == []


def test_the_example_with_every_field_has_every_field() -> None:
    alternatives = {"job.entrypoint", "job.script"}
    assert {leaf.path for leaf in leaves(FlowJobSpec) if not given(examples.FULL, leaf.path)} == (
        alternatives
    )


def given(spec: Spec, path: str) -> bool:
    for name in path.split("."):
        if name not in spec:
            return False
        spec = spec[name]
    return True


def test_what_a_user_does_not_say_is_not_made_up() -> None:
    spec = FlowJobSpec.of(examples.MINIMAL)
    said = {leaf.path for leaf in leaves(FlowJobSpec) if said_in(spec.wire(), leaf.path)}
    assert said == {"job.entrypoint", "job.state", "upgrade.mode", "deletionPolicy"}
    assert spec.job.state is WantedState.RUNNING
    assert spec.upgrade.mode is UpgradeMode.SAVEPOINT
    assert spec.deletion_policy is DeletionPolicy.RETAIN


def said_in(wire: Spec, path: str) -> bool:
    value: Any = wire
    for name in path.split("."):
        value = value.get(name)
        if value is None:
            return False
    return value not in ({}, [])


def test_fields_of_a_newer_version_are_ignored() -> None:
    spec = {**examples.MINIMAL, "invented": 1, "upgrade": {"later": {}}}
    assert FlowJobSpec.of(spec) == FlowJobSpec.of(examples.MINIMAL)


def test_an_object_of_the_api_is_read_with_its_metadata() -> None:
    job = FlowJob.of(
        {
            "apiVersion": "flowjob.dev/v1beta1",
            "kind": "FlowJob",
            "metadata": {
                "name": "flights",
                "namespace": "air",
                "uid": "1",
                "generation": 3,
                "resourceVersion": "17",
                "deletionTimestamp": "2026-11-21T18:00:00Z",
                "managedFields": [],
            },
            "spec": examples.MINIMAL,
            "status": {"observedGeneration": 2, "phase": "Running", "unheard": {"of": 1}},
        }
    )
    assert (job.metadata.generation, job.status.observed_generation) == (3, 2)
    assert job.metadata.deletion_timestamp is not None


def test_a_model_cannot_be_changed() -> None:
    spec = FlowJobSpec.of(examples.MINIMAL)
    with pytest.raises(pydantic.ValidationError):
        spec.image = "another"  # type: ignore[misc]


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"checkpoints\.interval"):
        FlowJobSpec.of({**examples.MINIMAL, "checkpoints": {"interval": "soon"}})


# -- the same words as in the engine


def snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def test_checkpoints_have_the_fields_of_the_public_class() -> None:
    theirs = {f.name for f in dataclasses.fields(Checkpoints)} - {"location", "restarts"}
    ours = {snake(f.alias or name) for name, f in CheckpointSpec.model_fields.items()}
    assert theirs <= ours
    assert ours - theirs == {"storage", "secret_ref", "ca_bundle_ref"}


def documented_default(field: str) -> str:
    text = CheckpointSpec.model_fields[field].description or ""
    return text.rsplit("Default: ", 1)[1].rstrip(".")


@pytest.mark.parametrize("field", ["interval", "min_pause", "timeout", "alignment_timeout"])
def test_documented_durations_are_the_engines(field: str) -> None:
    assert seconds(documented_default(field)) == getattr(CheckpointSettings(), field)


@pytest.mark.parametrize(
    "field", ["retained", "max_concurrent", "tolerable_failures", "spill_bytes"]
)
def test_documented_numbers_are_the_engines(field: str) -> None:
    assert int(documented_default(field)) == getattr(CheckpointSettings(), field)


@pytest.mark.parametrize("field", ["mode", "unaligned"])
def test_words_are_the_engines_in_camel_case(field: str) -> None:
    (ours, _none) = CheckpointSpec.model_fields[field].annotation.__args__  # type: ignore[union-attr]
    theirs = type(getattr(CheckpointSettings(), field))
    assert {snake(m.value).strip("_") for m in ours} == {m.value for m in theirs}
    default = getattr(CheckpointSettings(), field).value
    assert snake(documented_default(field)).strip("_") == default


def test_restart_strategies_are_public_names() -> None:
    import flowjob

    assert {m.value for m in RestartStrategy} <= set(flowjob.__all__)


def test_the_limit_of_a_script_leaves_room_in_an_object_of_the_api() -> None:
    assert SCRIPT_BYTES == 128 * 1024


# -- values


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("0.5s", 0.5), ("7d", 604800), ("2w", 1209600)],
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["999999d", "999999999999d", "9999999999999w"])
def test_for_ever_is_a_time_that_a_calendar_has(text: str) -> None:
    assert seconds(text) == LONGEST
    assert datetime.now(UTC) - timedelta(seconds=seconds(text)) < datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "10", "-5m", "PT1H", "1 h", "s", "Off"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("500m", "0.5"),
        ("1Gi", str(2**30)),
        ("1.5Gi", "1536Mi"),
        ("1G", "1000M"),
        ("1e3", "1k"),
        ("2", "2000m"),
        ("1E", "1000P"),
    ],
)
def test_quantities_that_are_the_same(text: str, same: str) -> None:
    assert quantity(text) == quantity(same)
    assert quantity(2) == quantity("2")


@pytest.mark.parametrize("text", ["", "much", "4 Gi", "4GB", "-1", "1ki", "e3"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity(text)
