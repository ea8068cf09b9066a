"""Declarations of state: what they remember, and what they refuse."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowjob.errors import StateError
from flowjob.functions import Context
from flowjob.state import (
    aggregating_state,
    declared_states,
    list_state,
    map_state,
    reducing_state,
    value_state,
)


class Total:
    def create(self) -> int:
        return 0

    def add(self, accumulator: int, value: int) -> int:
        return accumulator + value

    def result(self, accumulator: int) -> int:
        return accumulator


class Base:
    first = value_state(int)
    replaced = value_state(int)
    removed = value_state(int)


class Derived(Base):
    replaced = list_state(str)
    removed = None  # type: ignore[assignment]
    last = map_state(str, int)


def test_states_are_named_by_their_attributes_base_classes_first() -> None:
    found = declared_states(Derived())
    assert list(found) == ["first", "replaced", "last"]
    assert found["replaced"] is Derived.replaced
    assert declared_states(Derived) == found


@pytest.mark.parametrize("default", [[], {}, set(), bytearray()])
def test_a_mutable_default_is_refused(default: Any) -> None:
    with pytest.raises(TypeError, match="shared by all keys"):
        value_state(list, default=default)


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1)])
def test_a_ttl_must_be_positive(ttl: timedelta) -> None:
    with pytest.raises(ValueError, match="ttl must be positive"):
        list_state(int, ttl=ttl)


def test_an_aggregating_state_needs_an_aggregate() -> None:
    with pytest.raises(TypeError, match="has no create, add, result"):
        aggregating_state(5)


class Everything:
    value = value_state(int)
    items = list_state(int)
    named = map_state(str, int)
    most = reducing_state(int, max)
    total = aggregating_state(Total())


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.value.value,
        lambda s: setattr(s.value, "value", 1),
        lambda s: s.value.clear(),
        lambda s: s.items.append(1),
        lambda s: s.items.extend([1]),
        lambda s: s.items.update([1]),
        lambda s: s.items.clear(),
        lambda s: list(s.items),
        lambda s: len(s.items),
        lambda s: s.named["x"],
        lambda s: s.named.__setitem__("x", 1),
        lambda s: s.named.__delitem__("x"),
        lambda s: "x" in s.named,
        lambda s: iter(s.named),
        lambda s: len(s.named),
        lambda s: s.named.get("x"),
        lambda s: s.named.pop("x"),
        lambda s: s.named.keys(),
        lambda s: s.named.values(),
        lambda s: s.named.items(),
        lambda s: s.named.clear(),
        lambda s: s.most.add(1),
        lambda s: s.most.value,
        lambda s: s.most.clear(),
        lambda s: s.total.add(1),
        lambda s: s.total.value,
        lambda s: s.total.clear(),
    ],
)
def test_every_use_outside_a_job_is_refused(use: Any) -> None:
    with pytest.raises(StateError, match="of Everything was used outside a running job"):
        use(Everything())


def test_the_guide_lists_every_kind_of_state_and_everything_a_context_has(root: Path) -> None:
    guide = (root / "docs" / "state.md").read_text()
    for kind in (value_state, list_state, map_state, reducing_state, aggregating_state):
        assert f"fj.{kind.__name__}(" in guide
    for name in vars(Context):
        if not name.startswith("_"):
            assert f"ctx.{name}" in guide
