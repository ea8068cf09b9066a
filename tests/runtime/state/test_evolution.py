"""Stored values under a newer declaration, and values that are too much for one column."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.column_types import Int16, Int32
from flowjob.errors import SchemaError, StateMismatch
from flowjob.plan.stored_state import StoredType, stored_type
from flowjob.runtime.state.evolution import evolved
from flowjob.runtime.state.stored_values import (
    ROWS,
    TooMuch,
    in_pieces,
    read_values,
    whole,
    write_values,
)
from flowjob.schema import Schema


class OldInner(Schema):
    n: Int16
    gone: str


class Old(Schema):
    a: Int32
    inner: OldInner | None
    many: list[OldInner]
    named: dict[str, OldInner] | None
    pair: tuple[Int32, str]


class NewInner(Schema):
    n: int
    added: str = "default"
    listed: list[int] | None = None


class New(Schema):
    pair: tuple[int, str]
    named: dict[str, NewInner] | None
    many: list[NewInner]
    inner: NewInner | None
    a: float
    extra: int | None


INNER = st.builds(OldInner, st.integers(-9, 9), st.sampled_from(["", "x"]))
ROWS_OF_OLD = st.builds(
    Old,
    st.integers(-9, 9),
    st.none() | INNER,
    st.lists(INNER, max_size=3),
    st.none() | st.dictionaries(st.sampled_from("abc"), INNER, max_size=3),
    st.tuples(st.integers(-9, 9), st.sampled_from(["", "y"])),
)


def newer(row: Old | None) -> Any:
    def inner(value: OldInner | None) -> NewInner | None:
        return None if value is None else NewInner(value.n)

    if row is None:
        return None
    named = None if row.named is None else {k: inner(v) for k, v in row.named.items()}
    many = [inner(v) for v in row.many]
    return New(row.pair, named, many, inner(row.inner), float(row.a), None)


@given(st.lists(st.none() | ROWS_OF_OLD, max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_rows_at_any_depth_get_defaults_and_wider_numbers(rows: list[Old | None], data) -> None:
    column = write_values(stored_type(Old), rows)
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    part = column.slice(start, stop - start)
    found = read_values(stored_type(New), part, pa.field("value", part.type))
    assert found == [newer(row) for row in rows[start:stop]]
    value = stored_type(New).value
    assert value is not None
    evolved(part, value).validate(full=True)


@pytest.mark.parametrize(
    ("stored", "declared"),
    [(int, Int32), (str, int), (list[int], int), (tuple[int, int], tuple[int]), (float, int)],
)
def test_what_has_no_equal_is_refused(stored: Any, declared: Any) -> None:
    value = stored_type(declared).value
    assert value is not None
    with pytest.raises(SchemaError):
        evolved(pa.array([], stored_type(stored).value.arrow), value)


def test_a_column_that_came_without_default_is_refused() -> None:
    class Narrow(Schema):
        a: int

    class Wide(Schema):
        a: int
        b: int

    column = write_values(stored_type(Narrow), [Narrow(1)])
    with pytest.raises(StateMismatch, match=r"refused +b: .*default"):
        read_values(stored_type(Wide), column, pa.field("value", column.type))


def test_columns_become_objects_and_objects_columns() -> None:
    column = write_values(stored_type(Old), [Old(1, None, [], None, (1, "x"))])
    (row,) = read_values(StoredType(None), column, pa.field("value", column.type))
    assert (row.a, row.many) == (1, [])
    pickled = write_values(StoredType(None), [5, None])
    assert read_values(stored_type(int), pickled, StoredType(None).field("value")) == [5, None]


class ReadsOutside:
    """Is restored with the help of something that is not there at the moment."""

    def __setstate__(self, state: object) -> None:
        raise TimeoutError("the model server is away")

    def __getstate__(self) -> object:
        return 1


def test_a_value_that_cannot_be_read_now_is_not_taken_for_one_that_never_can() -> None:
    objects = StoredType(None)
    column = write_values(objects, [ReadsOutside()])
    with pytest.raises(TimeoutError, match="the model server is away"):
        read_values(objects, column, objects.field("value"))


def test_rows_that_are_too_much_for_one_array_are_halved_until_they_fit() -> None:
    made: list[tuple[int, int]] = []

    def make(piece: slice) -> list[pa.Array]:
        if piece.stop - piece.start > 1000:
            whole(pa.chunked_array([[1], [2]]))
        made.append((piece.start, piece.stop))
        return []

    count = ROWS + 10
    assert len(list(in_pieces(make, count))) == len(made)
    assert made[0][0] == 0
    assert made[-1][1] == count
    assert all(a[1] == b[0] for a, b in pairwise(made))
    with pytest.raises(TooMuch):
        list(in_pieces(lambda _: [whole(pa.chunked_array([[1], [2]]))], 3))
