"""Every window operator goes on from a snapshot, at any parallelism, as if it had never stopped."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowjob.plan.specs import WindowApplySpec
from flowjob.plan.types import OBJECTS, KeyField, StreamType
from flowjob.runtime.operators import pane_merging
from flowjob.runtime.operators.window_aggregate import window_aggregate
from flowjob.runtime.operators.window_apply import window_apply
from flowjob.schema import Schema
from flowjob.windows import Window, sliding
from tests.runtime.operators.rescaling import (
    End,
    EventTime,
    Rescale,
    Step,
    check_rescaling,
    run,
)
from tests.runtime.operators.window_scripts import (
    AGGREGATES,
    KEYS,
    KINDS,
    MICRO,
    Kind,
    declared,
    key_of,
    rows,
    schema,
    scripts,
)


@pytest.mark.parametrize("name", KINDS)
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_rescaled_window_gives_what_an_uninterrupted_one_gives(name: str, data: Any) -> None:
    kind = KINDS[name]
    keys = data.draw(st.sampled_from(list(KEYS)))
    aggregates = data.draw(st.sampled_from(list(AGGREGATES)))
    lateness = data.draw(st.sampled_from(kind.late))
    widths = (1, 2, 3, 4) if keys != "none" else (1,)
    steps = data.draw(scripts(keys, widths))
    make = lambda: window_aggregate(declared(kind, keys, aggregates, lateness))
    start = data.draw(st.sampled_from(widths))
    check_rescaling(make, steps, key_of=key_of(keys), parallelism=start)


@pytest.mark.parametrize("name", KINDS)
@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_at_the_same_parallelism_windows_fire_in_the_same_order(name: str, data: Any) -> None:
    kind = KINDS[name]
    steps = data.draw(scripts("two", (1,)))
    lateness = data.draw(st.sampled_from(kind.late))
    make = lambda: window_aggregate(declared(kind, "two", "order", lateness))
    whole = run(make, [s for s in steps if not isinstance(s, Rescale)])
    assert [g.shown for g in run(make, steps)] == [g.shown for g in whole]


def test_sliding_windows_of_many_panes_are_merged_anew_after_a_restore(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pane_merging, "_MANY_PAIRS", 1)
    kind = Kind(sliding(MICRO * 32, MICRO * 2))
    make = lambda: window_aggregate(declared(kind, "strings", "order", 6))
    steps: list[Step] = []
    for at in range(0, 120, 10):
        some = [(KEYS["strings"][1][i % 6], at - i * 2, i, "x") for i in range(6)]
        steps += [rows("strings", some), EventTime(at - 5)]
        if at % 30 == 0:
            steps.append(Rescale(at // 30 % 3 + 1))
    given = check_rescaling(make, [*steps, End()], key_of=key_of("strings"))
    assert len(given) > 300


class Path(Schema):
    key: int | None
    values: str


def path(window: Window, rows: list[Any]) -> Path:
    return Path(window.key, ",".join(str(row.v) for row in rows))


def objects(window: Window, rows: list[Any]) -> list[Any]:
    return [(window.key, [row.v for row in rows])]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("function", [path, objects])
@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_window_function_gets_the_rows_from_before_a_restore_too(
    name: str, function: Any, data: Any
) -> None:
    kind = KINDS[name]
    steps = data.draw(scripts("ints", (1, 2, 3)))
    spec = WindowApplySpec(
        input=StreamType(schema("ints")),
        output=StreamType(Path.arrow_schema(), Path) if function is path else OBJECTS,
        keys=(KeyField("k0", "k0", pa.int64()),),
        assigner=kind.assigner,
        trigger=kind.trigger,
        allowed_lateness=MICRO * data.draw(st.sampled_from(kind.late)),
        function=function,
    )
    check_rescaling(lambda: window_apply(spec), steps, key_of=repr)
