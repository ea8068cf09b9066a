"""What becomes of stored state when the program has changed: part of `check_state_backend`.

Times to live come, go and change; states come and go; types follow schema_evolution.py; what cannot follow is refused
with what and where."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pyarrow as pa

from flowjob.column_types import Int32
from flowjob.errors import StateError, StateMismatch
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.state.backend import StateBackend
from flowjob.schema import Schema
from flowjob.state import State, list_state, map_state, reducing_state, value_state
from flowjob.testing.state_tables import (
    HOUR,
    HOUR_MICROS,
    Table,
    raises,
    rescaled,
    restored_state,
)


class _Point(Schema):
    x: Int32
    name: str | None


class _WiderPoint(Schema):
    name: str | None
    x: int
    added: int | None
    filled: str = "new"


# -- time to live


def _restored_at(backend: StateBackend, former: Table, now: int, **states: State) -> Table:
    table = Table(backend, (pa.int64(),), **states)
    table.table.scope.now = now
    table.table.restore(restored_state([former]))
    return table


def _brief(ttl: timedelta | None) -> dict[str, State]:
    return {
        "n": value_state(int, default=0, ttl=ttl),
        "seen": list_state(int, ttl=ttl),
        "named": map_state(str, int, ttl=ttl),
    }


def _seen(table: Table) -> tuple[Any, ...]:
    with table.at(1) as bound:
        return bound.n.value, list(bound.seen), list(bound.named.items())


def _written(backend: StateBackend, ttl: timedelta | None) -> Table:
    """A value, and two elements half an hour apart; now is the time of the second."""
    table = Table(backend, (pa.int64(),), **_brief(ttl))
    table.later(1_000 * HOUR_MICROS)
    with table.at(1) as bound:
        bound.n.value = 1
        bound.seen.append(1)
        bound.named["a"] = 1
        table.later(HOUR_MICROS // 2)
        bound.seen.append(2)
        bound.named["b"] = 2
    return table


def entries_expire_when_they_would_have(backend: StateBackend) -> None:
    former = _written(backend, HOUR)
    table = _restored_at(backend, former, former.table.scope.now, **_brief(HOUR))
    assert _seen(table) == (1, [1, 2], [("a", 1), ("b", 2)])
    table.later(HOUR_MICROS // 2)
    assert _seen(table) == (0, [2], [("b", 2)])
    table.later(HOUR_MICROS // 2)
    assert _seen(table) == (0, [], [])
    for _ in range(3):
        table.settle()
    assert len(table.table) == 0


def what_has_expired_is_not_stored(backend: StateBackend) -> None:
    table = _written(backend, HOUR)
    table.later(HOUR_MICROS // 2)
    sections = {section.name: section.table for section in table.table.snapshot()}
    assert sections["state.n"].num_rows == 0
    assert sections["state.seen"].column("value").to_pylist() == [[2]]
    assert sections["state.named"].column("map_key").to_pylist() == ["b"]


def a_ttl_that_is_new_counts_from_the_restore(backend: StateBackend) -> None:
    former = _written(backend, None)
    table = _restored_at(backend, former, 5_000 * HOUR_MICROS, **_brief(HOUR))
    table.later(HOUR_MICROS - 1)
    assert _seen(table) == (1, [1, 2], [("a", 1), ("b", 2)])
    table.later(1)
    assert _seen(table) == (0, [], [])


def without_a_ttl_what_was_there_stays(backend: StateBackend) -> None:
    former = _written(backend, HOUR)
    table = _restored_at(backend, former, 5_000 * HOUR_MICROS, **_brief(None))
    table.later(100 * HOUR_MICROS)
    assert _seen(table) == (1, [1, 2], [("a", 1), ("b", 2)])


def another_ttl_counts_from_the_last_write(backend: StateBackend) -> None:
    former = _written(backend, HOUR)
    table = _restored_at(backend, former, former.table.scope.now, **_brief(2 * HOUR))
    table.later(3 * HOUR_MICROS // 2 - 1)
    assert _seen(table) == (1, [1, 2], [("a", 1), ("b", 2)])
    table.later(1)
    assert _seen(table) == (0, [2], [("b", 2)])
    table = _restored_at(backend, former, former.table.scope.now, **_brief(HOUR / 2))
    assert _seen(table) == (0, [2], [("b", 2)])


# -- other declarations


def states_come_and_go(backend: StateBackend) -> None:
    former = Table(backend, (pa.int64(),), old=value_state(int), kept=value_state(int))
    with former.at(1) as bound:
        bound.old.value = bound.kept.value = 5
    (table,) = rescaled(backend, [former], 1, kept=value_state(int), new=list_state(int))
    with table.at(1) as bound:
        assert (bound.kept.value, list(bound.new)) == (5, [])


def stored_values_follow_their_declaration(backend: StateBackend) -> None:
    former = Table(
        backend,
        (pa.int64(),),
        row=value_state(_Point),
        rows=list_state(_Point),
        named=map_state(Int32, _Point),
        number=value_state(Int32),
        most=value_state(int),
    )
    with former.at(1) as bound:
        bound.row.value = _Point(1, "a")
        bound.rows.extend([_Point(2, None), _Point(3, "c")])
        bound.named[7] = _Point(4, "d")
        bound.number.value, bound.most.value = 5, 6
    (table,) = rescaled(
        backend,
        [former],
        1,
        row=value_state(_WiderPoint),
        rows=list_state(_WiderPoint),
        named=map_state(float, _WiderPoint),
        number=value_state(float),
        most=reducing_state(int, max),
    )
    with table.at(1) as bound:
        assert bound.row.value == _WiderPoint("a", 1, None, "new")
        assert list(bound.rows) == [_WiderPoint(None, 2, None), _WiderPoint("c", 3, None)]
        assert dict(bound.named.items()) == {7: _WiderPoint("d", 4, None)}
        assert bound.number.value == 5.0
        assert bound.most.value == 6


def what_cannot_follow_is_refused(backend: StateBackend) -> None:
    former = Table(backend, (pa.int64(),), n=value_state(float))
    with former.at(1) as bound:
        bound.n.value = 0.5
    for state, word in (
        (value_state(str), "declared as string"),
        (list_state(float), "list state"),
    ):
        message = raises(StateMismatch, partial(rescaled, backend, [former], 1, n=state))
        assert "state.n" in message, message
        assert word in message, message


def a_value_that_was_not_declared_is_refused_with_its_key(backend: StateBackend) -> None:
    for state, value in (
        (value_state(int), "seven"),
        (value_state(int), 2**70),
        (value_state(list[int]), (1, 2)),
        (list_state(int), "seven"),
        (map_state(str, int), "seven"),
        (value_state(object), lambda: (yield)),
    ):
        table = Table(backend, (pa.string(),), odd=state)
        with table.at("other") as bound, table.at("the key") as bound:
            _store(bound.odd, value)
        if callable(value):
            _taken(table)  # cloudpickle has it
            continue
        message = raises(StateError, partial(_taken, table))
        assert "`odd` of Checked" in message, message
        assert "the key" in message, message


def _taken(table: Table) -> list[Section]:
    return list(table.table.snapshot())


def _store(state: Any, value: Any) -> None:
    if hasattr(state, "append"):
        state.append(value)
    elif hasattr(state, "items"):
        state["x"] = value
    else:
        state.value = value


CHANGE_CHECKS: tuple[Callable[[StateBackend], None], ...] = (
    entries_expire_when_they_would_have,
    what_has_expired_is_not_stored,
    a_ttl_that_is_new_counts_from_the_restore,
    without_a_ttl_what_was_there_stays,
    another_ttl_counts_from_the_last_write,
    states_come_and_go,
    stored_values_follow_their_declaration,
    what_cannot_follow_is_refused,
    a_value_that_was_not_declared_is_refused_with_its_key,
)
