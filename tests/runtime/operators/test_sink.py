"""The sink operator keeps a writer's life in order, whatever the writer does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.core.elements import Barrier, Stop
from flowjob.errors import PlanError
from flowjob.plan.specs import SinkSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.batch import Batch
from flowjob.runtime.operators.sink import SinkOperator
from tests.runtime.operators.harness import START, OperatorHarness, batch

TYPE = StreamType(pa.schema([("n", pa.int64())]))


class Recorder(SinkWriter):
    """Writes down what is asked of it."""

    def __init__(self, log: list[Any], prepares: bool) -> None:
        self._log = log
        self._prepares = prepares
        self._due: int | None = None

    async def open(self) -> None:
        self._log.append("open")

    def write(self, batch: Batch) -> Any:
        self._log.append(batch.columns.to_pydict())
        self._due = START + 10
        return self._wait() if len(batch) > 1 else None

    async def _wait(self) -> None:
        self._log.append("waited")

    def next_timer(self) -> int | None:
        return self._due

    async def on_time(self, now: int) -> None:
        self._due = None
        self._log.append(("time", now - START))

    async def prepare(self, checkpoint: int) -> list[bytes]:
        return [b"%d" % checkpoint] if self._prepares else []

    async def finish(self) -> None:
        self._log.append("finish")

    async def close(self) -> None:
        self._log.append("close")


@dataclass(frozen=True, kw_only=True)
class RecordingSink(Sink):
    log: list[Any] = field(default_factory=list)
    prepares: bool = False

    @property
    def name(self) -> str:
        return "recording"

    def writer(self, context: SinkContext) -> SinkWriter:
        assert (context.subtask, context.parallelism, context.type) == (1, 2, TYPE)
        return Recorder(self.log, self.prepares)


def harness(sink: Sink) -> OperatorHarness:
    operator = SinkOperator(SinkSpec(input=TYPE, output=TYPE, sink=sink))
    return OperatorHarness(operator, subtask=1, parallelism=2)


def test_a_writer_is_opened_before_data_and_finished_at_the_end():
    sink = RecordingSink()
    run = harness(sink)
    assert sink.log == []
    assert run.operator.next_timer() is None
    run.feed(batch([{"n": 1}]))
    run.feed(batch([{"n": 2}, {"n": 3}]))
    run.advance(START + 20)
    run.end()
    run.close()
    first, second = {"n": [1]}, {"n": [2, 3]}
    assert sink.log == ["open", first, second, "waited", ("time", 10), "finish", "close"]
    assert run.outputs[:-1] == []


def test_a_sink_without_rows_is_opened_and_finished_too():
    sink = RecordingSink()
    run = harness(sink)
    run.end()
    run.close()
    assert sink.log == ["open", "finish", "close"]


def test_after_a_failure_a_writer_is_only_closed():
    sink = RecordingSink()
    run = harness(sink)
    run.feed(batch([{"n": 1}]))
    run.close()
    run.close()
    assert sink.log == ["open", {"n": [1]}, "close"]


def test_hidden_columns_do_not_reach_the_writer():
    sink = RecordingSink()
    run = harness(sink)
    columns = pa.RecordBatch.from_pydict({"n": [1], "__key0": [2]})
    run.feed(Batch(columns, np.array([5])))
    assert sink.log[1] == {"n": [1]}
    run.close()


@pytest.mark.parametrize(
    ("barrier", "told"),
    [
        (Barrier(2), [b"1", b"2"]),
        (Barrier(2, savepoint=True), []),  # counts only when all is published
        (Barrier(2, savepoint=True, stop=Stop.SUSPEND), [b"1", b"2"]),
    ],
)
def test_snapshots_say_what_is_pending_unless_they_leave_nothing_to_publish(
    barrier: Barrier, told: list[bytes]
) -> None:
    run = harness(RecordingSink(prepares=True))
    for given in (Barrier(1, savepoint=True), barrier):
        run.prepare(given)
    sections = list(run.operator.snapshot())
    assert [c for s in sections for c in s.table.column(0).to_pylist()] == told
    run.close()


def test_a_writer_that_prepares_something_else_than_bytes_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def prepare(self: Recorder, checkpoint: int) -> list[Any]:
        return [{"file": "a"}]

    monkeypatch.setattr(Recorder, "prepare", prepare)
    run = harness(RecordingSink(prepares=True))
    with pytest.raises(PlanError, match=r"sink `recording`: `prepare` has to give bytes, .* dict"):
        run.prepare(Barrier(1))
    run.close()
