"""The memory backend against the conformance suite, and against a dict under random use."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.errors import StateError
from flowjob.runtime.state.backend import StateBackend
from flowjob.runtime.state.memory import MemoryBackend
from flowjob.runtime.state.mutation_check import MutationCheckingBackend
from flowjob.state import list_state, map_state, value_state
from flowjob.testing.state_conformance import CHECKS, HOUR, HOUR_MICROS, Table, check_state_backend


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_memory_backend_conforms(check: Callable[[StateBackend], None]) -> None:
    check(MemoryBackend())


def test_a_failed_demand_is_named() -> None:
    class Broken:
        def table(self, spec):
            raise ValueError("no tables today")

    with pytest.raises(AssertionError, match=r"a value is kept per key .*no tables today"):
        check_state_backend(Broken)


KEYS = st.sampled_from(["a", "b", "c", None, ""])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("clear"), KEYS, st.none()),
        st.tuples(st.just("append"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("put"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("drop"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("settle"), st.none(), st.none()),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=60)
def test_state_is_what_a_dict_per_key_would_hold(steps) -> None:
    table = Table(
        MemoryBackend(),
        (pa.string(),),
        value=value_state(int, default=-1),
        items=list_state(int),
        named=map_state(int, int),
    )
    values: dict = {}
    lists: dict = {}
    maps: dict = {}
    for step, key, argument in steps:
        if step == "settle":
            table.settle()
            alive = {*values, *(k for k in lists if lists[k]), *(k for k in maps if maps[k])}
            assert len(table.table) == len(alive)
            continue
        with table.at(key) as bound:
            if step == "set":
                bound.value.value = values[key] = argument
            elif step == "clear":
                bound.value.clear()
                bound.items.clear()
                for held in (values, lists):
                    held.pop(key, None)
            elif step == "append":
                bound.items.append(argument)
                lists.setdefault(key, []).append(argument)
            elif step == "put":
                bound.named[argument] = argument
                maps.setdefault(key, {})[argument] = argument
            else:
                assert bound.named.pop(argument, None) == maps.get(key, {}).pop(argument, None)
            assert bound.value.value == values.get(key, -1)
            assert list(bound.items) == lists.get(key, [])
            assert dict(bound.named.items()) == maps.get(key, {})
    assert dict(table.table.entries("value")) == values
    assert dict(table.table.entries("items")) == {k: v for k, v in lists.items() if v}
    assert dict(table.table.entries("named")) == {k: v for k, v in maps.items() if v}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "drop", "wait", "read"]), st.integers(0, 3), st.integers(0, 5)
        ),
        max_size=30,
    )
)
@settings(max_examples=60)
def test_a_map_with_ttl_is_a_dict_of_deadlines(steps) -> None:
    table = Table(MemoryBackend(), (pa.int64(),), named=map_state(int, int, ttl=HOUR))
    model: dict[int, tuple[int, int]] = {}
    now = 0
    for step, name, amount in steps:
        if step == "wait":
            now += amount * HOUR_MICROS // 3
            table.later(amount * HOUR_MICROS // 3)
            table.settle()
        with table.at(1) as bound:
            if step == "put":
                bound.named[name] = amount
                model[name] = (amount, now + HOUR_MICROS)
            elif step == "drop":
                value, end = model.pop(name, (None, 0))
                assert bound.named.pop(name, None) == (value if end > now else None)
            live = {k: v for k, (v, end) in model.items() if end > now}
            assert bound.named.get(name) == live.get(name)
            assert dict(bound.named.items()) == live
            assert len(bound.named) == len(live)


def test_many_short_lived_keys_take_the_slots_of_a_few() -> None:
    table = Table(MemoryBackend(), (pa.int64(),), value=value_state(int))
    for first in range(0, 1000, 10):
        slots = table.locate(*range(first, first + 10))
        assert max(slots) < 10
        table.settle()


def test_bound_state_shows_its_content_to_a_debugger() -> None:
    table = Table(MemoryBackend(), (pa.int64(),), value=value_state(int, default=0))
    with table.at(1) as bound:
        bound.value.value = 5
        assert repr(bound.value) == "<state `value` of Checked: 5>"
    assert repr(table.table.bound["value"]) == "<state `value` of Checked: no key>"


def test_the_mutation_check_finds_a_value_changed_in_place() -> None:
    table = Table(MutationCheckingBackend(), (pa.string(),), names=value_state(list))
    with table.at("a") as bound:
        bound.names.value = ["x"]
        assert bound.names.value == ["x"]
        bound.names.value = [*bound.names.value, "y"]
        bound.names.value.append("z")
        with pytest.raises(StateError, match=r"`names` of Checked, key 'a': .* changed in place"):
            _ = bound.names.value
    with table.at("b") as bound:
        bound.names.value = value = []
        value.append(1)
        bound.names.value = value
        assert bound.names.value == [1]
        bound.names.clear()
        assert bound.names.value is None


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_mutation_checking_backend_conforms_too(check: Callable[[StateBackend], None]) -> None:
    check(MutationCheckingBackend())
