"""Built in < chart < namespace < spec: what is in force, who has said it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob_operator.core.observed import Defaults
from flowjob_operator.rendering.effective import (
    BUILT_IN,
    LONGEST_VALUE,
    MOST_VALUES,
    Effective,
    effective,
    task_manager_resources,
)
from flowjob_operator.rendering.layers import ALWAYS_SAID, DEFAULTABLE, OF_THE_PROGRAM
from flowjob_operator.resources.changes import changes
from flowjob_operator.resources.fields import quantity
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import EffectiveValue, Source
from flowjob_operator.resources.model import leaves
from tests.operator.rendering.examples import EVERYTHING, IMAGE, of_chart, of_namespace
from tests.operator.resources.examples import FULL, MINIMAL, TAKEN, Spec

CHART, NAMESPACE, SPEC = Source.CHART, Source.NAMESPACE, Source.SPEC


def settle(spec: Spec, *defaults: Defaults, image: str | None = IMAGE) -> Effective:
    return effective(FlowJobSpec.of(spec), defaults, image)


def shown(found: Effective, path: str) -> tuple[str, Source] | None:
    value = found.values.get(path)
    return None if value is None else (value.value, value.source)


def with_checkpoints(**fields: Any) -> Spec:
    return {**MINIMAL, "checkpoints": fields}


# -- who wins


@pytest.mark.parametrize(
    ("chart", "namespace", "spec", "value", "source"),
    [
        (None, None, None, "5m", Source.BUILT_IN),
        ("1m", None, None, "1m", CHART),
        (None, "2m", None, "2m", NAMESPACE),
        ("1m", "2m", None, "2m", NAMESPACE),
        ("1m", "2m", "3m", "3m", SPEC),
        ("1m", None, "3m", "3m", SPEC),
        ("soon", "2m", None, "2m", NAMESPACE),
        ("1m", "soon", None, "1m", CHART),
        ("soon", "later", None, "5m", Source.BUILT_IN),
    ],
)
def test_the_most_specific_one_wins(
    chart: str | None, namespace: str | None, spec: str | None, value: str, source: Source
) -> None:
    said: Spec = {**MINIMAL, "upgrade": {"slotsTimeout": spec}}
    path = "upgrade.slotsTimeout"
    # Whatever order they are handed in.
    found = settle(said, of_namespace({path: namespace}), of_chart({path: chart}))
    assert shown(found, path) == (value, source)
    assert found.spec.upgrade.slots_timeout == value


def test_every_field_that_may_have_a_default_takes_one_from_each_layer() -> None:
    wire = FlowJobSpec.of(FULL).wire()
    for path in DEFAULTABLE:
        value: Any = wire
        for name in path.split("."):
            value = value[name]
        for layer in (of_chart({path: value}), of_namespace({path: value})):
            found = settle(MINIMAL, layer)
            assert found.problems == ()
            sources = {v.source for p, v in found.values.items() if p.startswith(path)}
            assert layer.source in sources, path


@pytest.mark.parametrize("path", sorted(OF_THE_PROGRAM | ALWAYS_SAID))
def test_what_each_flowjob_says_itself_has_no_default(path: str) -> None:
    found = settle(MINIMAL, of_chart({path: "1"}))
    (problem,) = found.problems
    assert problem.startswith(f"the chart's defaults: {path}: it ")
    assert "cannot have a default" in problem
    assert found.spec == settle(MINIMAL).spec


def test_each_leaf_is_either_defaultable_or_of_the_program_or_always_said() -> None:
    paths = {leaf.path for leaf in leaves(FlowJobSpec)}
    assert {*DEFAULTABLE, *OF_THE_PROGRAM, *ALWAYS_SAID} == paths
    assert {"job.script", "job.state", "job.maxParallelism", "job.args"} <= OF_THE_PROGRAM
    assert set(BUILT_IN) <= set(DEFAULTABLE)


def test_settings_of_the_engine_are_merged_by_their_names() -> None:
    found = settle(
        {**MINIMAL, "config": {"c": "spec"}},
        of_chart({"config": {"a": 1, "b": 1, "c": 1}}),
        of_namespace({"config.b.x": "dotted", "config": "{b: 2}"}),
    )
    assert found.spec.config == {"a": 1, "b": 2, "c": "spec", "b.x": "dotted"}
    assert shown(found, "config.b") == ("2", NAMESPACE)
    assert shown(found, "config.c") == ("spec", SPEC)


def test_from_where_code_may_be_fetched_is_for_platforms_to_say_once_they_have() -> None:
    hosts = "config.artifacts.hosts"
    own = {**MINIMAL, "config": {"artifacts.hosts": "10.0.0.0/8"}}
    free = settle(own)
    assert (free.refused, shown(free, hosts)) == ((), ("10.0.0.0/8", SPEC))
    settled = settle(own, of_namespace({hosts: "b.example"}), of_chart({hosts: "a.example"}))
    assert shown(settled, hosts) == ("a.example", CHART)
    assert settled.spec.config["artifacts.hosts"] == "a.example"
    (sentence,) = settled.refused
    assert sentence == f"spec.{hosts} is settled by the chart's defaults: leave it out"
    assert settle(own, of_namespace({hosts: "10.0.0.0/8"})).refused == ()
    assert settle(MINIMAL, of_chart({hosts: "a.example"})).refused == ()


def test_pod_templates_of_all_layers_are_merged_by_name() -> None:
    def env(name: str, value: str) -> dict[str, Any]:
        container = {"name": "flowjob", "env": [{"name": name, "value": value}]}
        return {"spec": {"containers": [container]}}

    path = "taskManager.podTemplate"
    found = settle(
        {**MINIMAL, "taskManager": {"podTemplate": env("A", "spec")}},
        of_chart({path: {**env("A", "chart"), "metadata": {"labels": {"cost": "1"}}}}),
        of_namespace({path: env("B", "namespace")}),
    )
    template = found.spec.task_manager.pod_template
    assert template == {
        "metadata": {"labels": {"cost": "1"}},
        "spec": {
            "containers": [
                {
                    "name": "flowjob",
                    "env": [{"name": "A", "value": "spec"}, {"name": "B", "value": "namespace"}],
                }
            ]
        },
    }


@pytest.mark.parametrize(
    ("spec", "restarts"),
    [
        ({}, {"strategy": "FixedDelay", "attempts": 3, "delay": "1s"}),
        ({"attempts": 9}, {"strategy": "FixedDelay", "attempts": 9, "delay": "1s"}),
        ({"strategy": "FixedDelay"}, {"strategy": "FixedDelay", "attempts": 3, "delay": "1s"}),
        ({"strategy": "NoRestart"}, {"strategy": "NoRestart"}),
        ({"strategy": "FailureRate", "failures": 2}, {"strategy": "FailureRate", "failures": 2}),
    ],
)
def test_another_strategy_takes_nothing_from_the_one_that_was_the_default(
    spec: Spec, restarts: Spec
) -> None:
    chart = of_chart({"job.restarts": {"delay": "1s", "attempts": 3, "strategy": "FixedDelay"}})
    found = settle({"job": {"entrypoint": "a:b", "restarts": spec}}, chart)
    assert found.spec.job.restarts.wire() == restarts
    assert {p for p in found.values if p.startswith("job.restarts.")} == {
        f"job.restarts.{name}" for name in restarts
    }


def test_resources_are_taken_as_a_whole() -> None:
    found = settle(
        {**MINIMAL, "taskManager": {"resources": {"requests": {"cpu": 1}}}},
        of_chart({"taskManager.resources": {"limits": {"memory": "1Gi"}}}),
    )
    assert found.spec.task_manager.resources is not None
    assert found.spec.task_manager.resources.limits == {}


@pytest.mark.parametrize("nothing", [{}, {"requests": {}, "limits": {}}, None])
def test_what_says_nothing_is_as_if_it_were_absent(nothing: Any) -> None:
    found = settle({**MINIMAL, "jobManager": {"resources": nothing}})
    assert found.values["jobManager.resources"].source is Source.BUILT_IN


# -- built-in values


def test_the_least_job_has_all_it_needs() -> None:
    found = settle(MINIMAL)
    assert found.problems == found.refused == ()
    assert shown(found, "image") == (IMAGE, CHART)
    assert {path for path, v in found.values.items() if v.source is Source.BUILT_IN} == {
        *BUILT_IN,
        "taskManager.resources",
    }


def test_what_the_program_may_say_is_not_made_up() -> None:
    """A built-in interval would win over the program's own."""
    found = settle(MINIMAL)
    assert found.spec.checkpoints.wire() == {}
    assert found.spec.job.restarts.wire() == {}
    assert found.spec.job.max_parallelism is None
    assert CheckpointSettings().interval == 10


def test_memory_and_cores_grow_with_the_slots() -> None:
    for slots in (1, 2, 8):
        found = settle({**MINIMAL, "taskManager": {"slots": slots}})
        resources = found.spec.task_manager.resources
        assert resources is not None
        assert resources.wire() == task_manager_resources(slots)
        assert quantity(resources.requests["memory"]) == (768 * slots + 256) * 2**20
        assert quantity(resources.requests["cpu"]) * 4 == slots
        assert "cpu" not in resources.limits


def test_settling_again_changes_nothing() -> None:
    for spec in TAKEN.values():
        once = settle(spec).spec
        assert effective(once).spec == once
        assert changes(once, effective(once).spec).fields == ()


# -- how defaults are written


@pytest.mark.parametrize(
    "values",
    [
        {"checkpoints.interval": "30s", "checkpoints.retained": 5},
        {"checkpoints.interval": "30s", "checkpoints.retained": "5"},
        {"checkpoints": {"interval": "30s", "retained": 5}},
        {"checkpoints": "interval: 30s\nretained: 5\n"},
        {"checkpoints": '{"interval":"30s","retained":5}'},
        {"checkpoints": "{'interval': '30s', 'retained': 5, 'timeout': null}"},
    ],
    ids=["by path", "as text", "as a map", "as YAML", "as JSON", "as YAML of another kind"],
)
def test_defaults_may_be_written_in_several_ways(values: dict[str, object]) -> None:
    found = settle(MINIMAL, of_namespace(values))
    assert found.problems == ()
    assert found.spec.checkpoints.interval == "30s"
    assert found.spec.checkpoints.retained == 5


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"checkpoints.interval": "soon"},
            "checkpoints.interval: `soon` does not fit: it is a duration such as 10s, or Off.",
        ),
        ({"checkpoints.storage": "/x"}, "it is s3://bucket/prefix, or file:///directory"),
        ({"upgrade.slotTimeout": "1m"}, "there is no such field, but upgrade.slotsTimeout."),
        ({"invented": "1"}, "invented: there is no such field."),
        ({"checkpoints": "fast"}, "checkpoints: `fast` does not fit: it has fields of its own"),
        ({"config": "[1]"}, "config: `[1]` does not fit: it has fields of its own"),
        ({"config.a": [1]}, "config.a: `[1]` does not fit"),
        ({"taskManager.slots": "many"}, "taskManager.slots: `many` does not fit"),
        ({"taskManager.slots": 0}, "greater than or equal to 1"),
        ({"jobManager.replicas": "3"}, "less than or equal to 2"),
        ({"checkpoints.spillBytes": "much"}, "`much` is not a quantity"),
        (
            {"taskManager.resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}},
            "requests of cpu must not exceed limits",
        ),
        ({"taskManager.resources": {"requests": {"cpu": "x"}}}, "`x` is not a quantity"),
        ({"taskManager.resources": "{memory: 1Gi}"}, "there is no field memory in it"),
        ({"taskManager.localVolume": {"size": "big"}}, "`big` is not a quantity"),
        ({"taskManager.podTemplate": "{spec: {hostname: x}}"}, "spec.hostname cannot be changed"),
        ({"taskManager.podTemplate": "text"}, "taskManager.podTemplate: `text` does not fit"),
        ({"upgrade": "{fallback: Stateless}"}, "upgrade.fallback: `Stateless` does not fit"),
    ],
)
def test_a_default_that_does_not_fit_is_named_and_left_out(
    values: dict[str, object], says: str
) -> None:
    found = settle(MINIMAL, of_namespace(values))
    (problem,) = found.problems
    assert problem.startswith("the ConfigMap flowjob-defaults of this namespace: ")
    assert says in problem
    assert problem.endswith("It is left out.")
    assert found.spec == settle(MINIMAL).spec
    assert found.refused == ()


BOMB = "\n".join(
    [
        "spec:",
        "  a0: &a0 [x, x]",
        *(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)),
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 400,
        "{spec: " * 2_000,
        "- x\n" * 300_000,
        "2001-99-99",
        "9" * 100_000,
        "{[1]: 2}",
        "!!binary x",
    ],
    ids=[
        "aliases",
        "depth",
        "depth of maps",
        "length",
        "no date",
        "digits",
        "a list as key",
        "bytes",
    ],
)
@pytest.mark.parametrize("path", ["taskManager.podTemplate", "checkpoints", "taskManager.slots"])
def test_text_that_would_hurt_the_operator_is_left_out(path: str, text: str) -> None:
    found = settle(MINIMAL, of_namespace({path: text, "job.parallelism": 2}))
    assert found.spec.job.parallelism == 2
    (problem,) = found.problems
    assert len(problem) < 300


texts = st.text(max_size=8) | st.sampled_from(
    ["{", "a: b: c", "- x", "\t", "!!python/none x", "null"]
)
wild = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["interval", "config", "spec", "size", "x"]), inner, max_size=2
        )
    ),
    max_leaves=6,
)
paths = st.sampled_from(
    [*DEFAULTABLE, "checkpoints", "config", "config.x", "", ".", "upgrade.rollback"]
)


@settings(max_examples=40)
@given(st.dictionaries(paths, wild, max_size=4))
def test_whatever_is_in_a_config_map_stops_no_job(values: dict[str, object]) -> None:
    found = settle(MINIMAL, of_namespace(values))
    assert found.spec.job.entrypoint == "flights:job"
    FlowJobSpec.of(found.spec.wire())


# -- what takes the defaults to see


@pytest.mark.parametrize(
    ("spec", "defaults", "says"),
    [
        (
            {**MINIMAL, "jobManager": {"replicas": 2}},
            {},
            "spec.jobManager.replicas is 2, which needs checkpoints.storage",
        ),
        (
            MINIMAL,
            {"jobManager.replicas": 2},
            "jobManager.replicas (by the chart's defaults) is 2, which needs checkpoints.storage",
        ),
        (
            {"job": {"artifact": "s3://bucket/flights.py"}},
            {},
            "spec.job.artifact needs checkpoints.storage",
        ),
        (
            with_checkpoints(mode="AtLeastOnce"),
            {"checkpoints.unaligned": "Auto"},
            "checkpoints.unaligned (by the chart's defaults) is Auto, but with mode AtLeastOnce "
            "(spec.checkpoints.mode) barriers wait for nothing",
        ),
        (
            {"job": {"entrypoint": "a:b", "maxParallelism": 8}},
            {"job.parallelism": 9},
            "job.parallelism (by the chart's defaults) is 9, more than maxParallelism 8",
        ),
        (
            {**MINIMAL, "taskManager": {"podTemplate": {"spec": {"hostname": "x"}}}},
            {},
            "spec.taskManager.podTemplate: spec.hostname cannot be changed",
        ),
        (
            {**MINIMAL, "jobManager": {"podTemplate": {"kind": "Pod"}}},
            {"jobManager.podTemplate": {"metadata": {"labels": {"a": "b"}}}},
            "spec.jobManager.podTemplate: kind is no part of a pod template",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_and_says_who_said_what(
    spec: Spec, defaults: dict[str, object], says: str
) -> None:
    (sentence,) = settle(spec, of_chart(defaults)).refused
    assert says in sentence


def test_an_image_is_needed() -> None:
    (sentence,) = settle(MINIMAL, image=None).refused
    assert "spec.image is not said, and the operator has no default image" in sentence
    assert settle({**MINIMAL, "image": "x"}, image=None).refused == ()


def volume_at(path: str) -> dict[str, Any]:
    mount = {"name": "state", "mountPath": path}
    return {"podTemplate": {"spec": {"containers": [{"name": "flowjob", "volumeMounts": [mount]}]}}}


@pytest.mark.parametrize(
    ("mounted", "roles"),
    [("/state", []), ("/state/", []), ("/", []), ("/stat", ["jobManager", "taskManager"])],
)
def test_storage_in_a_directory_needs_a_volume_in_all_pods(mounted: str, roles: list[str]) -> None:
    spec = {
        **with_checkpoints(storage="file:///state/flowjob"),
        "jobManager": volume_at(mounted),
        "taskManager": volume_at(mounted),
    }
    found = [s for s in settle(spec).refused if "would hide" not in s]
    assert [sentence.split(".podTemplate")[0].split()[-1] for sentence in found] == roles
    assert all("mounts no volume there" in sentence for sentence in found)


def test_volumes_may_come_from_the_chart() -> None:
    template = volume_at("/state")["podTemplate"]
    both = {"jobManager.podTemplate": template, "taskManager.podTemplate": template}
    found = settle(with_checkpoints(storage="file:///state"), of_chart(both))
    assert found.refused == ()


# -- what is shown


def test_what_is_shown_fits_into_a_status() -> None:
    config = {f"setting.{n}": "x" * 4000 for n in range(128)}
    found = settle({**EVERYTHING, "config": config})
    assert len(found.values) == MOST_VALUES
    assert all(len(v.value) <= LONGEST_VALUE for v in found.values.values())
    assert "priorState" in found.values
    assert EffectiveValue.of(found.values["config.setting.0"].wire()).value.endswith("…")


def test_programs_are_not_shown_as_settings() -> None:
    found = settle({"job": {"script": "x", "args": {"password": "1"}}})
    assert not {"job.script", "job.args"} & set(found.values)
