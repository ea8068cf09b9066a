"""Pod templates over each other: what people expect of it, by a table; what must always hold, by examples at random."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob_operator.rendering.merging import MERGED_INSIDE, NAMED_BY, merge, name_of

Case = tuple[Any, Any, Any]

CASES: dict[str, Case] = {
    "maps are merged": ({"a": 1, "b": {"c": 1}}, {"b": {"d": 2}}, {"a": 1, "b": {"c": 1, "d": 2}}),
    "the overlay wins": ({"a": 1}, {"a": 2}, {"a": 2}),
    "null is as if it were absent": ({"a": 1}, {"a": None, "b": {"c": None}}, {"a": 1, "b": {}}),
    "lists without names are replaced": ({"args": [1, 2]}, {"args": [3]}, {"args": [3]}),
    "an empty list takes nothing away": (
        {"env": [{"name": "A", "value": "1"}]},
        {"env": []},
        {"env": [{"name": "A", "value": "1"}]},
    ),
    "variables are merged by name and keep their places": (
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"env": [{"name": "C", "value": "3"}, {"name": "A", "value": "9"}]},
        {
            "env": [
                {"name": "A", "value": "9"},
                {"name": "B", "value": "2"},
                {"name": "C", "value": "3"},
            ]
        },
    ),
    "a variable is replaced as a whole": (
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
    ),
    "a volume has one source": (
        {"volumes": [{"name": "tmp", "emptyDir": {}}]},
        {"volumes": [{"name": "tmp", "ephemeral": {"x": 1}}]},
        {"volumes": [{"name": "tmp", "ephemeral": {"x": 1}}]},
    ),
    "containers are merged inside": (
        {"containers": [{"name": "flowjob", "image": "a", "env": [{"name": "A", "value": "1"}]}]},
        {"containers": [{"name": "flowjob", "env": [{"name": "B", "value": "2"}]}]},
        {
            "containers": [
                {
                    "name": "flowjob",
                    "image": "a",
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                }
            ]
        },
    ),
    "the last of two with one name wins": (
        {},
        {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        {"env": [{"name": "A", "value": "2"}]},
    ),
    "mounts are known by their path": (
        {"volumeMounts": [{"name": "a", "mountPath": "/x"}]},
        {"volumeMounts": [{"name": "b", "mountPath": "/x"}, {"name": "b", "mountPath": "/y"}]},
        {"volumeMounts": [{"name": "b", "mountPath": "/x"}, {"name": "b", "mountPath": "/y"}]},
    ),
    "ports are known by number and protocol, which is TCP unless said": (
        {"ports": [{"containerPort": 1, "protocol": "TCP"}]},
        {"ports": [{"containerPort": 1, "name": "x"}, {"containerPort": 1, "protocol": "UDP"}]},
        {"ports": [{"containerPort": 1, "name": "x"}, {"containerPort": 1, "protocol": "UDP"}]},
    ),
    "tolerations are known by key and effect": (
        {"tolerations": [{"key": "a", "effect": "NoExecute", "tolerationSeconds": 10}]},
        {"tolerations": [{"key": "a", "effect": "NoExecute"}, {"operator": "Exists"}]},
        {"tolerations": [{"key": "a", "effect": "NoExecute"}, {"operator": "Exists"}]},
    ),
    "a probe of another kind replaces ours": (
        {"livenessProbe": {"httpGet": {"port": 1}, "periodSeconds": 5}},
        {"livenessProbe": {"exec": {"command": ["true"]}}},
        {"livenessProbe": {"exec": {"command": ["true"]}}},
    ),
    "a probe's times alone are merged": (
        {"livenessProbe": {"httpGet": {"port": 1}, "periodSeconds": 5}},
        {"livenessProbe": {"periodSeconds": 9}},
        {"livenessProbe": {"httpGet": {"port": 1}, "periodSeconds": 9}},
    ),
    "items without a name are added once": (
        {"env": [{"value": "?"}]},
        {"env": [{"value": "?"}, {"value": "!"}]},
        {"env": [{"value": "?"}, {"value": "!"}]},
    ),
    "what is no list does not break it": (
        {"env": "x"},
        {"env": [{"name": "A"}]},
        {"env": [{"name": "A"}]},
    ),
    "what is no map does not break it": ({"spec": [1]}, {"spec": {"a": 1}}, {"spec": {"a": 1}}),
}


@pytest.mark.parametrize(("base", "overlay", "merged"), CASES.values(), ids=CASES)
def test_a_template_over_another(base: Any, overlay: Any, merged: Any) -> None:
    before = copy.deepcopy((base, overlay))
    assert merge(base, overlay) == merged
    assert (base, overlay) == before


words = st.sampled_from(["a", "b", "c"])
scalars = st.none() | st.booleans() | st.integers(0, 3) | words
FIELDS = ("env", "containers", "ports", "tolerations")


def items(field: str) -> st.SearchStrategy[list[Any]]:
    """Each name once, as the API server demands of all of them."""
    names = st.fixed_dictionaries(dict.fromkeys(NAMED_BY[field], words))
    more = st.fixed_dictionaries({}, optional={"value": scalars, "x": scalars})
    return st.lists(
        st.builds(lambda n, m: {**m, **n}, names, more),
        max_size=3,
        unique_by=lambda item: name_of(item, field),
    )


named = st.fixed_dictionaries({}, optional={field: items(field) for field in FIELDS})
templates = st.fixed_dictionaries(
    {},
    optional={"spec": named, "env": items("env"), "a": scalars, "b": st.just({"c": 1}) | scalars},
)


@settings(max_examples=50)
@given(templates)
def test_nothing_over_something_is_that_without_nulls(base: Any) -> None:
    assert merge(merge({}, base), {}) == merge({}, base)


@settings(max_examples=50)
@given(templates, templates)
def test_merging_again_changes_nothing(base: Any, overlay: Any) -> None:
    once = merge(base, overlay)
    assert merge(once, overlay) == once


@settings(max_examples=50)
@given(templates, templates, templates)
def test_layers_can_be_merged_from_either_end(a: Any, b: Any, c: Any) -> None:
    clean = merge({}, a)
    assert merge(merge(clean, b), c) == merge(clean, merge(b, c)) or replaces_shape(a, b, c)


def replaces_shape(*layers: Any) -> bool:
    """A map over a scalar forgets what lay below the scalar: then the order matters, as it should."""
    shapes: dict[str, set[str]] = {}

    def note(value: Any, path: str) -> None:
        if value is not None:
            shapes.setdefault(path, set()).add(
                "map" if isinstance(value, dict) else "list" if isinstance(value, list) else "one"
            )
        for name, item in value.items() if isinstance(value, dict) else ():
            note(item, f"{path}/{name}")

    for layer in layers:
        note(layer, "")
    return any(len(found) > 1 for found in shapes.values())


@settings(max_examples=50)
@given(templates, templates)
def test_names_are_told_apart_and_none_is_lost(base: Any, overlay: Any) -> None:
    check_names(merge(merge({}, base), overlay), merge({}, base), overlay)


def check_names(merged: Any, base: Any, overlay: Any) -> None:
    for field, items in merged.items() if isinstance(merged, dict) else ():
        if field in NAMED_BY and isinstance(items, list):
            names = [name_of(item, field) for item in items]
            assert len(names) == len(set(names))
            for source in (base, overlay):
                found = source.get(field) if isinstance(source, dict) else None
                assert {name_of(item, field) for item in found or []} <= set(names)
        elif isinstance(items, dict):
            check_names(
                items,
                base.get(field) if isinstance(base, dict) else None,
                overlay.get(field) if isinstance(overlay, dict) else None,
            )


def test_only_containers_are_merged_inside() -> None:
    assert {"containers", "initContainers"} == MERGED_INSIDE
