"""The Context that callbacks get: flowjob.functions.Context over an operator's state, timers and emission.

The public protocol stays free of the runtime; this is its one implementation. It must not know ports or batches."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flowjob.core.elements import MIN_TIME
from flowjob.errors import StateError
from flowjob.functions import SideOutput
from flowjob.runtime.instants import datetime_of, micros_of
from flowjob.runtime.operators.base import OperatorContext
from flowjob.runtime.operators.emission import Emission
from flowjob.runtime.state.backend import KeyedTable


class FunctionContext:
    """One per function and subtask. `table` is None for functions without a key."""

    __slots__ = ("_emission", "_operator", "_table", "_wall", "emit", "logger", "watermark_micros")

    def __init__(
        self, operator: OperatorContext, emission: Emission, table: KeyedTable | None
    ) -> None:
        self._operator = operator
        self._emission = emission
        self._table = table
        self._wall = operator.env.clock.wall
        self.emit: Callable[[Any], None] = self._too_early
        self.watermark_micros = MIN_TIME
        self.logger = logging.getLogger(f"flowjob.job.{operator.name}")

    def start(self) -> None:
        """From now on rows can be emitted."""
        # Emitting is appending to a list: no call of ours in between.
        self.emit = self._emission.out.append

    def emit_to(self, side: SideOutput[Any] | str, value: Any) -> None:
        if not self._emission.marks:
            self._too_early(value)
        self._emission.emit_to(side if isinstance(side, str) else side.name, value)

    def set_timer(self, at: datetime) -> None:
        table, slot = self._current("a timer")
        table.timers.add(micros_of(at), slot)

    def delete_timer(self, at: datetime) -> None:
        table, slot = self._current("a timer")
        table.timers.remove(micros_of(at), slot)

    def set_processing_timer(self, at: datetime) -> None:
        table, slot = self._current("a timer")
        table.processing_timers.add(micros_of(at), slot)

    def delete_processing_timer(self, at: datetime) -> None:
        table, slot = self._current("a timer")
        table.processing_timers.remove(micros_of(at), slot)

    @property
    def key(self) -> Any:
        table, slot = self._current("ctx.key")
        return table.key(slot)

    @property
    def timestamp(self) -> datetime | None:
        times = self._emission.times
        if times is None or self._emission.borrowed or not self._emission.marks:
            return None
        return datetime_of(int(times[self._emission.current]))

    @property
    def watermark(self) -> datetime | None:
        return None if self.watermark_micros == MIN_TIME else datetime_of(self.watermark_micros)

    @property
    def now(self) -> datetime:
        return datetime_of(self._wall() if self._table is None else self._table.scope.now)

    @property
    def subtask(self) -> int:
        return self._operator.subtask

    @property
    def parallelism(self) -> int:
        return self._operator.parallelism

    def _current(self, what: str) -> tuple[KeyedTable, int]:
        """The table and the slot of the current key."""
        table = self._table
        if table is None:
            raise StateError(f"{what} needs a key: use key_by(…) before process")
        slot = table.scope.slot
        if slot is None:
            raise StateError(
                f"{what} needs a current key, which open, close and on_broadcast do not have"
            )
        return table, slot

    def _too_early(self, value: Any) -> None:
        raise StateError("nothing can be emitted in open(): there is no row and no time yet")
