"""Which class the rows have that functions get."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import flowjob as fj
from flowjob.testing import run


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Shirt(fj.Schema):
    size: str
    color: Color
    fit: Literal["slim", "wide"]


SHIRTS = [Shirt("m", Color.RED, "wide")]


def classes_after(change: Any) -> list[Any]:
    return run(lambda s: change(s).map(lambda r: (type(r).__name__, r.color, r.fit)), SHIRTS).rows


def test_rows_keep_their_class_when_a_column_gets_other_values_of_its_type() -> None:
    changed = classes_after(lambda s: s.with_columns(size=fj.col("size").str.upper()))
    assert changed == [("Shirt", Color.RED, "wide")]


def test_rows_with_computed_values_for_an_enum_or_literal_are_no_longer_of_its_class() -> None:
    assert classes_after(lambda s: s.with_columns(color=fj.col("size"))) == [("Row", "m", "wide")]
    assert classes_after(lambda s: s.with_columns(fit=fj.col("size"))) == [("Row", "red", "m")]
