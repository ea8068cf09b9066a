"""What the snapshots of every state backend must be: part of `check_state_backend`.

Tables are filled, snapshot, and restored into others, of which there may be more or fewer. The layout is that of
plan/stored_state.py, so that backends can be exchanged. state_change_checks.py is about changed programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from flowjob.column_types import Int32
from flowjob.plan.stored_state import stored_state
from flowjob.runtime.state.backend import StateBackend
from flowjob.schema import Schema
from flowjob.state import (
    State,
    aggregating_state,
    list_state,
    map_state,
    reducing_state,
    value_state,
)
from flowjob.testing.state_tables import (
    HOUR,
    MAX_PARALLELISM,
    Sum,
    Table,
    rescaled,
)


class _Point(Schema):
    x: Int32
    name: str | None


def _states(ttl: timedelta | None = None) -> dict[str, State]:
    return {
        "number": value_state(int, default=-1, ttl=ttl),
        "row": value_state(_Point, ttl=ttl),
        "thing": value_state(object, ttl=ttl),
        "seen": list_state(str, ttl=ttl),
        "named": map_state(str, _Point, ttl=ttl),
        "pairs": map_state(tuple[str, int], int, ttl=ttl),
        "most": reducing_state(int, max, ttl=ttl),
        "total": aggregating_state(Sum(), ttl=ttl),
    }


def _fill(table: Table, key: Any, number: int) -> None:
    with table.at(key) as bound:
        bound.number.value = None if number % 3 == 0 else number
        if number % 2:
            bound.row.value = _Point(number, None)
            bound.thing.value = {number, "x"}
        bound.seen.extend(["b", "a", str(number)])
        bound.named["z"] = _Point(1, "z")
        bound.named["a"] = _Point(number, "a")
        bound.pairs["p", number] = number
        for value in (3, number, 1):
            bound.most.add(value)
            bound.total.add(value)
    table.table.timers.add(100 - number, table.locate(key)[0])
    table.table.processing_timers.add(7, table.locate(key)[0])


def _content(tables: Sequence[Table], states: Sequence[str]) -> dict[Any, Any]:
    """By key and state; of maps, in order."""
    found = {}
    for table in tables:
        for state in states:
            for key, content in table.table.entries(state):
                shown = list(content.items()) if isinstance(content, dict) else content
                assert (key, state) not in found, f"key {key!r} is in two tables"
                found[repr(key), state] = shown
    return found


def _timers(table: Table) -> list[tuple[int, Any]]:
    return [(time, table.table.key(slot)) for time, slot in table.table.timers.entries()]


def everything_survives_any_change_of_parallelism(backend: StateBackend) -> None:
    for ttl in (None, HOUR):
        states = _states(ttl)
        table = Table(backend, (pa.int64(),), **states)
        for number in range(40):
            _fill(table, number * 7, number)
        expected, timers = _content([table], list(states)), sorted(_timers(table))
        tables = [table]
        for parallelism in (3, 2, 5, 1):
            tables = rescaled(backend, tables, parallelism, **states)
            assert _content(tables, list(states)) == expected
            assert sorted(t for each in tables for t in _timers(each)) == timers
            for subtask, each in enumerate(tables):
                for _, slot in each.table.timers.entries():
                    group = each.table.key_group(slot)
                    assert group * parallelism // MAX_PARALLELISM == subtask
        assert len(tables[0].table) == 40


def restored_state_goes_on(backend: StateBackend) -> None:
    states = _states()
    table = Table(backend, (pa.string(),), **states)
    _fill(table, "a", 5)
    (again,) = rescaled(backend, [table], 1, **states)
    with again.at("a") as bound:
        bound.seen.append("c")
        bound.named["b"] = _Point(0, None)
        bound.most.add(9)
        bound.total.add(1)
        assert list(bound.seen) == ["b", "a", "5", "c"]
        assert list(bound.named) == ["z", "a", "b"]
        assert (bound.number.value, bound.most.value, bound.total.value) == (5, 9, 10)
        for name in states:
            getattr(bound, name).clear()
        assert bound.number.value == -1
    assert [t for t, _ in again.table.timers.due(1000)] == [95]
    again.settle()
    assert len(again.table) == 1, "it has a processing timer still"
    assert [t for t, _ in again.table.processing_timers.due(1000)] == [7]
    again.settle()
    assert len(again.table) == 0


def a_snapshot_changes_nothing(backend: StateBackend) -> None:
    states = _states(HOUR)
    table = Table(backend, (pa.int64(),), **states)
    for number in range(10):
        _fill(table, number, number)
    before = _content([table], list(states))
    first = list(table.table.snapshot())
    second = list(table.table.snapshot())
    assert [s.table.to_pylist() for s in first] == [s.table.to_pylist() for s in second]
    assert _content([table], list(states)) == before
    assert table.table.nbytes > 0


def sections_are_laid_out_as_documented(backend: StateBackend) -> None:
    states = _states(HOUR)
    table = Table(backend, (pa.int64(), pa.string()), **states)
    sections = {section.name: section for section in table.table.snapshot()}
    assert set(sections) == {f"state.{name}" for name in states} | {"timers", "processing-timers"}
    for name, state in states.items():
        stored = stored_state(name, state)
        section = sections[stored.section]
        key, own = section.table.schema.names[:2], list(section.table.schema)[2:]
        assert all(n.startswith("key.") for n in key), key
        assert pa.schema(own).equals(pa.schema(stored.fields), check_metadata=True)
        assert section.meta == stored.meta


def keys_of_every_sort_survive(backend: StateBackend) -> None:
    sorts: list[tuple[tuple[pa.DataType, ...], list[Any]]] = [
        ((pa.string(),), [None, "", "a", "é\0"]),
        ((pa.float64(),), [None, -0.0, math.nan, 1.5, math.inf]),
        ((pa.float32(),), [0.1, None]),
        ((pa.decimal128(10, 2),), [Decimal("1.00"), None]),
        ((pa.bool_(),), [True, False, None]),
        ((pa.uint64(),), [2**64 - 1, 0]),
        ((pa.binary(),), [b"", b"\xff\0"]),
        ((pa.string(), pa.int64()), [("a", 1), (None, 1), ("a", None), (None, None)]),
        ((), [()]),
    ]
    for types, keys in sorts:
        table = Table(backend, types, n=value_state(int))
        for number, key in enumerate(keys):
            with table.at(key) as bound:
                bound.n.value = number
        (again,) = rescaled(backend, [table], 1, n=value_state(int))
        for number, key in enumerate(keys):
            with again.at(key) as bound:
                assert bound.n.value == number, f"{key!r} of {types}"
        assert len(again.table) == len(keys)
        assert _named(again) == _named(table)


def _named(table: Table) -> dict[int, str]:
    """The keys by what `keys_of_every_sort_survive` stored; NaN looks the same."""
    return {number: repr(key) for key, number in table.table.entries("n")}


def timers_keep_their_order(backend: StateBackend) -> None:
    table = Table(backend, (pa.int64(),), n=value_state(int))
    order = [(key * 37) % 50 for key in range(50)]
    for key in order:
        table.table.timers.add(10 if key % 5 else 5, table.locate(key)[0])
    table.table.timers.add(10, table.locate(order[0])[0])  # again: it keeps its place
    (again,) = rescaled(backend, [table], 1, n=value_state(int))
    expected = [(5, k) for k in order if k % 5 == 0] + [(10, k) for k in order if k % 5]
    if order[0] % 5 == 0:
        expected.append((10, order[0]))
    assert _timers(again) == expected


SNAPSHOT_CHECKS: tuple[Callable[[StateBackend], None], ...] = (
    everything_survives_any_change_of_parallelism,
    restored_state_goes_on,
    a_snapshot_changes_nothing,
    sections_are_laid_out_as_documented,
    keys_of_every_sort_survive,
    timers_keep_their_order,
)
