"""process without a key: rows and side outputs, and that there is no state to be had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flowjob.functions import Context, Process
from flowjob.plan.specs import ProcessSpec
from flowjob.plan.types import OBJECTS
from flowjob.runtime.batch import Rows
from flowjob.runtime.operators.failures import RowFailed
from flowjob.runtime.operators.process import ProcessRows
from tests.runtime.operators.harness import OperatorHarness


def harness_of(function: Any) -> OperatorHarness:
    spec = ProcessSpec(
        input=OBJECTS, output=OBJECTS, function=function, side_types=(("odd", OBJECTS),)
    )
    return OperatorHarness(ProcessRows(spec))


class Split(Process[int, int]):
    def on_row(self, row: int, ctx: Context) -> None:
        if row % 2:
            ctx.emit_to("odd", row)
        else:
            ctx.emit(row)
            ctx.emit(-row)


def test_rows_go_to_the_main_and_side_outputs_with_their_timestamps() -> None:
    harness = harness_of(Split())
    outputs = harness.feed(Rows([1, 2, 3, 4], np.array([10, 20, 30, 40])))
    assert harness.rows == [2, -2, 4, -4]
    assert harness.timestamps == [20, 20, 40, 40]
    assert harness.side("odd") == [1, 3]
    assert outputs[-1].data.timestamps.tolist() == [10, 30]


def test_the_watermark_is_known() -> None:
    class Tells(Process[int, Any]):
        def on_row(self, row: int, ctx: Context) -> None:
            ctx.emit(ctx.watermark and ctx.watermark.isoformat())

    harness = harness_of(Tells())
    harness.feed(Rows([1]))
    harness.watermark(0)
    harness.feed(Rows([1]))
    harness.end()
    assert harness.rows == [None, "1970-01-01T00:00:00+00:00"]


@pytest.mark.parametrize("ask", [lambda ctx: ctx.key, lambda ctx: ctx.set_timer(ctx.now)])
def test_what_needs_a_key_says_so(ask: Any) -> None:
    class Asks(Process[int, Any]):
        def on_row(self, row: int, ctx: Context) -> None:
            ask(ctx)

    with pytest.raises(RowFailed) as failed:
        harness_of(Asks()).feed(Rows([1]))
    assert "needs a key: use key_by" in str(failed.value.__cause__)
