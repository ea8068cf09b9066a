"""What a snapshot stores of an accumulator, taken through a file, is all there is to know of it."""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable, Iterator
from decimal import Context, Decimal, localcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import aggregates as agg
from flowjob.errors import JobFailed
from flowjob.runtime.accumulators.base import PICKLED, Accumulator
from flowjob.runtime.accumulators.keeping_rows import KeptRows
from flowjob.runtime.accumulators.making import make_accumulator
from tests.runtime.accumulators.test_accumulators import (
    CASES,
    MODELS,
    SLOTS,
    VALUES,
    Median,
    check,
    feed,
)

EVERY_SLOT = np.arange(SLOTS)
BY = pa.string()


@pytest.fixture(autouse=True)
def _wide_decimals() -> Iterator[None]:
    with localcontext(Context(prec=80)):
        yield


def stored(acc: Accumulator, slots: Any) -> list[pa.Array]:
    """The state of some slots, as it comes back from a file; sliced, as parts of files are."""
    fields = acc.state_fields("a")
    state = acc.state(slots)
    assert [a.type for a in state] == [f.type for f in fields]
    table = pa.table(state, schema=pa.schema(fields))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(pa.concat_tables([table.slice(0, 1), table]).combine_chunks())
    back = pa.ipc.open_file(sink.getvalue()).read_all()
    back.validate(full=True)
    return [column.combine_chunks() for column in back.slice(1).columns]


def loaded(acc: Accumulator, make: Callable[[], Accumulator]) -> Accumulator:
    """A new accumulator with the state of `acc`, stored with its slots in another order."""
    order = np.array([2, 0, *range(3, SLOTS), 1])
    new = make()
    new.grow(SLOTS)
    new.load(order, stored(acc, order))
    return new


@pytest.mark.parametrize(("name", "kind"), CASES)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_an_accumulator_goes_on_from_its_stored_state_as_if_nothing_had_happened(
    name: str, kind: str, data: Any
) -> None:
    aggregate, model = MODELS[name]
    type, values = VALUES[kind]
    row = st.tuples(st.integers(0, SLOTS - 1), st.sampled_from([None, *values]))
    before, after = data.draw(st.lists(row, max_size=12)), data.draw(st.lists(row, max_size=12))
    make = lambda: make_accumulator(aggregate("v"), [type])
    acc = make()
    acc.grow(SLOTS)
    feed(acc, [(1, values[0]), *before], type)
    acc.reset(np.array([1]))
    before = [(s, v) for s, v in before if s != 1]
    new = loaded(acc, make)
    check(new, before, model, type)
    assert repr([c.to_pylist() for c in new.state(EVERY_SLOT)]) == repr(
        [c.to_pylist() for c in acc.state(EVERY_SLOT)]
    )
    feed(acc, after, type, 100)
    feed(new, after, type, 100)
    assert repr(new.result(EVERY_SLOT).to_pylist()) == repr(acc.result(EVERY_SLOT).to_pylist())
    check(new, before + after, model, type)


@pytest.mark.parametrize("greatest", [False, True])
def test_min_by_and_max_by_keep_null_values_and_the_order_of_arrival(greatest: bool) -> None:
    aggregate = (agg.max_by if greatest else agg.min_by)("v", "b")
    make = lambda: make_accumulator(aggregate, [pa.string(), BY])
    acc = make()
    acc.grow(SLOTS)
    slots = np.array([0, 1, 1, 2])
    columns = [
        pa.array([None, "late", "tie", "lost"]),
        pa.array(["b", "a", "a", None]),
        pa.array([7, 5, 6, 8]),
    ]
    acc.update(slots, columns)
    new = loaded(acc, make)
    assert new.result(EVERY_SLOT).to_pylist()[:3] == [None, "late", None]
    # A row that came before the kept one, from another pane, still wins the tie.
    new.merge(np.array([1, 0]), [pa.array(["early", "x"]), pa.array(["a", "b"]), pa.array([4, 9])])
    assert new.result(EVERY_SLOT).to_pylist()[:2] == [None, "early"]


def test_floats_are_stored_to_the_bit() -> None:
    values = [0.1, 0.2, math.nan, -math.inf, 5e-324, 1e308]
    make = lambda: make_accumulator(agg.sum("v"), [pa.float64()])
    acc = make()
    acc.grow(SLOTS)
    feed(acc, [(0, values[0]), (0, values[1]), (1, values[2]), (2, values[4])], pa.float64())
    assert stored(acc, EVERY_SLOT)[0].to_pylist()[0] == 0.1 + 0.2
    assert loaded(acc, make).sums.tobytes() == acc.sums.tobytes()  # type: ignore[attr-defined]


def test_first_keeps_the_sign_of_zero_and_nan() -> None:
    make = lambda: make_accumulator(agg.first("v"), [pa.float64()])
    acc = make()
    acc.grow(SLOTS)
    feed(acc, [(0, -0.0), (1, math.nan), (2, None)], pa.float64())
    assert repr(loaded(acc, make).result(EVERY_SLOT).to_pylist()[:3]) == "[-0.0, nan, None]"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_of_decimals_may_be_beyond_38_digits_for_a_while(sign: int) -> None:
    type = pa.decimal128(38, 2)
    make = lambda: make_accumulator(agg.sum("v"), [type])
    acc = make()
    acc.grow(SLOTS)
    big = sign * (Decimal(10) ** 36 - 1)
    feed(acc, [(0, big)] * 50 + [(1, Decimal("-0.01"))], type)
    new = loaded(acc, make)
    feed(new, [(0, -big)] * 49, type)
    assert new.result(EVERY_SLOT).to_pylist()[:3] == [big, Decimal("-0.01"), None]


def test_accumulators_of_the_user_are_pickled_and_say_so() -> None:
    make = lambda: make_accumulator(Median("v"), [pa.float64()])
    acc = make()
    acc.grow(SLOTS)
    feed(acc, [(0, 3.0), (0, 1.0)], pa.float64())
    (field,) = acc.state_fields("m")
    assert field.metadata == PICKLED
    (state,) = stored(acc, EVERY_SLOT)
    assert pickle.loads(state[0].as_py()) == [3.0, 1.0]
    assert state[1].as_py() is None
    new = loaded(acc, make)
    feed(new, [(0, 2.0), (1, 5.0)], pa.float64())
    assert new.result(EVERY_SLOT).to_pylist()[:2] == [2.0, 5.0]
    assert acc.result(np.array([0])).to_pylist() == [2.0]


def test_what_was_defined_interactively_is_stored_with_its_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = sys.modules["__main__"]
    held = type("Held", (), {"__module__": "__main__", "total": 7})
    monkeypatch.setattr(main, "Held", held, raising=False)

    class Holding(agg.Aggregate[int, Any, int]):
        def create(self) -> Any:
            return held()

        def add(self, acc: Any, value: int) -> Any:
            acc.total += value
            return acc

        def result(self, acc: Any) -> int:
            return int(acc.total)

    make = lambda: make_accumulator(Holding("v"), [pa.int64()])
    acc = make()
    acc.grow(SLOTS)
    feed(acc, [(0, 3)], pa.int64())
    (state,) = stored(acc, np.array([0]))
    monkeypatch.delattr(main, "Held")
    new = make()
    new.grow(1)
    new.load(np.array([0]), [state])
    assert new.result(np.array([0])).to_pylist() == [10]


def test_an_accumulator_of_the_user_that_cannot_be_pickled_is_named() -> None:
    class Lazy(agg.Aggregate[int, Any, int]):
        def create(self) -> Any:
            return (i for i in range(3))

        def add(self, acc: Any, value: int) -> Any:
            return acc

        def result(self, acc: Any) -> int:
            return int(next(acc))

    acc = make_accumulator(Lazy("v"), [pa.int64()])
    acc.grow(1)
    feed(acc, [(0, 3)], pa.int64())
    with pytest.raises(JobFailed, match=r"Lazy\(v\): its accumulator is a generator"):
        acc.state(np.array([0]))


@pytest.mark.parametrize("kind", VALUES)
def test_kept_rows_are_stored_as_lists_of_structs(kind: str) -> None:
    type, values = VALUES[kind]
    plain = agg.plain(type)
    schema = pa.schema([("v", type), ("w", pa.list_(pa.string()))])
    make = lambda: KeptRows(schema)
    acc = make()
    rows = [(2, values[0]), (0, None), (2, values[-1]), (0, values[0])]
    columns = [
        pa.array([v for _, v in rows], type).cast(plain),
        pa.array([["x", None], None, [], ["y"]], pa.list_(pa.string())),
        pa.array(np.arange(len(rows))),
    ]
    acc.update(np.array([s for s, _ in rows]), columns)
    new = loaded(acc, make)
    for slots in (np.array([2, 0]), np.array([1])):
        (got, counts), (want, lengths) = new.rows(slots), acc.rows(slots)
        assert got.equals(want)
        assert counts.tolist() == lengths.tolist()
    assert [f.name for f in acc.state_fields("rows")] == ["rows", "rows.arrival"]


def test_the_state_of_nothing_is_empty() -> None:
    for name, kind in CASES:
        acc = make_accumulator(MODELS[name][0]("v"), [VALUES[kind][0]])
        state = acc.state(np.empty(0, np.int64))
        assert [len(column) for column in state] == [0] * len(state)
        acc.grow(1)
        acc.load(np.empty(0, np.int64), state)
