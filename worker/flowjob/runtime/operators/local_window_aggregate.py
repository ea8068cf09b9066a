"""The first phase of two-phase window aggregation: at the sender, rows of one key and pane become
one partial row.

Flushed before every watermark and barrier, so it has no state of its own to snapshot, and the
receiver judges lateness per pane exactly as it would per row. Where keys hardly repeat, grouping
costs more than it saves: then rows pass as partials of themselves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from flowjob.kernels.group_index import GroupIndex
from flowjob.kernels.keys import encode_keys
from flowjob.kernels.windows import pane_starts
from flowjob.plan.specs import LocalWindowAggregateSpec
from flowjob.runtime.accumulators import scatter
from flowjob.runtime.accumulators.base import grown
from flowjob.runtime.accumulators.value_log import ValueLog
from flowjob.runtime.batch import Batch, Data, Int64s
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.operators.base import Emitted, Operator, OperatorContext
from flowjob.runtime.operators.window_base import key_types
from flowjob.runtime.operators.window_contents import Contents, decoded
from flowjob.watermarks import micros
from flowjob.windows import Sliding, Tumbling, pane_size

_MOST_GROUPS = 1 << 16
"""A table no larger than the caches; more groups are flushed."""

_TRIAL_ROWS = 1 << 14
_WORTH = 0.5
"""Groups per row above which grouping does not pay."""

_BYPASSED_ROWS = 1 << 20
"""Rows passed ungrouped before grouping is tried again."""


class LocalWindowAggregate(Operator):
    """Held rows: `rows_in` since the last flush, in one table by (key, pane)."""

    def __init__(self, spec: LocalWindowAggregateSpec) -> None:
        assert isinstance(spec.assigner, Tumbling | Sliding)
        assert spec.input.schema is not None
        self.spec = spec
        self.pane_size = pane_size(spec.assigner)
        self.offset = micros(spec.assigner.offset)

    def open(self, context: OperatorContext) -> None:
        assert self.spec.input.schema is not None
        self.context = context
        self._contents = Contents.of_calls(self.spec.calls, self.spec.input.schema)
        self._bypass = 0
        self._start_table()

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        if len(data) == 0:
            return
        assert data.timestamps is not None, "the planner requires event time"
        panes = pane_starts(data.timestamps, self.pane_size, self.offset)
        keys = [decoded(data.columns.column(key.column)) for key in self.spec.keys]
        if self._bypass > 0:
            self._bypass -= len(data)
            yield self._ungrouped(data, keys, panes)
            return
        self._group(data, keys, panes)
        if self._rows >= _TRIAL_ROWS and len(self._index) > self._rows * _WORTH:
            self._bypass = _BYPASSED_ROWS
            yield from self.flush()
        elif len(self._index) > _MOST_GROUPS:
            yield from self.flush()

    def flush(self) -> Emitted:
        count = len(self._index)
        rows = self.context.batch_rows
        for start in range(0, count, rows):
            slots = np.arange(start, min(start + rows, count))
            keys = [log.take(slots) for log in self._keys]
            yield self._partials(keys, self._panes[slots], self._times[slots], self._table, slots)
        if count:
            self._start_table()

    def snapshot(self) -> Iterable[Section]:
        assert len(self._index) == 0, "rows are held back: flush before a snapshot"
        return ()

    def _start_table(self) -> None:
        self._index = GroupIndex()
        self._table = self._contents.fresh()
        self._keys = [ValueLog(type) for type in key_types(self.spec.keys)]
        self._panes = np.empty(0, np.int64)
        self._times = np.empty(0, np.int64)
        self._rows = 0

    def _group(self, data: Batch, keys: list[pa.Array], panes: Int64s) -> None:
        assert data.timestamps is not None
        found = self._index.upsert(encode_keys([pa.array(panes), *keys], len(data)))
        count = len(self._index)
        if len(found.new_rows):
            at = pa.array(found.new_rows)
            for log, column in zip(self._keys, keys):
                log.append(column.take(at), owned=True)
            self._panes = grown(self._panes, count, 0)
            self._panes[found.new_slots] = panes[found.new_rows]
            self._times = grown(self._times, count, np.iinfo(np.int64).min)
            self._table.grow(count)
        scatter.latest(self._times, found.slots, data.timestamps)
        self._table.update(found.slots, self._contents.read(data.columns, found.slots))
        self._rows += len(data)

    def _ungrouped(self, data: Batch, keys: list[pa.Array], panes: Int64s) -> Batch:
        assert data.timestamps is not None
        slots = np.arange(len(data))
        contents = self._contents.fresh()
        contents.grow(len(data))
        contents.update(slots, self._contents.read(data.columns, slots))
        return self._partials(keys, panes, data.timestamps, contents, slots)

    def _partials(
        self,
        keys: list[pa.Array],
        panes: Int64s,
        times: Int64s,
        contents: Contents,
        slots: Int64s,
    ) -> Batch:
        schema = self.spec.output.schema
        assert schema is not None
        arrays = [*keys, pa.array(panes), *contents.partials(slots)]
        return Batch(pa.RecordBatch.from_arrays(arrays, schema=schema), times)
