"""What a program gives, as multisets, under every plan it may run by: the rules on and off, several parallelisms and
batch sizes. A program is a function that builds a job; what counts are the rows of its collecting sinks."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import flowjob as fj
from flowjob.connectors.collect import decode_report
from flowjob.plan import compile as compiling
from flowjob.plan.rules import RULES
from flowjob.plan.types import OBJECT_COLUMN
from flowjob.runtime.batch import Batch
from flowjob.testing.run import run_job

Program = Callable[[fj.Job], None]
Outputs = dict[str, Counter[Any]]


def outputs(
    program: Program, *, parallelism: int = 1, batch_rows: int = 7, rules: bool = True
) -> Outputs:
    """Per sink, its rows with their kinds and timestamps."""
    job = fj.Job("program")
    program(job)
    found: Outputs = {}

    def add(sink: str, message: bytes) -> None:
        found.setdefault(sink, Counter()).update(_rows(decode_report(message)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "RULES", RULES if rules else ())
        run_job(job, add, parallelism=parallelism, batch_rows=batch_rows)
    return found


def assert_one_meaning(
    program: Program,
    *,
    parallelisms: Iterable[int] = (1, 3),
    batches: Iterable[int] = (1, 7, 1000),
) -> Outputs:
    """The outputs, which are the same under every plan."""
    expected: Outputs | None = None
    for parallelism in parallelisms:
        for batch_rows in batches:
            for rules in (False, True):
                given = outputs(
                    program, parallelism=parallelism, batch_rows=batch_rows, rules=rules
                )
                if expected is None:
                    expected = given
                place = f"parallelism {parallelism}, batches of {batch_rows}, rules {rules}"
                assert given == expected, f"{place}: {_difference(expected, given)}"
    assert expected is not None
    return expected


def _difference(expected: Outputs, given: Outputs) -> str:
    lines = []
    for sink in expected.keys() | given.keys():
        wanted, got = expected.get(sink, Counter()), given.get(sink, Counter())
        if wanted != got:
            lines.append(
                f"{sink}: lacks {list((wanted - got).items())[:3]}, has beyond it {list((got - wanted).items())[:3]}"
            )
    return "\n".join(lines)


def _rows(batch: Batch) -> Iterable[Any]:
    columns = batch.columns
    if OBJECT_COLUMN in columns.schema.names:
        rows = [pickle.loads(p) for p in columns.column(OBJECT_COLUMN).to_pylist()]
    else:
        rows = columns.to_pylist()
    times = [None] * len(rows) if batch.timestamps is None else batch.timestamps.tolist()
    kinds = [0] * len(rows) if batch.kinds is None else batch.kinds.tolist()
    return [(repr(row), time, kind) for row, time, kind in zip(rows, times, kinds)]
