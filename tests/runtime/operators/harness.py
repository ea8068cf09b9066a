"""Drives one operator without tasks or channels: feed batches and watermarks, move the clock, read.

Outputs are kept in the order they were yielded, so a test can assert what precedes a watermark.
Shared by all operator tests; it must not know any particular operator."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MAX_TIME, Barrier, Watermark
from flowjob.runtime.batch import Batch, Data, Kind, Rows
from flowjob.runtime.env import Env
from flowjob.runtime.operators.base import Operator, OperatorContext, OperatorMetrics, Output, Side

START = 1_000_000_000_000_000
"""Where the mock wall clock starts: far from event times of tests, so that mixing them is seen."""


class MockClock:
    """Wall and monotonic time that only a test moves."""

    def __init__(self, wall: int = START) -> None:
        self._wall = wall

    def wall(self) -> int:
        return self._wall

    def monotonic(self) -> float:
        return self._wall / 1e6

    def set(self, wall: int) -> None:
        assert wall >= self._wall, "the mock clock does not go back"
        self._wall = wall

    async def sleep(self, seconds: float) -> None:
        self._wall += int(seconds * 1e6)


async def _inline(function: Any, *args: Any) -> Any:
    return function(*args)


def mock_env(clock: MockClock | None = None) -> Env:
    """An Env with a clock and inline `run_blocking`; all else is None and fails when touched."""
    nothing = cast(Any, None)
    return Env(
        clock=clock or MockClock(),
        network=nothing,
        control=nothing,
        launcher=nothing,
        random=nothing,
        directory=Path("/nonexistent"),
        run_blocking=_inline,
    )


def batch(
    rows: Sequence[dict[str, Any]] | pa.RecordBatch,
    schema: pa.Schema | None = None,
    *,
    timestamps: Iterable[int] | str | None = None,
    kinds: Sequence[Kind] | None = None,
) -> Batch:
    """A Batch of dicts; `timestamps` are µs, or the name of a column that holds them."""
    columns = (
        rows if isinstance(rows, pa.RecordBatch) else pa.RecordBatch.from_pylist(list(rows), schema)
    )
    times = None
    if isinstance(timestamps, str):
        times = columns.column(timestamps).cast(pa.int64()).to_numpy(zero_copy_only=False)
    elif timestamps is not None:
        times = np.array(list(timestamps), np.int64)
    return Batch(columns, times, None if kinds is None else np.array(kinds, np.int8))


class OperatorHarness:
    """One opened operator. `outputs` holds Data, Side and Watermark in the order they left it."""

    def __init__(
        self,
        operator: Operator,
        *,
        clock: MockClock | None = None,
        subtask: int = 0,
        parallelism: int = 1,
        max_parallelism: int = 128,
        batch_rows: int = 16_384,
    ) -> None:
        self.operator = operator
        self.clock = clock or MockClock()
        self.metrics = OperatorMetrics()
        self.outputs: list[Data | Side | Watermark] = []
        operator.open(
            OperatorContext(
                env=mock_env(self.clock),
                name="under test",
                uid="uid",
                subtask=subtask,
                parallelism=parallelism,
                max_parallelism=max_parallelism,
                metrics=self.metrics,
                batch_rows=batch_rows,
            )
        )

    # -- feeding ----------------------------------------------------------------------------------

    def feed(self, data: Data, port: int = 0) -> list[Data | Side | Watermark]:
        """Processes rows, after the timers that are due; returns what this call gave."""
        start = len(self.outputs)
        self._fire_due()
        self._collect(self.operator.process(data, port))
        return self.outputs[start:]

    def watermark(self, time: int) -> list[Data | Side | Watermark]:
        """Event time reaches `time`, as the task does it: flush, on_watermark, forward."""
        start = len(self.outputs)
        self._collect(self.operator.flush())
        self._collect(self.operator.on_watermark(time))
        if not self.operator.makes_watermarks:
            self.outputs.append(Watermark(time))
        return self.outputs[start:]

    def advance(self, to: int) -> list[Data | Side | Watermark]:
        """The wall clock moves to `to`, stopping at every timer on the way."""
        start = len(self.outputs)
        while (due := self.operator.next_timer()) is not None and due <= to:
            self.clock.set(max(due, self.clock.wall()))
            self._collect(self.operator.on_time(self.clock.wall()))
        self.clock.set(to)
        return self.outputs[start:]

    def flush(self) -> list[Data | Side | Watermark]:
        start = len(self.outputs)
        self._collect(self.operator.flush())
        return self.outputs[start:]

    def end(self, *, last_watermark: bool = True) -> list[Data | Side | Watermark]:
        """All inputs end: the last watermark (unless told not), then flush and on_end."""
        start = len(self.outputs)
        if last_watermark:
            self.watermark(MAX_TIME)
        self._collect(self.operator.flush())
        self._collect(self.operator.on_end())
        return self.outputs[start:]

    def prepare(self, barrier: Barrier) -> None:
        """A barrier reaches the operator, as the task does it: flush, prepare."""
        self._collect(self.operator.flush())
        self._collect(self.operator.prepare(barrier))

    def close(self) -> None:
        asyncio.run(cast(Any, self.operator.close()))

    # -- reading ----------------------------------------------------------------------------------

    @property
    def rows(self) -> list[Any]:
        """All rows of the main output: dicts of a batch, values of Rows."""
        return [row for o in self.outputs if isinstance(o, Batch | Rows) for row in rows_of(o)]

    def side(self, tag: str) -> list[Any]:
        """All rows of a side output."""
        return [
            row
            for o in self.outputs
            if isinstance(o, Side) and o.tag == tag
            for row in rows_of(o.data)
        ]

    @property
    def timestamps(self) -> list[int | None]:
        """The timestamps of the main output's rows."""
        return [t for o in self.outputs if isinstance(o, Batch | Rows) for t in _times_of(o)]

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of the main output's rows."""
        found: list[Kind] = []
        for o in self.outputs:
            if isinstance(o, Batch | Rows):
                raw = [0] * len(o) if o.kinds is None else o.kinds.tolist()
                found.extend(Kind(k) for k in raw)
        return found

    # -- inside -----------------------------------------------------------------------------------

    def _fire_due(self) -> None:
        while (due := self.operator.next_timer()) is not None and due <= self.clock.wall():
            self._collect(self.operator.on_time(self.clock.wall()))

    def _collect(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Batch | Rows | Side | Watermark):
                data = output.data if isinstance(output, Side) else output
                if isinstance(data, Batch):
                    data.columns.validate(full=True)
                    assert data.timestamps is None or len(data.timestamps) == len(data)
                self.outputs.append(output)
            elif inspect.isawaitable(output):
                asyncio.run(_wait(output))


async def _wait(awaitable: Any) -> None:
    await awaitable


def rows_of(data: Data) -> list[Any]:
    return data.columns.to_pylist() if isinstance(data, Batch) else list(data.values)


def _times_of(data: Data) -> list[int | None]:
    return [None] * len(data) if data.timestamps is None else data.timestamps.tolist()
