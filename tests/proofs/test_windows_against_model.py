"""Windows of whole jobs give what the row-at-a-time model gives, at any parallelism and batch size.

Hypothesis makes up rows, disorder, lateness, keys, windows and aggregates. Positions of watermarks are pinned, or rows
are never later than the source allows: then results may not depend on how the work was cut and dealt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowjob as fj
from flowjob.kernels.hash64 import hash64_reference
from flowjob.testing.results import TestOutput
from tests.proofs import colliding_keys
from tests.proofs.aggregate_models import MODELS, Row, same
from tests.proofs.windows_model import MICRO, Case, Fired
from tests.reference_model import canonical

DEFAULT_BATCH = 16_384
CUTS = [
    (1, DEFAULT_BATCH),
    (1, 1),
    (1, 7),
    (2, 1),
    (2, 7),
    (2, DEFAULT_BATCH),
    (4, 1),
    (4, 7),
    (4, DEFAULT_BATCH),
]
"""(parallelism, rows in a batch)"""

TEXTS = ["", "a", "a\0", "é", "e\u0301", "日本", "\U0001f6eb", "a" * 40]
KEYS: dict[str, tuple[tuple[pa.DataType, ...], Sequence[tuple[Any, ...]]]] = {
    "no key": ((), [()]),
    "integers": (
        (pa.int64(),),
        [(k,) for k in (None, colliding_keys.like_null(), 0, -1, 1, 2**63 - 1, -(2**63))],
    ),
    "small integers": ((pa.int8(),), [(k,) for k in (None, -128, 0, 127)]),
    "large integers": ((pa.uint64(),), [(k,) for k in (None, 0, 2**63 - 1, 2**63, 2**64 - 1)]),
    "floats": ((pa.float64(),), [(k,) for k in (None, math.nan, -0.0, 0.0, 1.5, math.inf)]),
    "strings": ((pa.string(),), [(k,) for k in (None, *TEXTS)]),
    "dictionary": ((pa.dictionary(pa.int8(), pa.string()),), [(k,) for k in (None, *TEXTS)]),
    "bytes that collide": ((pa.binary(),), [(k,) for k in (None, *colliding_keys.byte_strings(5))]),
    "decimals": (
        (pa.decimal128(20, 3),),
        [(None if k is None else Decimal(k),) for k in (None, "0", "1", "1.500", "-1.5", "10000000000000000.001")],
    ),
    "booleans": ((pa.bool_(),), [(None,), (True,), (False,)]),
    "times": (
        (pa.timestamp("us", tz="UTC"),),
        [(None,), (datetime(1969, 12, 31, tzinfo=UTC),), (datetime(2024, 2, 29, tzinfo=UTC),)],
    ),
    "two integers that collide": ((pa.int64(), pa.int64()), colliding_keys.integer_pairs(6)),
    "two texts": ((pa.string(), pa.string()), [("a", "b"), ("ab", ""), ("", "ab"), (None, ""), ("", None)]),
    "three columns": (
        (pa.string(), pa.float32(), pa.decimal128(9, 2)),
        [(t, f, d) for t in ("é", None) for f in (-0.0, 0.0, math.nan) for d in (None, Decimal("2.50"))],
    ),
}  # fmt: skip

VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "integers": (pa.int64(), st.integers(-9, 9) | st.integers(-(2**50), 2**50)),
    "floats": (pa.float64(), st.sampled_from([0.1, -0.0, 0.0, 2.5, 1e3, math.nan])),
    "decimals": (pa.decimal128(12, 3), st.integers(-9999, 9999).map(lambda n: Decimal(n) / 1000)),
    "strings": (pa.string(), st.sampled_from(TEXTS)),
}

SIZES = st.integers(1, 30)
WINDOWS: dict[str, st.SearchStrategy[fj.WindowAssigner]] = {
    "tumbling": st.builds(
        lambda size, offset: fj.tumbling(MICRO * size, MICRO * (offset % size)), SIZES, SIZES
    ),
    "sliding": st.builds(
        lambda size, slide, offset: fj.sliding(
            MICRO * size, MICRO * slide, MICRO * (offset % slide)
        ),
        st.integers(1, 30),
        st.integers(3, 20),
        SIZES,
    ),
    "session": st.builds(lambda gap: fj.session(gap=MICRO * gap), SIZES),
    "count": st.builds(
        lambda n, slide: fj.count_window(n, slide), st.integers(1, 5), st.none() | st.integers(1, 5)
    ),
}


@st.composite
def cases(draw: st.DrawFn, window: str, *, bounded_disorder: bool) -> Case:
    """Rows in one total order. Bounded disorder: no row comes later than `max_delay` allows."""
    key_types, keys = KEYS[draw(st.sampled_from(list(KEYS)))]
    value_type, values = VALUES[draw(st.sampled_from(list(VALUES)))]
    max_delay = draw(st.sampled_from([0, 0, 5, 20]))
    count = draw(st.integers(0, 80))
    if bounded_disorder:
        times = _times(draw, count, max_delay)
    else:
        times = draw(st.lists(st.integers(-30, 120), min_size=count, max_size=count))
    rows = [
        Row(draw(st.sampled_from(keys)), time, draw(st.none() | values), number)
        for number, time in enumerate(times)
    ]
    splits = draw(st.sampled_from([1, 1, 3])) if bounded_disorder and window != "count" else 1
    usable = [
        name
        for name, aggregate in MODELS.items()
        if not (aggregate.numeric and value_type == pa.string())
        and not (aggregate.ordered and splits > 1)
    ]
    return Case(
        rows=rows,
        key_types=key_types,
        value_type=value_type,
        assigner=draw(WINDOWS[window]),
        aggregates=sorted(draw(st.sets(st.sampled_from(usable), min_size=1, max_size=5))),
        lateness=draw(st.sampled_from([0, 0, 7, 40])),
        max_delay=max_delay,
        every=None if bounded_disorder else draw(st.integers(1, 9)),
        splits=splits,
    )


def _times(draw: st.DrawFn, count: int, max_delay: int) -> list[int]:
    """Times that never fall more than `max_delay` behind the greatest before them."""
    step = st.tuples(st.integers(0, 8), st.integers(0, max_delay))
    steps = draw(st.lists(step, min_size=count, max_size=count))
    times, at = [], -30
    for step, behind in steps:
        at += step
        times.append(at - behind)
    return times


def check(case: Case, output: TestOutput, *, in_order: bool) -> None:
    """The job's results are the model's: in the model's order, or as a bag with each key's results in order."""
    fired, (expected, late) = case.fired(output), case.expected()
    if not in_order:
        fired, expected = by_key(fired), by_key(expected)
        late.sort()
    assert [f[:3] for f in fired] == [e[:3] for e in expected]
    for got, want in zip(fired, expected):
        assert got[4] == want[4], "the timestamp of a result"
        for name, value in want[3].items():
            assert same(got[3][name], value), (name, got, want)
    numbers = [row["i"] for row in output[1].rows]
    assert (numbers if in_order else sorted(numbers)) == late
    inputs = {row.number: row for row in case.rows}
    for row in output[1].rows:
        given = inputs[row["i"]]
        assert (row["t"], canonical(tuple(row[k] for k in case.keys))) == (
            given.time,
            canonical(given.key),
        )


def by_key(fired: Sequence[Fired]) -> list[Fired]:
    """Stable: what one key gave stays in its order."""
    return sorted(fired, key=lambda f: repr(f[0]))


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=8)
@given(data=st.data())
def test_with_pinned_watermarks_results_and_late_rows_equal_row_by_row_execution(
    window: str, data: st.DataObject
) -> None:
    case = data.draw(cases(window, bounded_disorder=False))
    for parallelism, batch_rows in CUTS:
        check(case, case.run(parallelism, batch_rows), in_order=parallelism == 1)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=8)
@given(data=st.data())
def test_with_disorder_within_max_delay_results_do_not_depend_on_where_batches_end(
    window: str, data: st.DataObject
) -> None:
    case = data.draw(cases(window, bounded_disorder=True))
    for parallelism, batch_rows in CUTS:
        output = case.run(parallelism, batch_rows)
        assert output[1].rows == [], "no row is late"
        check(case, output, in_order=False)


@pytest.mark.parametrize(
    "keys",
    [
        [(None,), (colliding_keys.like_null(),)],
        [(k,) for k in colliding_keys.byte_strings(6)],
        colliding_keys.integer_pairs(6),
    ],
    ids=["null and an integer", "bytes", "pairs"],
)
def test_the_keys_said_to_collide_do(keys: list[tuple[Any, ...]]) -> None:
    values = keys if len(keys[0]) > 1 else [k for (k,) in keys]
    assert len(set(values)) == len(values)
    assert len(set(hash64_reference(values))) == 1
