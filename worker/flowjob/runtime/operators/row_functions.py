"""map, flat_map and filter by the user's functions: tight loops over rows, paused every millisecond.

Nothing is done per row but calling the function: the failing row is found after the failure, types are checked per
piece. Timestamps and kinds follow the source row. Converting rows from and to columns is the task's."""

from __future__ import annotations

from bisect import bisect_right
from itertools import compress, islice
from operator import truth
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from flowjob.plan.specs import FilterRowsSpec, FlatMapSpec, KeyByFunctionSpec, MapSpec
from flowjob.runtime.batch import Data, Int8s, Int64s, Kind, Rows
from flowjob.runtime.operators.base import PAUSE, Emitted, Form, Operator, OperatorContext
from flowjob.runtime.operators.failures import (
    RowFailed,
    WrongResult,
    first_of_other_type,
    name_of,
    row_reached,
    wrong_type,
)
from flowjob.runtime.operators.pacing import Pacer
from flowjob.runtime.printing import shown
from flowjob.schema import class_text


class RowFunctionOperator(Operator):
    """Base: one function, called for each row."""

    takes = Form.ROWS
    gives = Form.ROWS

    def __init__(self, spec: MapSpec | FlatMapSpec | FilterRowsSpec | KeyByFunctionSpec) -> None:
        self._function = spec.function
        self._name = name_of(spec.function)
        self._wanted = spec.output.row_class
        self._pacer: Pacer
        self._context: OperatorContext

    def open(self, context: OperatorContext) -> None:
        self._pacer = Pacer(context.env.clock)
        self._context = context

    def _call(self, rows: list[Any]) -> list[Any]:
        """The function's result for each row, as fast as Python can."""
        iterator = iter(rows)
        try:
            results = list(map(self._function, iterator))
        except BaseException as cause:
            raise RowFailed(self._name, row_reached(rows, iterator), cause) from cause
        if len(results) != len(rows):  # list() takes a StopIteration from the function for the end
            raise self._failed(
                rows[len(results)], WrongResult(f"{self._name} raised StopIteration")
            )
        return results

    def _call_all(self, rows: list[Any], results: list[Any]) -> Emitted:
        """Adds the results for all rows to `results`, with pauses."""
        pacer = self._pacer
        pacer.restart()
        while len(results) < len(rows):
            piece = rows[len(results) : len(results) + pacer.rows]
            results += self._call(piece)
            if pacer.due(len(piece)) and len(results) < len(rows):
                yield PAUSE
                pacer.restart()

    def _failed(self, row: object, cause: BaseException) -> RowFailed:
        return RowFailed(self._name, shown(row), cause)


class Map(RowFunctionOperator):
    """One row for each."""

    def process(self, data: Data, port: int) -> Emitted:
        rows = cast(Rows, data)
        made: list[Any] = []
        yield from self._call_all(rows.values, made)
        if self._wanted is not None:
            bad = first_of_other_type(made, self._wanted)
            if bad is not None:
                complaint = wrong_type(self._name, "returned", made[bad], self._wanted)
                raise self._failed(rows.values[bad], complaint)
        if made:
            yield Rows(made, rows.timestamps, rows.kinds)


class FilterRows(RowFunctionOperator):
    """Rows for which the function returns a true value."""

    def process(self, data: Data, port: int) -> Emitted:
        rows = cast(Rows, data)
        verdicts: list[Any] = []
        yield from self._call_all(rows.values, verdicts)
        kept = self._kept(rows, verdicts)
        if len(kept):
            yield kept

    def _kept(self, rows: Rows, verdicts: list[Any]) -> Rows:
        try:
            values = list(compress(rows.values, verdicts))
            if rows.timestamps is None and rows.kinds is None:
                return Rows(values)
            mask = np.fromiter(map(truth, verdicts), np.bool_, len(verdicts))
        except BaseException as cause:
            # Only a result whose truth is undefined (an array, say) comes here.
            bad = next(i for i, v in enumerate(verdicts) if not _has_truth(v))
            raise self._failed(rows.values[bad], cause) from cause
        return Rows(
            values,
            None if rows.timestamps is None else rows.timestamps[mask],
            None if rows.kinds is None else kept_kinds(rows.kinds, mask),
        )


def _has_truth(value: object) -> bool:
    try:
        truth(value)
    except Exception:  # noqa: BLE001 - whatever it raises, it is the row being looked for
        return False
    return True


def kept_kinds(kinds: Int8s, mask: npt.NDArray[np.bool_]) -> Int8s:
    """The kinds of the rows kept by `mask`. Of an update only half of which is kept, -U becomes -D and +U becomes +I.

    The halves stand side by side in one batch (design: -U directly precedes its +U)."""
    fixed = kinds.copy()
    pair = (kinds[:-1] == Kind.UPDATE_BEFORE) & (kinds[1:] == Kind.UPDATE_AFTER)
    fixed[:-1][pair & mask[:-1] & ~mask[1:]] = Kind.DELETE
    fixed[1:][pair & ~mask[:-1] & mask[1:]] = Kind.INSERT
    return fixed[mask]


class FlatMap(RowFunctionOperator):
    """Any number of rows for each, from any iterable; what is no list is drawn from bit by bit, so that a generator
    may give more rows than fit into memory."""

    def process(self, data: Data, port: int) -> Emitted:
        rows = cast(Rows, data)
        made = _Expansion(rows)
        extend, end = made.values.extend, made.ends.append
        values, limit = made.values, self._context.batch_rows
        function, pacer = self._function, self._pacer
        done = 0
        pacer.restart()
        while done < len(rows):
            piece = rows.values[done : done + pacer.rows]
            for row in piece:
                try:
                    result = function(row)
                except BaseException as cause:
                    raise self._failed(row, cause) from cause
                if type(result) is list:
                    extend(result)
                else:
                    yield from self._drain(result, row, made)
                end(len(values))
            done += len(piece)
            if len(values) >= limit:
                yield from self._give(made)
            if pacer.due(len(piece)) and done < len(rows):
                yield PAUSE
                pacer.restart()
        yield from self._give(made)

    def _drain(self, result: Any, row: Any, made: _Expansion) -> Emitted:
        """Takes all of one row's results; gives full batches on the way."""
        try:
            iterator = iter(result)
        except TypeError:
            iterator = None
        if iterator is None:
            raise self._failed(row, self._not_iterable(result))
        limit = self._context.batch_rows
        while True:
            try:
                part = list(islice(iterator, limit))
            except BaseException as cause:
                raise self._failed(row, cause) from cause
            made.values.extend(part)
            if len(part) < limit:
                return
            made.ends.append(len(made.values))
            yield from self._give(made)
            made.first -= 1  # the row goes on
            yield PAUSE

    def _not_iterable(self, result: object) -> WrongResult:
        if result is None:
            return WrongResult(
                f"{self._name} returned None; a flat_map function returns the rows it makes: a list, empty for none, "
                "or a generator"
            )
        kind = class_text(type(result))
        return WrongResult(
            f"{self._name} returned {kind}, which is not iterable: {shown(result)}. "
            "A flat_map function returns a list or another iterable of rows, even for one row"
        )

    def _give(self, made: _Expansion) -> Emitted:
        if self._wanted is not None:
            bad = first_of_other_type(made.values, self._wanted)
            if bad is not None:
                complaint = wrong_type(self._name, "made", made.values[bad], self._wanted)
                raise self._failed(made.source_of(bad), complaint)
        limit = self._context.batch_rows
        whole = made.take()
        for start in range(0, len(whole), limit):
            stop = start + limit
            times = whole.timestamps
            yield Rows(whole.values[start:stop], None if times is None else times[start:stop])


class _Expansion:
    """The rows made so far, and how far those of each source row reach, from source row `first` on."""

    __slots__ = ("ends", "first", "source", "values")

    def __init__(self, source: Rows) -> None:
        self.source = source
        self.values: list[Any] = []
        self.ends: list[int] = []
        self.first = 0

    def source_of(self, index: int) -> Any:
        return self.source.values[self.first + bisect_right(self.ends, index)]

    def take(self) -> Rows:
        """All of them, with the timestamps of their source rows; begins anew behind them."""
        timestamps = None
        if self.source.timestamps is not None:
            times: Int64s = self.source.timestamps[self.first : self.first + len(self.ends)]
            ends = np.array([0, *self.ends], np.int64)
            timestamps = np.repeat(times, ends[1:] - ends[:-1])
        taken = Rows(self.values[:], timestamps)
        self.first += len(self.ends)
        self.values.clear()
        self.ends.clear()
        return taken
