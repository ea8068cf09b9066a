"""Bound reducing and aggregating state: a value state that is only changed by adding to it.

They work on any cells of values, expiring or not, so that a time to live is written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowjob.runtime.state.cells import MISSING, ValueCells


class Reducing:
    """`function(so_far, added)` over `cells`, whose default is MISSING."""

    __slots__ = ("_cells", "_function")

    def __init__(self, cells: ValueCells, function: Callable[[Any, Any], Any]) -> None:
        self._cells = cells
        self._function = function

    def add(self, value: Any) -> None:
        cells = self._cells
        so_far = cells.value
        cells.value = value if so_far is MISSING else self._function(so_far, value)

    @property
    def value(self) -> Any:
        value = self._cells.value
        return None if value is MISSING else value

    def clear(self) -> None:
        self._cells.clear()

    def __repr__(self) -> str:
        return repr(self._cells)


class Aggregating:
    """An fj.Aggregate over `cells`, which hold its accumulators and whose default is MISSING."""

    __slots__ = ("_aggregate", "_cells")

    def __init__(self, cells: ValueCells, aggregate: Any) -> None:
        self._cells = cells
        self._aggregate = aggregate

    def add(self, value: Any) -> None:
        cells = self._cells
        accumulator = cells.value
        if accumulator is MISSING:
            accumulator = self._aggregate.create()
        cells.value = self._aggregate.add(accumulator, value)

    @property
    def value(self) -> Any:
        accumulator = self._cells.value
        return None if accumulator is MISSING else self._aggregate.result(accumulator)

    def clear(self) -> None:
        self._cells.clear()

    def __repr__(self) -> str:
        return repr(self._cells)
