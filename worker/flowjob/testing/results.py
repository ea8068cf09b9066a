"""What a test run gave: rows as plain dicts, in order, per output and side output.

It knows reports of collecting sinks, not how the job was run."""

from __future__ import annotations

import pickle
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from flowjob.connectors.collect import decode_report
from flowjob.plan.types import OBJECT_COLUMN, StreamType
from flowjob.runtime.batch import Kind


@dataclass
class OutputRows:
    """Rows of one stream: dicts, or the objects themselves on an object stream.

    timestamps  µs UTC per row, when the stream has event time
    kinds       Kind per row; all INSERT on an append stream
    """

    rows: list[Any] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)


class TestOutput:
    """The outputs of `run`. With one output stream, `rows`, `late`, … are its own."""

    __test__ = False  # not a test class, whatever its name

    def __init__(self, outputs: list[dict[str | None, OutputRows]]) -> None:
        self._outputs = outputs

    def __getitem__(self, number: int) -> TestOutput:
        return TestOutput([self._outputs[number]])

    @property
    def rows(self) -> list[Any]:
        """Rows of the main output, in order."""
        return self._outputs[0][None].rows

    @property
    def timestamps(self) -> list[int]:
        return self._outputs[0][None].timestamps

    @property
    def kinds(self) -> list[Kind]:
        return self._outputs[0][None].kinds

    @property
    def late(self) -> list[Any]:
        """Rows that came too late for their windows."""
        return self.side("late")

    def side(self, output: Any) -> list[Any]:
        """Rows of a side output, by its declaration or name."""
        tag = output if isinstance(output, str) else output.name
        if tag not in self._outputs[0]:
            known = ", ".join(str(t) for t in self._outputs[0] if t is not None) or "(none)"
            raise KeyError(f"no side output `{tag}`; there are: {known}")
        return self._outputs[0][tag].rows


class Results:
    """Collects reports of a run into outputs."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[int, str | None, StreamType]] = {}
        self._outputs: dict[int, dict[str | None, OutputRows]] = defaultdict(dict)

    def expect(self, sink: str, number: int, tag: str | None, type: StreamType) -> None:
        """Reports of `sink` are rows of output `number`'s side `tag`."""
        self._places[sink] = (number, tag, type)
        self._outputs[number][tag] = OutputRows()

    def add(self, sink: str, message: bytes) -> None:
        """One report of a collecting sink."""
        number, tag, type = self._places[sink]
        batch = decode_report(message)
        into = self._outputs[number][tag]
        if type.is_objects:
            pickled = batch.columns.column(OBJECT_COLUMN).to_pylist()
            into.rows += [pickle.loads(p) for p in pickled]  # noqa: S301 - made by this process
        else:
            into.rows += batch.columns.to_pylist()
        if batch.timestamps is not None:
            into.timestamps += batch.timestamps.tolist()
        kinds = [0] * len(batch) if batch.kinds is None else batch.kinds.tolist()
        into.kinds += [Kind(k) for k in kinds]

    def output(self, count: int) -> TestOutput:
        return TestOutput([self._outputs[number] for number in range(count)])
