"""key_by with a function: hidden key columns of the declared type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowjob.plan.specs import KeyByFunctionSpec
from flowjob.plan.types import OBJECT_COLUMN, OBJECTS, KeyField, StreamType
from flowjob.runtime.batch import Batch, Rows
from flowjob.runtime.operators.failures import RowFailed
from flowjob.runtime.operators.key_by_function import KeyByFunction
from flowjob.schema import Schema
from tests.runtime.operators.harness import OperatorHarness


class Word(Schema):
    text: str


def harness_of(
    function: Any, *types: pa.DataType, input: StreamType | None = None
) -> OperatorHarness:
    keys = tuple(KeyField(f"__key{i}", f"k{i}", t) for i, t in enumerate(types))
    type = input or Word.stream_type()
    spec = KeyByFunctionSpec(input=type, output=type, function=function, keys=keys)
    return OperatorHarness(KeyByFunction(spec))


def words(*texts: str) -> Rows:
    return Rows([Word(t) for t in texts], np.arange(len(texts)))


def test_the_key_is_a_hidden_column_behind_the_rows_own() -> None:
    harness = harness_of(lambda w: len(w.text), pa.int64())
    (out,) = harness.feed(words("a", "bcd"))
    assert isinstance(out, Batch)
    assert out.columns.to_pydict() == {"text": ["a", "bcd"], "__key0": [1, 3]}
    assert out.columns.schema.field("__key0").type == pa.int64()
    assert out.timestamps.tolist() == [0, 1]


def test_a_key_may_be_null_and_have_several_parts() -> None:
    harness = harness_of(lambda w: (w.text[:1] or None, len(w.text)), pa.string(), pa.int64())
    (out,) = harness.feed(words("", "bcd"))
    assert out.columns.to_pydict() == {"text": ["", "bcd"], "__key0": [None, "b"], "__key1": [0, 3]}


def test_objects_get_a_key_beside_them() -> None:
    harness = harness_of(len, pa.int64(), input=OBJECTS)
    (out,) = harness.feed(Rows([{"x": 1}, []]))
    assert out.columns.schema.names == [OBJECT_COLUMN, "__key0"]
    assert out.columns.column("__key0").to_pylist() == [1, 0]


def test_no_rows_give_nothing() -> None:
    assert harness_of(len, pa.int64()).feed(Rows([])) == []


def test_a_key_of_another_type_names_the_function_the_row_and_both_types() -> None:
    def initial(word: Word) -> Any:
        return 7 if word.text == "b" else word.text

    with pytest.raises(RowFailed) as caught:
        harness_of(initial, pa.string()).feed(words("a", "b", "c"))
    assert caught.value.row == "Word(text='b')"
    for part in ("initial", "declares string but returned int: 7"):
        assert part in str(caught.value.__cause__)


def test_a_key_with_too_few_parts_is_refused() -> None:
    with pytest.raises(RowFailed) as caught:
        harness_of(lambda w: w.text, pa.string(), pa.string()).feed(words("a"))
    assert "must return a tuple of 2 key values" in str(caught.value.__cause__)


def test_a_failing_key_function_names_its_row() -> None:
    with pytest.raises(RowFailed) as caught:
        harness_of(lambda w: int(w.text), pa.int64()).feed(words("1", "x"))
    assert caught.value.row == "Word(text='x')"
