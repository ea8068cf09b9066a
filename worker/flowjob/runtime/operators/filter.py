"""filter by an expression: keeps the rows for which it is true.

In a changelog one row of an update may pass without the other: the table then gains or loses a row, and the kind is
changed to say so. Filtering by a user's function is row_functions.py's."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flowjob.expressions import BoundExpression
from flowjob.plan.specs import FilterSpec
from flowjob.runtime.batch import Batch, Data, Int8s, Kind
from flowjob.runtime.operators.base import Emitted, Operator, OperatorContext

Mask = npt.NDArray[np.bool_]


class Filter(Operator):
    """Null is not true. A batch that passes whole is passed on as it is."""

    def __init__(self, spec: FilterSpec) -> None:
        self._spec = spec
        self._predicate: BoundExpression

    def open(self, context: OperatorContext) -> None:
        self._predicate = self._spec.predicate.bind(self._spec.input.schema)

    def process(self, data: Data, port: int) -> Emitted:
        batch = cast(Batch, data)
        verdict = self._predicate.evaluate(batch.columns)
        passing = verdict.true_count
        if passing == len(batch) and batch.kinds is None:
            yield batch
        elif passing:
            yield _kept(batch, verdict)


def _kept(batch: Batch, verdict: pa.Array) -> Batch:
    columns = batch.columns.filter(verdict)  # drops where null
    if batch.timestamps is None and batch.kinds is None:
        return Batch(columns)
    known = verdict.fill_null(False) if verdict.null_count else verdict
    mask = known.to_numpy(zero_copy_only=False)
    return Batch(
        columns,
        None if batch.timestamps is None else batch.timestamps[mask],
        None if batch.kinds is None else adjust_kinds(batch.kinds, mask)[mask],
    )


def adjust_kinds(kinds: Int8s, mask: Mask) -> Int8s:
    """Kinds of all rows, given which pass: half an update that passes alone becomes a delete or an insert.

    A -U directly precedes its +U. A pair that is cut between two batches becomes -D and +I, which means the same, so
    that nothing need be remembered from batch to batch."""
    before = kinds == Kind.UPDATE_BEFORE
    after = kinds == Kind.UPDATE_AFTER
    if not (before.any() or after.any()):
        return kinds
    follows = np.append(after[1:], False)
    next_passes = np.append(mask[1:], False)
    precedes = np.insert(before[:-1], 0, False)
    previous_passes = np.insert(mask[:-1], 0, False)
    adjusted = kinds.copy()
    adjusted[before & ~(follows & next_passes)] = Kind.DELETE
    orphaned = after & precedes & ~previous_passes
    # In the middle of a batch a +U without a -U is an upsert; at its start it may have lost its -U to the cut.
    orphaned[:1] |= after[:1]
    adjusted[orphaned] = Kind.INSERT
    return adjusted
