"""Tables for checks of state backends: addressed by key values, without batches, and snapshot without files.

Shared by state_conformance.py and state_snapshot_checks.py. It knows the protocol of runtime/state/backend.py and no
implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.kernels.partitioning import key_groups
from flowjob.plan.types import KeyField
from flowjob.runtime.checkpoint.sections import Part, RestoredState
from flowjob.runtime.state.backend import KeyedTable, StateBackend, TableSpec
from flowjob.state import State

MAX_PARALLELISM = 128
HOUR = timedelta(hours=1)
HOUR_MICROS = 3_600_000_000


class Table:
    """A table under test, addressed by key values instead of batches."""

    def __init__(
        self, backend: StateBackend, types: tuple[pa.DataType, ...], **states: State
    ) -> None:
        self.keys = tuple(KeyField(f"k{i}", f"k{i}", t) for i, t in enumerate(types))
        self.table: KeyedTable = backend.table(TableSpec("Checked", types, states, MAX_PARALLELISM))

    def locate(self, *keys: Any) -> list[int]:
        """The slots of keys: values for one key column, tuples for several."""
        rows = [key if len(self.keys) != 1 else (key,) for key in keys]
        arrays = [pa.array([row[i] for row in rows], k.type) for i, k in enumerate(self.keys)]
        # Rows have other columns too, or without a key there would be no telling how many there are.
        arrays.append(pa.nulls(len(rows)))
        names = [*(k.column for k in self.keys), "other"]
        columns = pa.RecordBatch.from_arrays(arrays, names=names)
        return self.table.locate(columns, self.keys)

    @contextmanager
    def at(self, key: Any) -> Iterator[Any]:
        """Inside, bound states are those of `key`: `with table.at("a") as bound: bound.count.value = 1`."""
        self.table.scope.slot = self.locate(key)[0]
        try:
            yield _Bound(self.table)
        finally:
            self.table.scope.slot = None

    def settle(self) -> None:
        self.table.settle(1_000)

    def later(self, micros: int) -> None:
        """The wall clock moves on."""
        self.table.scope.now += micros


class _Bound:
    def __init__(self, table: KeyedTable) -> None:
        self.__dict__.update(table.bound)


class Sum:
    """An aggregate without types: accumulators are stored pickled."""

    def create(self) -> list[int]:
        return [0]

    def add(self, accumulator: list[int], value: int) -> list[int]:
        return [accumulator[0] + value]

    def result(self, accumulator: list[int]) -> int:
        return accumulator[0]


def restored_state(
    tables: Sequence[Table], subtask: int = 0, parallelism: int = 1
) -> RestoredState:
    """What a new table gets of the snapshots of former ones: the rows of its key groups, in order of groups."""
    parts: dict[str, list[Part]] = {}
    for table in tables:
        for section in table.table.snapshot():
            assert section.hashes is not None, f"section `{section.name}` is not KEYED"
            groups = key_groups(section.hashes, MAX_PARALLELISM)
            order = np.argsort(groups, kind="stable")
            order = order[groups[order] * parallelism // MAX_PARALLELISM == subtask]
            rows = section.table.take(pa.array(order))
            parts.setdefault(section.name, []).append(Part(rows, dict(section.meta)))
    return RestoredState(parts)


def rescaled(
    backend: StateBackend, former: Sequence[Table], parallelism: int, **states: State
) -> list[Table]:
    """So many new tables, restored from a snapshot of `former`, at the same wall time."""
    made = []
    for subtask in range(parallelism):
        table = Table(backend, tuple(key.type for key in former[0].keys), **states)
        table.table.scope.now = former[0].table.scope.now
        table.table.restore(restored_state(former, subtask, parallelism))
        made.append(table)
    return made


def raises(kind: type[Exception], action: Callable[[], Any]) -> str:
    """The message of the exception that `action` must raise."""
    try:
        action()
    except kind as error:
        return str(error)
    raise AssertionError(f"expected {kind.__name__}")
