"""Whole jobs with windows over generated rows, and what the row-at-a-time model says they must give.

A case is rows in one total order and the positions at which their source says how far event time has come. The same
case runs through the public API, at any parallelism and batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

import flowjob as fj
from flowjob.connectors.collect import collect as collecting
from flowjob.core.elements import MAX_TIME
from flowjob.testing.results import Results, TestOutput
from flowjob.testing.run import run_job
from flowjob.windows import CountWindow
from tests.proofs.aggregate_models import MODELS, Row
from tests.reference_model import Event, canonical, run_windows

MICRO = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Fired = tuple[Any, int | None, int | None, dict[str, Any], int]
"""Canonical key, window bounds (None: unbounded), aggregates by name, timestamp of the result."""


@dataclass(frozen=True)
class Case:
    """Columns are the key's k0, k1, …, then t (event time), v (value) and i (number in the total order).

    aggregates  names in aggregate_models.MODELS
    every       a watermark after each so many rows; None: wherever batches end
    """

    rows: Sequence[Row]
    key_types: tuple[pa.DataType, ...]
    value_type: pa.DataType
    assigner: fj.WindowAssigner
    aggregates: Sequence[str]
    lateness: int = 0
    max_delay: int = 0
    every: int | None = None
    splits: int = 1
    keys: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(f"k{i}" for i in range(len(self.key_types))))

    def table(self) -> pa.Table:
        columns = [
            pa.array([r.key[i] for r in self.rows], type) for i, type in enumerate(self.key_types)
        ]
        columns += [
            pa.array([r.time for r in self.rows], pa.int64()),
            pa.array([r.value for r in self.rows], self.value_type),
            pa.array([r.number for r in self.rows], pa.int64()),
        ]
        return pa.table(columns, names=[*self.keys, "t", "v", "i"])

    def job(self, outputs: Results) -> fj.Job:
        """The program. Its results are output 0, late rows are output 1, each as one sink gets them: so that what one
        subtask gave stays in order."""
        job = fj.Job("windows")
        source = fj.collection(
            self.table(),
            event_time="t",
            max_delay=MICRO * self.max_delay,
            idle_after=None,
            watermark_every=self.every,
            splits=self.splits,
        )
        rows = job.read(source)
        keyed: Any = rows.key_by(*self.keys) if self.keys else rows
        windows = keyed.window(self.assigner, allowed_lateness=MICRO * self.lateness)
        result = windows.agg(**{name: MODELS[name].declared() for name in self.aggregates})
        for number, stream in enumerate((result, result.late)):
            job.write(stream, collecting(title=str(number)), parallelism=1)
            outputs.expect(f"collect {number}", number, None, stream.type)
        return job

    def run(self, parallelism: int, batch_rows: int) -> TestOutput:
        """What the job gives in one process and virtual time."""
        outputs = Results()
        run_job(self.job(outputs), outputs.add, parallelism=parallelism, batch_rows=batch_rows)
        return outputs.output(2)

    # -- the two sides of the comparison

    def fired(self, output: TestOutput) -> list[Fired]:
        """What the job's windows gave, in order."""
        return [
            (
                canonical(tuple(row[k] for k in self.keys)),
                _micros(row["window_start"]),
                _micros(row["window_end"]),
                {name: row[name] for name in self.aggregates},
                time,
            )
            for row, time in zip(output.rows, output.timestamps, strict=True)
        ]

    def expected(self) -> tuple[list[Fired], list[int]]:
        """What the windows must give, in the order of one subtask; and the numbers of the late rows, in order."""
        if isinstance(self.assigner, CountWindow):
            return self._count_windows(self.assigner), []
        fired, late = run_windows(self.events(), self.assigner, list, self.lateness)
        shown = [
            (canonical(key), start, end, self._aggregated(rows), end - 1)
            for key, start, end, rows in fired
        ]
        return shown, [row.number for *_, row in late]

    def events(self) -> list[Event]:
        """The rows with the watermarks that the source must give."""
        events: list[Event] = []
        largest = -(2**62)
        for n, row in enumerate(self.rows, 1):
            largest = max(largest, row.time)
            events.append(("row", row.key, row.time, row))
            if self.every is not None and n % self.every == 0:
                events.append(("watermark", largest - self.max_delay - 1))
        return [*events, ("watermark", MAX_TIME)]

    def _count_windows(self, assigner: CountWindow) -> list[Fired]:
        """The last `size` rows of a key after every `slide` rows."""
        held: dict[Any, list[Row]] = {}
        fired: list[Fired] = []
        for row in self.rows:
            mine = held.setdefault(canonical(row.key), [])
            mine.append(row)
            if len(mine) % assigner.slide == 0:
                last = mine[-assigner.size :]
                time = max(r.time for r in last)
                fired.append((canonical(row.key), None, None, self._aggregated(last), time))
        return fired

    def _aggregated(self, rows: Sequence[Row]) -> dict[str, Any]:
        return {name: MODELS[name].model(rows, self.value_type) for name in self.aggregates}


def _micros(value: datetime | None) -> int | None:
    return None if value is None else (value - EPOCH) // MICRO
