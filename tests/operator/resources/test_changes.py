"""Two specs of a FlowJob: what an edit asks for, by the class of each field that it changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob_operator.resources.changes import Changes, changes
from flowjob_operator.resources.field_classes import CLASS_OF, FieldClass
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.job_spec import WantedState
from flowjob_operator.resources.model import leaves
from tests.operator.resources.examples import FULL, MINIMAL, Spec

IGNORE, LIVE, RESCALE, TM_ROLL, UPGRADE, MOVE = (
    FieldClass.IGNORE,
    FieldClass.LIVE,
    FieldClass.RESCALE,
    FieldClass.TM_ROLL,
    FieldClass.UPGRADE,
    FieldClass.MOVE,
)


def edited(spec: Spec, path: str, value: Any) -> Spec:
    """With another value; None takes the field away."""
    name, _, rest = path.partition(".")
    if rest:
        return {**spec, name: edited(spec.get(name, {}), rest, value)}
    return {
        **{k: v for k, v in spec.items() if k != name},
        **({} if value is None else {name: value}),
    }


def of(old: Spec, new: Spec) -> Changes:
    return changes(FlowJobSpec.of(old), FlowJobSpec.of(new))


def edit(*edits: tuple[str, Any], of_: Spec = MINIMAL) -> Changes:
    new = of_
    for path, value in edits:
        new = edited(new, path, value)
    return of(of_, new)


def test_every_field_has_a_class_and_no_other_has_one() -> None:
    assert {leaf.path for leaf in leaves(FlowJobSpec)} == set(CLASS_OF)


def test_every_class_has_a_meaning_and_fields() -> None:
    assert set(CLASS_OF.values()) == set(FieldClass)
    assert all(kind.meaning for kind in FieldClass)


@pytest.mark.parametrize(
    ("path", "value", "actions"),
    [
        ("job.parallelism", 8, (RESCALE,)),
        ("checkpoints.interval", "30s", (LIVE,)),
        ("checkpoints.timeout", "5m", (LIVE,)),
        ("checkpoints.mode", "AtLeastOnce", (LIVE,)),
        ("taskManager.slots", 4, (TM_ROLL,)),
        ("taskManager.resources", {"limits": {"memory": "8Gi"}}, (TM_ROLL,)),
        ("taskManager.podTemplate", {"spec": {"priorityClassName": "high"}}, (TM_ROLL,)),
        ("image", "flowjob-worker:2", (UPGRADE,)),
        ("job.entrypoint", "flights:daily", (UPGRADE,)),
        ("job.args", {"hours": 2}, (UPGRADE,)),
        ("config", {"batch_rows": 1024}, (UPGRADE,)),
        ("jobManager.replicas", 2, (UPGRADE,)),
        ("jobManager.resources", {"limits": {"cpu": 1}}, (UPGRADE,)),
        ("checkpoints.secretRef", {"name": "other"}, (UPGRADE,)),
        ("checkpoints.storage", "s3://other/prefix", (MOVE,)),
        ("checkpoints.endpoint", "http://other:9000", (MOVE,)),
        ("upgrade.mode", "LastState", ()),
        ("upgrade.rollback.enabled", True, ()),
        ("deletionPolicy", "Discard", ()),
        ("job.restoreFrom", {"snapshot": "other"}, ()),
        ("snapshots.schedule", "@hourly", ()),
        ("snapshots.retention.maxAge", "1d", ()),
        ("priorState", "Ignore", ()),
        ("job.stop.drain", True, ()),
        ("job.state", "Suspended", ()),
        ("job.savepointNonce", 3, ()),
    ],
)
def test_an_edit_asks_for_what_the_class_of_its_field_says(
    path: str, value: Any, actions: tuple[FieldClass, ...]
) -> None:
    found = edit((path, value))
    assert [change.path for change in found.fields] == [path]
    assert found.actions == actions


@pytest.mark.parametrize(
    ("paths", "actions"),
    [
        (("job.parallelism", "checkpoints.interval"), (RESCALE, LIVE)),
        (("job.parallelism", "taskManager.slots"), (TM_ROLL,)),
        (("checkpoints.interval", "taskManager.slots"), (TM_ROLL, LIVE)),
        (("image", "job.parallelism", "taskManager.slots", "checkpoints.interval"), (UPGRADE,)),
        (("checkpoints.storage", "image", "checkpoints.interval"), (MOVE,)),
        (("upgrade.mode", "job.parallelism"), (RESCALE,)),
        (("upgrade.mode", "deletionPolicy"), ()),
    ],
)
def test_an_action_makes_needless_what_it_does_anyway(
    paths: tuple[str, ...], actions: tuple[FieldClass, ...]
) -> None:
    values = {
        "job.parallelism": 8,
        "checkpoints.interval": "30s",
        "taskManager.slots": 4,
        "image": "flowjob-worker:2",
        "checkpoints.storage": "s3://other/prefix",
        "upgrade.mode": "LastState",
        "deletionPolicy": "Discard",
    }
    assert edit(*((path, values[path]) for path in paths)).actions == actions


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("checkpoints.interval", "60s", "1m"),
        ("checkpoints.timeout", "1.5h", "1h30m"),
        ("checkpoints.interval", "Off", "Off"),
        ("checkpoints.spillBytes", "1Gi", 2**30),
        ("taskManager.resources", {"limits": {"cpu": 1}}, {"limits": {"cpu": "1000m"}}),
        ("taskManager.resources", {"limits": {}}, None),
        ("jobManager.podTemplate", {}, None),
        ("job.args", {"hours": 1}, {"hours": "1"}),
        ("job.args", {}, None),
        ("imagePullSecrets", [], None),
        ("upgrade", {}, None),
        ("upgrade.mode", "Savepoint", None),
        ("job.state", "Running", None),
        ("deletionPolicy", "Retain", None),
    ],
)
def test_what_means_the_same_is_no_change(path: str, old: Any, new: Any) -> None:
    assert of(edited(MINIMAL, path, old), edited(MINIMAL, path, new)) == Changes()
    assert of(edited(MINIMAL, path, new), edited(MINIMAL, path, old)) == Changes()


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("checkpoints.interval", "Off", "10s"),
        ("checkpoints.interval", None, "Off"),
        ("job.args", {"on": "true"}, {"on": "True"}),
        ("job.stop.drain", None, False),
        ("checkpoints.tolerableFailures", None, 0),
        ("taskManager.podTemplate", {"spec": {"a": 1}}, {"spec": {"a": "1"}}),
        ("jobManager.podTemplate", {"spec": {}}, None),
        ("jobManager.podTemplate", {"emptyDir": {}}, {"emptyDir": None}),
        ("jobManager.podTemplate", {"spec": {"a": 1}}, {"spec": {"a": True}}),
    ],
)
def test_what_might_mean_something_else_is_a_change(path: str, old: Any, new: Any) -> None:
    (found,) = of(edited(MINIMAL, path, old), edited(MINIMAL, path, new)).fields
    assert found.path == path
    assert found.kind is CLASS_OF[path]


def test_a_change_shows_what_was_written() -> None:
    (found,) = edit(
        ("checkpoints.interval", "90s"), of_=edited(MINIMAL, "checkpoints.interval", "1m")
    ).fields
    assert (found.old, found.new) == ("1m", "90s")


def test_max_parallelism_is_refused_once_there_is_one() -> None:
    with_one = edited(MINIMAL, "job.maxParallelism", 128)
    (found,) = edit(("job.maxParallelism", 256), of_=with_one).refused
    assert (found.old, found.new) == (128, 256)
    assert edit(("job.maxParallelism", 256)).fields == ()  # it has never started
    assert edit(("job.parallelism", 2), of_=with_one).refused == ()


@pytest.mark.parametrize(
    ("old", "new", "runs_with", "is_refused"),
    [
        (None, 128, 128, False),
        (128, None, 128, False),
        (None, 64, 128, True),
        (None, None, 128, False),
        (64, None, 128, True),
    ],
)
def test_an_absent_max_parallelism_is_what_the_job_runs_with(
    old: int | None, new: int | None, runs_with: int, is_refused: bool
) -> None:
    one, other = (FlowJobSpec.of(edited(MINIMAL, "job.maxParallelism", n)) for n in (old, new))
    assert bool(changes(one, other, max_parallelism=runs_with).refused) is is_refused


@pytest.mark.parametrize(
    ("old", "new", "asks"),
    [(None, 1, True), (1, 2, True), (2, 1, True), (1, None, False), (1, 1, False), (None, 0, True)],
)
@pytest.mark.parametrize("name", ["restart", "restore", "savepoint", "checkpoint"])
def test_a_nonce_asks_when_it_has_a_new_number_and_never_by_going(
    name: str, old: int | None, new: int | None, asks: bool
) -> None:
    path = f"job.{name}Nonce"
    found = of(edited(MINIMAL, path, old), edited(MINIMAL, path, new))
    assert [change.path for change in found.asked_for] == ([path] if asks else [])
    assert found.actions == ()


def test_a_wanted_state_is_told_apart_from_actions() -> None:
    found = edit(("job.state", "Suspended"), ("image", "flowjob-worker:2"))
    assert found.wanted_state is WantedState.SUSPENDED
    assert found.actions == (UPGRADE,)
    assert edit(("image", "flowjob-worker:2")).wanted_state is None


def test_another_program_is_one_upgrade() -> None:
    found = of(MINIMAL, {"job": {"script": "import flowjob as fj"}})
    assert {change.path for change in found.fields} == {"job.entrypoint", "job.script"}
    assert found.actions == (UPGRADE,)


# -- laws

PATHS = sorted(CLASS_OF)
SPECS = st.sets(st.sampled_from(PATHS), max_size=8).map(
    lambda absent: FlowJobSpec.of(without(FULL, absent))
)


def differences(one: FlowJobSpec, other: FlowJobSpec) -> Changes:
    return changes(one, other, max_parallelism=FULL["job"]["maxParallelism"])


def without(spec: Spec, paths: set[str]) -> Spec:
    for path in paths - {"job"}:
        spec = edited(spec, path, None)
    return spec


@given(SPECS)
@settings(max_examples=30)
def test_a_spec_does_not_differ_from_itself(spec: FlowJobSpec) -> None:
    assert differences(spec, spec) == Changes()
    assert differences(spec, FlowJobSpec.of(spec.wire())) == Changes()


@given(SPECS, SPECS)
@settings(max_examples=50)
def test_going_back_changes_the_same_fields_by_the_same_actions(
    one: FlowJobSpec, other: FlowJobSpec
) -> None:
    there, back = differences(one, other), differences(other, one)
    assert [c.path for c in there.fields] == [c.path for c in back.fields]
    assert there.actions == back.actions


@given(SPECS, SPECS, SPECS)
@settings(max_examples=50)
def test_two_edits_change_no_field_that_neither_of_them_changes(
    one: FlowJobSpec, two: FlowJobSpec, three: FlowJobSpec
) -> None:
    first, second, both = (
        {c.path for c in differences(a, b).fields}
        for a, b in ((one, two), (two, three), (one, three))
    )
    assert first ^ second <= both <= first | second


@given(SPECS, SPECS)
@settings(max_examples=50)
def test_there_is_an_action_exactly_when_a_field_with_one_has_changed(
    one: FlowJobSpec, other: FlowJobSpec
) -> None:
    found = differences(one, other)
    acting = {LIVE, RESCALE, TM_ROLL, UPGRADE, MOVE}
    assert bool(found.actions) == any(c.kind in acting for c in found.fields)
    if UPGRADE in found.actions or MOVE in found.actions:
        assert len(found.actions) == 1
