"""Any window operator, as tasks see it: adds snapshots, and restoring from subtasks whose times differ.

A row is late against the watermark its key group had seen before the restore, and a window that had fired there must
not fire again. Where all former subtasks had come to one time, which is nearly always, that is simply the operator's
time. Else each former time keeps an operator of its own until the watermark has passed all of them; then they become
one. It must not know how windows are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MIN_TIME
from flowjob.errors import StateMismatch
from flowjob.kernels.keys import encode_keys
from flowjob.kernels.partitioning import key_groups
from flowjob.runtime.batch import Batch, Data, Int64s
from flowjob.runtime.checkpoint.sections import Distribution, Part, RestoredState, Section
from flowjob.runtime.operators.base import Emitted, Operator, OperatorContext, Output
from flowjob.runtime.operators.window_base import WindowOperator
from flowjob.runtime.operators.window_state import combined, other_windows

SHAPE, PASSED, DUE, APART = "shape", "passed", "due", "apart"
"""In the meta of sections: the windows' shape, the time all of them have come to, for processing time when the first is
due, and where not all have come to one time: [first key group, one past the last, their meta] for runs of groups."""


class Windows(Operator):
    """Behaves like `kept`."""

    def __init__(self, kept: WindowOperator) -> None:
        self.kept = kept
        self.takes = kept.takes
        self.gives = kept.gives
        self._now: WindowOperator | _Apart = kept

    def open(self, context: OperatorContext) -> None:
        self.context = context
        self.kept.open(context)

    def process(self, data: Data, port: int) -> Iterable[Output]:
        return self._now.process(data, port)

    def on_watermark(self, watermark: int) -> Iterable[Output]:
        if self._now is not self.kept:
            return self._reunited(watermark, self._now.on_watermark(watermark))
        return self.kept.on_watermark(watermark)

    def next_timer(self) -> int | None:
        return self._now.next_timer()

    def on_time(self, now: int) -> Iterable[Output]:
        if self._now is not self.kept and not self.kept.event_time:
            return self._reunited(now - 1, self._now.on_time(now))
        return self._now.on_time(now)

    def flush(self) -> Iterable[Output]:
        return self._now.flush()

    def on_end(self) -> Iterable[Output]:
        return self._now.on_end()

    # -- snapshots --------------------------------------------------------------------------------

    @property
    def state_bytes(self) -> int:
        return self._now.state_bytes

    @property
    def state_is_words(self) -> bool:
        return self._now is self.kept and self.kept.state_is_words

    def snapshot(self) -> Iterable[Section]:
        return self._now.take_snapshot()

    def restore(self, state: RestoredState) -> None:
        parts = {name: self._split(state.parts(name)) for name in state.sections}
        known = [part for name in self.kept.sections for part in parts.get(name, ())]
        if not known:
            if any(parts.values()):
                raise self._kept_otherwise(state)
            return
        shape = list(self.kept.shape)
        if any(part.meta.get(SHAPE, shape) != shape for part in known):
            raise other_windows(self.context.name)
        passed = {_passed(part) for part in known}
        if len(passed) == 1 or self._nothing_due(known, max(passed)):
            _adopt(self.kept, parts, max(passed))
        else:
            self._now = _Apart(self.kept, parts)

    def _nothing_due(self, parts: Sequence[Part], passed: int) -> bool:
        """Whether it is all the same if the clock had come to `passed` for all."""
        if self.kept.event_time:
            return False  # a row that was late before is still late
        return all(due is None or due - 1 > passed for due in (p.meta.get(DUE) for p in parts))

    def _split(self, parts: Sequence[Part]) -> list[Part]:
        """The parts, those with several times in one part for each."""
        return [piece for part in parts for piece in _by_time(part, self.context.max_parallelism)]

    def _kept_otherwise(self, state: RestoredState) -> StateMismatch:
        return StateMismatch(
            f"operator `{self.context.name}`: the snapshot keeps its windows as {', '.join(state.sections)}, the "
            f"job as {', '.join(self.kept.sections)}. Another trigger or window function keeps windows in another "
            "way: start with the one of the snapshot, or give the operator a new name (`.named`)"
        )

    def _reunited(self, passed: int, outputs: Iterable[Output]) -> Emitted:
        """The outputs; when time has then passed all that ever were, the operators become one."""
        yield from outputs
        if isinstance(self._now, _Apart) and passed >= self._now.latest:
            sections = list(self._now.take_snapshot())
            _adopt(self.kept, {s.name: [Part(s.table, s.meta)] for s in sections}, passed)
            self._now = self.kept


class _Apart:
    """An operator for each time that former subtasks had come to; rows go to that of their key group."""

    def __init__(self, kept: WindowOperator, parts: dict[str, list[Part]]) -> None:
        self._context = kept.context
        self._kept = kept
        times = sorted({_passed(part) for name in kept.sections for part in parts.get(name, ())})
        self.latest = times[-1]
        self._owners: Int64s = np.zeros(self._context.max_parallelism, np.int64)
        self._operators: list[WindowOperator] = []
        for number, time in enumerate(times):
            mine = {name: [p for p in some if _passed(p) == time] for name, some in parts.items()}
            for part in (p for some in mine.values() for p in some):
                self._owners[part.groups.start : part.groups.stop] = number
            operator = copy(kept)
            operator.open(self._context)
            _adopt(operator, mine, time)
            self._operators.append(operator)

    def process(self, data: Data, port: int) -> Emitted:
        assert isinstance(data, Batch)
        hashes = encode_keys(self._kept.key_columns(data.columns), len(data)).hashes
        owners = self._owners[key_groups(hashes, self._context.max_parallelism)]
        for number, operator in enumerate(self._operators):
            rows = owners == number
            if rows.any():
                yield from operator.process(data.filter(rows), port)

    def on_watermark(self, watermark: int) -> Emitted:
        for operator in self._operators:
            yield from operator.on_watermark(watermark)

    def next_timer(self) -> int | None:
        due = [operator.next_timer() for operator in self._operators]
        if not self._kept.event_time:
            due.append(self.latest + 1)
        return min((at for at in due if at is not None), default=None)

    def on_time(self, now: int) -> Emitted:
        for operator in self._operators:
            yield from operator.on_time(now)

    def flush(self) -> Emitted:
        for operator in self._operators:
            yield from operator.flush()

    def on_end(self) -> Emitted:
        for operator in self._operators:
            yield from operator.on_end()

    @property
    def state_bytes(self) -> int:
        return sum(operator.state_bytes for operator in self._operators)

    def take_snapshot(self) -> Iterator[Section]:
        for sections in zip(*(operator.take_snapshot() for operator in self._operators)):
            meta = combined([section.meta for section in sections])
            meta[APART] = self._by_group([dict(section.meta) for section in sections])
            table = pa.concat_tables([section.table for section in sections])
            hashes = [s.hashes for s in sections if s.hashes is not None]
            yield Section(sections[0].name, Distribution.KEYED, table, np.concatenate(hashes), meta)

    def _by_group(self, metas: Sequence[dict[str, Any]]) -> list[list[Any]]:
        found = []
        for owner, groups in groupby(self._context.key_groups, lambda g: int(self._owners[g])):
            run = list(groups)
            found.append([run[0], run[-1] + 1, metas[owner]])
        return found


def _adopt(operator: WindowOperator, parts: dict[str, list[Part]], passed: int) -> None:
    metas = [part.meta for some in parts.values() for part in some]
    operator.adopt(RestoredState(parts), {**combined(metas), PASSED: passed})


def _passed(part: Part) -> int:
    passed: int = part.meta.get(PASSED, MIN_TIME)
    return passed


def _by_time(part: Part, max_parallelism: int) -> Iterator[Part]:
    runs = part.meta.get(APART)
    if not runs:
        yield part
        return
    keys = [n for n in part.table.column_names if n.startswith("key.")]
    columns = [part.table.column(name).combine_chunks() for name in keys]
    hashes = encode_keys(columns, part.table.num_rows).hashes
    groups = key_groups(hashes, max_parallelism)
    for start, stop, meta in runs:
        mine = range(max(start, part.groups.start), min(stop, part.groups.stop))
        if mine:
            rows = np.flatnonzero((groups >= mine.start) & (groups < mine.stop))
            yield Part(part.table.take(pa.array(rows)), meta, mine)
