"""Window functions see all rows of a window, in order of arrival."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob import triggers
from flowjob.core.elements import MAX_TIME
from flowjob.plan.specs import WindowApplySpec
from flowjob.plan.types import OBJECTS, KeyField, StreamType
from flowjob.runtime.batch import Rows
from flowjob.runtime.operators.failures import RowFailed
from flowjob.runtime.operators.window_apply import window_apply
from flowjob.runtime.rows import RowCodec
from flowjob.schema import Schema
from flowjob.windows import Window, count_window, session, sliding, tumbling
from tests.reference_model import run_windows
from tests.runtime.operators.harness import OperatorHarness, batch
from tests.runtime.operators.windowing import MICRO, event_lists, run, schema


class Path(Schema):
    key: int | None
    start: datetime
    values: str


def path(window: Window, rows: list[Any]) -> Path:
    assert window.start is not None
    return Path(window.key, window.start, ",".join(str(row.v) for row in rows))


def apply_spec(
    assigner: Any, function: Any, returns: Any = Path, **options: Any
) -> WindowApplySpec:
    out = OBJECTS if returns is None else StreamType(returns.arrow_schema(), returns)
    return WindowApplySpec(
        input=StreamType(schema(pa.int64())),
        output=out,
        keys=(KeyField("k", "k", pa.int64()),),
        assigner=assigner,
        trigger=options.get("trigger"),
        allowed_lateness=MICRO * options.get("lateness", 0),
        function=function,
    )


@pytest.mark.parametrize(
    "assigner",
    [tumbling(MICRO * 10), sliding(MICRO * 20, MICRO * 5), session(gap=MICRO * 10)],
    ids=str,
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_functions_get_the_models_rows_for_any_batch_split(assigner: Any, data: Any) -> None:
    events = data.draw(event_lists([1, 2, None], st.one_of(st.none(), st.integers(-9, 9))))
    events = [*events, ("watermark", MAX_TIME)]
    lateness = data.draw(st.sampled_from([0, 7]))
    want, _ = run_windows(events, assigner, lambda vs: ",".join(map(str, vs)), lateness)
    declared = apply_spec(assigner, path, lateness=lateness)
    for size in (1, 7, None):
        harness = run(
            declared, events, batch_size=size, harness=OperatorHarness(window_apply(declared))
        )
        got = [(r.key, r.start, r.values) for r in harness.rows]
        assert got == [(k, datetime.fromtimestamp(0, UTC) + MICRO * s, v) for k, s, _, v in want]
        assert harness.timestamps == [end - 1 for _, _, end, _ in want]


def rows(*values: int) -> list[Any]:
    return [("row", 1, v, v) for v in values]


def run_apply(declared: WindowApplySpec, events: list[Any]) -> OperatorHarness:
    harness = OperatorHarness(window_apply(declared))
    return run(declared, [*events, ("watermark", MAX_TIME)], batch_size=None, harness=harness)


def test_a_function_may_give_one_row_many_or_none() -> None:
    for function, count in [
        (lambda w, rows: None, 0),
        (path, 1),
        (lambda w, rows: [path(w, rows)] * 3, 3),
        (lambda w, rows: (path(w, [row]) for row in rows), 2),
    ]:
        harness = run_apply(apply_spec(tumbling(MICRO * 10), function), rows(1, 2))
        assert len(harness.rows) == count


def test_objects_may_come_out_and_go_in() -> None:
    declared = apply_spec(tumbling(MICRO * 10), lambda w, rows: (w.key, len(rows)), None)
    assert run_apply(declared, rows(1, 2)).rows == [(1, 2)]
    given = WindowApplySpec(
        input=OBJECTS,
        output=OBJECTS,
        keys=(),
        assigner=tumbling(MICRO * 10),
        trigger=None,
        allowed_lateness=MICRO * 0,
        function=lambda w, rows: [rows],
    )
    harness = OperatorHarness(window_apply(given))
    columns = RowCodec(OBJECTS).columns([{1}, "two"])
    harness.feed(batch(columns, timestamps=[1, 2]))
    harness.feed(batch(RowCodec(OBJECTS).columns([3]), timestamps=[3]))
    harness.watermark(9)
    assert harness.rows == [[{1}, "two", 3]]


def test_count_windows_and_triggers_serve_functions_too() -> None:
    sums = lambda w, rows: [sum(row.v for row in rows)]
    assert run_apply(apply_spec(count_window(2), sums, None), rows(1, 2, 3, 4)).rows == [3, 7]
    counted = apply_spec(tumbling(MICRO * 10), sums, None, trigger=triggers.count(2))
    assert run_apply(counted, rows(1, 2, 3, 4)).rows == [3, 10]


def test_a_failing_function_is_reported_with_its_window() -> None:
    def broken(window: Window, rows: list[Any]) -> Path:
        raise ValueError("no path")

    with pytest.raises(RowFailed) as failed:
        run_apply(apply_spec(tumbling(MICRO * 10), broken), rows(1))
    assert "no path" in str(failed.value.__cause__)
    assert "key=1" in (failed.value.row or "")


def test_a_function_that_returns_another_type_is_told_what_it_declared() -> None:
    with pytest.raises(RowFailed) as failed:
        run_apply(apply_spec(tumbling(MICRO * 10), lambda w, rows: 5), rows(1))
    assert ") but returned int" in str(failed.value.__cause__)


def test_rows_kept_for_windows_do_not_pin_their_batches() -> None:
    declared = apply_spec(session(gap=MICRO * 10), path)
    harness = OperatorHarness(window_apply(declared))
    columns = pa.RecordBatch.from_pydict({"k": [1] * 1000, "v": list(range(1000))})
    harness.feed(batch(columns.slice(0, 1), timestamps=[1]))
    assert harness.operator.kept.table.contents.nbytes < 4000
    assert isinstance(harness.end()[0], Rows)
