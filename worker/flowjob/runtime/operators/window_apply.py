"""Window functions: the user's function is called for each firing window with all its rows.

Windows are kept by the same operators as for aggregates; only what they hold (rows) and how a
firing becomes output (by calling the function) differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.plan.specs import WindowApplySpec
from flowjob.plan.types import OBJECT_WIRE_SCHEMA, StreamType
from flowjob.runtime.accumulators.keeping_rows import KeptRows
from flowjob.runtime.batch import Rows
from flowjob.runtime.operators.base import PAUSE, Form, Operator, Output
from flowjob.runtime.operators.failures import RowFailed, name_of, wrong_type
from flowjob.runtime.operators.window_aggregate import choose
from flowjob.runtime.operators.window_base import WindowParts, lateness_of
from flowjob.runtime.operators.window_contents import Contents
from flowjob.runtime.operators.window_results import Firing, Results
from flowjob.runtime.printing import shown
from flowjob.runtime.rows import RowCodec
from flowjob.windows import GLOBAL_SPAN, Window


def window_apply(spec: WindowApplySpec) -> Operator:
    """The operator for `spec`."""
    schema = kept_schema(spec.input)
    parts = WindowParts(
        keys=spec.keys,
        contents=Contents(lambda: [KeptRows(schema)], [schema.names], ["rows"]),
        results=FunctionResults(spec),
        gives=Form.ROWS,
        lateness=lateness_of(spec),
        domain=spec.assigner.time,
    )
    return choose(spec, parts)


def kept_schema(type: StreamType) -> pa.Schema:
    """The columns that rows are rebuilt from."""
    if type.schema is None:
        return OBJECT_WIRE_SCHEMA
    return pa.schema([type.schema.field(name) for name in type.columns])


class FunctionResults(Results):
    """Calls `function(window, rows)` for each window of a firing."""

    reads_contents = True

    def __init__(self, spec: WindowApplySpec) -> None:
        self._function = spec.function
        self._name = name_of(spec.function)
        self._codec = RowCodec(spec.input)
        self._wanted = spec.output.row_class

    def emit(self, firing: Firing, batch_rows: int) -> Iterator[Output]:
        assert isinstance(firing.contents, Contents)
        kept = firing.contents.accumulators[0]
        assert isinstance(kept, KeptRows)
        columns, counts = kept.rows(firing.slots)
        stops = np.cumsum(counts).tolist()
        windows = self._windows(firing)
        first = 0
        while first < len(windows):
            # As many windows as have about `batch_rows` rows: those are Python objects at one time.
            start = stops[first - 1] if first else 0
            last = first + 1
            while last < len(windows) and stops[last] - start <= batch_rows:
                last += 1
            rows = self._codec.rows(columns.slice(start, stops[last - 1] - start))
            made: list[Any] = []
            numbers: list[int] = []
            for i in range(first, last):
                begin = stops[i - 1] if i else 0
                results = self._call(windows[i], rows[begin - start : stops[i] - start])
                made += results
                numbers += [i] * len(results)
            if made:
                times = None if firing.times is None else firing.times[numbers]
                yield Rows(made, times)
            yield PAUSE
            first = last

    def _windows(self, firing: Firing) -> list[Window]:
        count = len(firing.slots)
        columns = [key.to_pylist() for key in firing.keys]
        keys: list[Any] = [None] * count
        if len(columns) == 1:
            keys = columns[0]
        elif columns:
            keys = list(zip(*columns))
        if firing.starts is None or firing.ends is None:
            return [Window.of(GLOBAL_SPAN, key) for key in keys]
        spans = zip(firing.starts.tolist(), firing.ends.tolist())
        return [Window.of(span, key) for span, key in zip(spans, keys)]

    def _call(self, window: Window, rows: list[Any]) -> list[Any]:
        try:
            result = self._function(window, rows)
            results = self._listed(result)
        except BaseException as cause:
            raise RowFailed(self._name, shown(window), cause) from cause
        if self._wanted is not None:
            for value in results:
                if not isinstance(value, self._wanted):
                    complaint = wrong_type(self._name, "returned", value, self._wanted)
                    raise RowFailed(self._name, shown(window), complaint)
        return results

    def _listed(self, result: Any) -> list[Any]:
        if result is None:
            return []
        if isinstance(result, list):
            return result
        if self._wanted is None:
            # Any object may be a row here: only a list or an iterator stands for several.
            return list(result) if isinstance(result, Iterator) else [result]
        if isinstance(result, self._wanted) or not hasattr(result, "__iter__"):
            return [result]
        return list(result)
