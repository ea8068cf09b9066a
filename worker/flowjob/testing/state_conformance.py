"""What every state backend must do: `check_state_backend(make)` runs all of it.

Each check is a function named for what it demands; a test suite may parametrise over CHECKS to see them one by one.
It knows the protocol of runtime/state/backend.py and no implementation."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa

from flowjob.errors import StateError
from flowjob.runtime.state.backend import StateBackend
from flowjob.state import (
    aggregating_state,
    list_state,
    map_state,
    reducing_state,
    value_state,
)
from flowjob.testing.state_change_checks import CHANGE_CHECKS
from flowjob.testing.state_snapshot_checks import SNAPSHOT_CHECKS
from flowjob.testing.state_tables import HOUR, HOUR_MICROS, Sum, Table, raises

# -- values, lists, maps, folds


def a_value_is_kept_per_key_and_starts_as_its_default(backend: StateBackend) -> None:
    table = Table(backend, (pa.string(),), count=value_state(int, default=7))
    with table.at("a") as bound:
        assert bound.count.value == 7
        bound.count.value = 1
    with table.at("b") as bound:
        assert bound.count.value == 7
    table.settle()
    with table.at("a") as bound:
        assert bound.count.value == 1
        bound.count.clear()
        assert bound.count.value == 7


def a_value_of_none_is_a_value(backend: StateBackend) -> None:
    table = Table(backend, (pa.string(),), last=value_state(int, default=7))
    with table.at("a") as bound:
        bound.last.value = None
        assert bound.last.value is None
    assert list(table.table.entries("last")) == [("a", None)]


def a_list_appends_extends_updates_and_clears(backend: StateBackend) -> None:
    table = Table(backend, (pa.int64(),), seen=list_state(str))
    with table.at(1) as bound:
        assert (len(bound.seen), list(bound.seen)) == (0, [])
        bound.seen.append("a")
        bound.seen.extend(["b", "c"])
    with table.at(2) as bound:
        assert not bound.seen
    with table.at(1) as bound:
        assert (len(bound.seen), list(bound.seen)) == (3, ["a", "b", "c"])
        bound.seen.update(["z"])
        assert list(bound.seen) == ["z"]
        bound.seen.update([])
        assert not bound.seen
        bound.seen.append("y")
        bound.seen.clear()
        assert list(bound.seen) == []


def a_map_behaves_like_a_dict(backend: StateBackend) -> None:
    table = Table(backend, (pa.int64(),), prices=map_state(str, int))
    with table.at(1) as bound:
        prices = bound.prices
        assert (len(prices), "x" in prices, prices.get("x"), prices.get("x", 3)) == (
            0,
            False,
            None,
            3,
        )
        prices["x"] = 1
        prices["y"] = 2
        assert (prices["x"], "x" in prices, len(prices)) == (1, True, 2)
        assert sorted(prices) == sorted(prices.keys()) == ["x", "y"]
        assert sorted(prices.items()) == [("x", 1), ("y", 2)]
        assert sorted(prices.values()) == [1, 2]
        assert prices.pop("x") == 1
        assert prices.pop("x", None) is None
        raises(KeyError, lambda: prices["x"])
        raises(KeyError, lambda: prices.pop("x"))
        del prices["y"]
        assert len(prices) == 0
        prices["z"] = 1
        prices.clear()
        assert list(prices) == []


def reducing_and_aggregating_fold_what_is_added(backend: StateBackend) -> None:
    table = Table(
        backend,
        (pa.int64(),),
        most=reducing_state(int, max),
        total=aggregating_state(Sum()),
    )
    with table.at(1) as bound:
        assert (bound.most.value, bound.total.value) == (None, None)
        for value in (3, 9, 4):
            bound.most.add(value)
            bound.total.add(value)
    with table.at(1) as bound:
        assert (bound.most.value, bound.total.value) == (9, 16)
        bound.most.clear()
        bound.total.clear()
        assert (bound.most.value, bound.total.value) == (None, None)


def state_without_a_current_key_says_so(backend: StateBackend) -> None:
    table = Table(
        backend,
        (pa.int64(),),
        one=value_state(int),
        many=list_state(int),
        named=map_state(str, int),
        brief=value_state(int, ttl=HOUR),
    )
    bound = table.table.bound
    for access in (
        lambda: bound["one"].value,
        lambda: setattr(bound["one"], "value", 1),
        bound["one"].clear,
        lambda: bound["many"].append(1),
        lambda: len(bound["many"]),
        lambda: bound["named"].get("x"),
        lambda: bound["named"].__setitem__("x", 1),
        lambda: bound["brief"].value,
        lambda: setattr(bound["brief"], "value", 1),
    ):
        message = raises(StateError, access)
        assert "state `" in message
        assert "Checked" in message


# -- keys


def equal_keys_meet_however_they_are_written(backend: StateBackend) -> None:
    floats = Table(backend, (pa.float64(),), n=value_state(int, default=0))
    quiet, other = math.nan, -math.nan
    first, second, zero, minus = floats.locate(quiet, other, 0.0, -0.0)
    assert first == second
    assert zero == minus
    decimals = Table(backend, (pa.decimal128(10, 2),), n=value_state(int, default=0))
    one, same = decimals.locate(Decimal("1.0"), Decimal("1.00"))
    assert one == same


def null_is_a_key_of_its_own(backend: StateBackend) -> None:
    table = Table(backend, (pa.string(),), n=value_state(int, default=0))
    null, empty, again = table.locate(None, "", None)
    assert null == again
    assert null != empty
    assert table.table.key(null) is None


def a_key_of_several_columns_is_a_tuple(backend: StateBackend) -> None:
    table = Table(backend, (pa.string(), pa.int64()), n=value_state(int, default=0))
    slots = table.locate(("a", 1), ("a", 2), ("a", 1), (None, 1))
    assert len(set(slots)) == 3
    assert [table.table.key(s) for s in slots] == [("a", 1), ("a", 2), ("a", 1), (None, 1)]


def the_key_group_depends_on_the_key_alone(backend: StateBackend) -> None:
    table = Table(backend, (pa.string(),), n=value_state(int, default=0))
    slots = table.locate("a", "b", "c")
    groups = [table.table.key_group(s) for s in slots]
    assert all(0 <= g < 128 for g in groups)
    other = Table(backend, (pa.string(),), n=value_state(int, default=0))
    again = [other.table.key_group(s) for s in other.locate("c", "b", "a")]
    assert groups == again[::-1]


def a_key_without_state_or_timers_is_freed(backend: StateBackend) -> None:
    table = Table(backend, (pa.int64(),), n=value_state(int, default=0), seen=list_state(int))
    with table.at(1) as bound:
        bound.n.value = 1
        bound.seen.append(1)
    table.locate(2)
    table.table.timers.add(100, table.locate(3)[0])
    table.settle()
    assert len(table.table) == 2
    with table.at(1) as bound:
        bound.n.clear()
        bound.seen.clear()
    assert list(table.table.timers.due(100)) != []
    table.settle()
    assert len(table.table) == 0
    with table.at(4) as bound:  # the number of a freed slot comes again, without what it held
        assert (bound.n.value, list(bound.seen)) == (0, [])
        bound.n.value = 4
    table.settle()
    assert list(table.table.entries("n")) == [(4, 4)]


# -- time to live


def a_value_is_gone_a_ttl_after_its_last_write(backend: StateBackend) -> None:
    table = Table(backend, (pa.int64(),), n=value_state(int, default=0, ttl=HOUR))
    with table.at(1) as bound:
        bound.n.value = 1
    table.later(HOUR_MICROS - 1)
    with table.at(1) as bound:
        assert bound.n.value == 1
        bound.n.value = 1
    table.later(HOUR_MICROS - 1)
    with table.at(1) as bound:
        assert bound.n.value == 1
    table.later(1)
    with table.at(1) as bound:
        assert bound.n.value == 0


def folds_begin_anew_after_their_ttl(backend: StateBackend) -> None:
    table = Table(
        backend,
        (pa.int64(),),
        most=reducing_state(int, max, ttl=HOUR),
        total=aggregating_state(Sum(), ttl=HOUR),
    )
    with table.at(1) as bound:
        bound.most.add(9)
        bound.total.add(9)
        table.later(HOUR_MICROS)
        assert (bound.most.value, bound.total.value) == (None, None)
        bound.most.add(2)
        bound.total.add(2)
        assert (bound.most.value, bound.total.value) == (2, 2)


def elements_of_a_list_expire_one_by_one(backend: StateBackend) -> None:
    table = Table(backend, (pa.int64(),), seen=list_state(int, ttl=HOUR))
    with table.at(1) as bound:
        bound.seen.append(1)
        table.later(HOUR_MICROS // 2)
        bound.seen.extend([2, 3])
        table.later(HOUR_MICROS // 2)
        assert (list(bound.seen), len(bound.seen)) == ([2, 3], 2)
        table.later(HOUR_MICROS // 2)
        assert list(bound.seen) == []


def entries_of_a_map_expire_one_by_one(backend: StateBackend) -> None:
    table = Table(backend, (pa.int64(),), prices=map_state(str, int, ttl=HOUR))
    with table.at(1) as bound:
        prices = bound.prices
        prices["x"] = 1
        prices["y"] = 2
        table.later(HOUR_MICROS // 2)
        prices["x"] = 3  # written again: y is now older
        table.later(HOUR_MICROS // 2)
        assert ("y" in prices, prices.get("y"), len(prices)) == (False, None, 1)
        assert dict(prices.items()) == {"x": 3}
        raises(KeyError, lambda: prices["y"])
        table.later(HOUR_MICROS // 2)
        assert (list(prices), len(prices), prices.pop("x", 5)) == ([], 0, 5)


def expired_state_is_freed_without_being_read(backend: StateBackend) -> None:
    table = Table(
        backend,
        (pa.int64(),),
        n=value_state(int, ttl=HOUR),
        seen=list_state(int, ttl=HOUR),
        prices=map_state(str, int, ttl=HOUR),
    )
    for key in range(100):
        with table.at(key) as bound:
            bound.n.value = key
            bound.seen.append(key)
            bound.prices["x"] = key
    table.settle()
    assert len(table.table) == 100
    table.later(HOUR_MICROS)
    for _ in range(100):
        table.table.settle(10)
    assert len(table.table) == 0
    assert list(table.table.entries("n")) == []


CHECKS: tuple[Callable[[StateBackend], None], ...] = (
    a_value_is_kept_per_key_and_starts_as_its_default,
    a_value_of_none_is_a_value,
    a_list_appends_extends_updates_and_clears,
    a_map_behaves_like_a_dict,
    reducing_and_aggregating_fold_what_is_added,
    state_without_a_current_key_says_so,
    equal_keys_meet_however_they_are_written,
    null_is_a_key_of_its_own,
    a_key_of_several_columns_is_a_tuple,
    the_key_group_depends_on_the_key_alone,
    a_key_without_state_or_timers_is_freed,
    a_value_is_gone_a_ttl_after_its_last_write,
    folds_begin_anew_after_their_ttl,
    elements_of_a_list_expire_one_by_one,
    entries_of_a_map_expire_one_by_one,
    expired_state_is_freed_without_being_read,
    *SNAPSHOT_CHECKS,
    *CHANGE_CHECKS,
)


def check_state_backend(make: Callable[[], StateBackend]) -> None:
    """Runs every check on a new backend; raises AssertionError, named after the demand that is not met."""
    for check in CHECKS:
        try:
            check(make())
        except Exception as error:
            raise AssertionError(f"{check.__name__.replace('_', ' ')}: {error!r}") from error
