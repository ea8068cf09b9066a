"""Whatever goes wrong in a user's code: the user's traceback, the operator's name, and the row where one is known."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

import flowjob as fj
from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.errors import JobFailed, UserCodeFailed
from flowjob.runtime.batch import Batch


class Row(fj.Schema):
    x: int


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Frozen(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def failure(job: Callable[[Any], Any], rows: int = 2) -> JobFailed:
    with pytest.raises(JobFailed) as raised:
        fj.testing.run(job, [Row(i) for i in range(rows)])
    return raised.value


EXITS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]


@pytest.mark.parametrize("error", [*EXITS, Unprintable(), Frozen(), MemoryError()])
def test_whatever_a_row_function_raises_is_its_failure_at_that_row(error: BaseException) -> None:
    def f(row: Row) -> Row:
        if row.x == 1:
            raise error
        return row

    failed = failure(lambda rows: rows.map(f))
    assert isinstance(failed, UserCodeFailed)
    assert (failed.operator, failed.row) == ("map(f)", "Row(x=1)")
    assert "in f\n" in failed.user_traceback
    assert "flowjob/runtime" not in failed.user_traceback


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), Frozen()])
def test_whatever_a_function_of_batches_raises_is_its_failure(error: BaseException) -> None:
    def f(batch: Any) -> Any:
        raise error

    failed = failure(lambda rows: rows.map_batches(f, returns=Row))
    assert isinstance(failed, UserCodeFailed)
    assert failed.operator == "map_batches(f)"


def test_a_function_without_a_frame_is_named() -> None:
    failed = failure(lambda rows: rows.map(int))
    assert isinstance(failed, UserCodeFailed)
    assert failed.user_traceback.startswith("`int`: TypeError: int() argument must be")


class Fails(fj.Process[Row, Row]):
    def __init__(self, *steps: str) -> None:
        self.steps = steps

    def _step(self, name: str) -> None:
        if name in self.steps:
            raise ValueError(f"in {name}")

    def open(self, ctx: fj.Context) -> None:
        self._step("open")

    def on_row(self, row: Row, ctx: fj.Context) -> None:
        self._step("on_row")

    def close(self) -> None:
        self._step("close")


@pytest.mark.parametrize("step", ["open", "on_row", "close"])
def test_each_step_of_a_process_function_is_blamed_on_its_operator(step: str) -> None:
    failed = failure(lambda rows: rows.process(Fails(step)))
    assert isinstance(failed, UserCodeFailed)
    assert failed.operator == "process(Fails)"
    assert failed.user_traceback.rstrip().endswith(f"ValueError: in {step}")
    assert "flowjob/runtime" not in failed.user_traceback


def test_a_failure_on_the_way_out_does_not_hide_the_first() -> None:
    failed = failure(lambda rows: rows.process(Fails("on_row", "close")))
    assert "in on_row" in str(failed)
    assert "in close" not in str(failed)


@dataclass(frozen=True, kw_only=True)
class FailingSink(Sink):
    step: str
    error: BaseException

    @property
    def name(self) -> str:
        return "bad sink"

    def writer(self, context: SinkContext) -> SinkWriter:
        return FailingWriter(self.step, self.error)


class FailingWriter(SinkWriter):
    def __init__(self, step: str, error: BaseException) -> None:
        self._step, self._error = step, error
        self._at("writer")

    def _at(self, step: str) -> None:
        if step == self._step:
            raise self._error

    async def open(self) -> None:
        self._at("open")

    def write(self, batch: Batch) -> Awaitable[None] | None:
        self._at("write")
        return self._later()

    async def _later(self) -> None:
        self._at("later")

    async def finish(self) -> None:
        self._at("finish")

    async def close(self) -> None:
        self._at("close")


def written(step: str, error: BaseException) -> Callable[[Any], Any]:
    def to_sink(rows: Any) -> Any:
        job = fj.Job("j")
        job._builder = rows._builder
        job.write(rows, FailingSink(step=step, error=error))
        return rows

    return to_sink


@pytest.mark.parametrize("step", ["writer", "open", "write", "later", "finish", "close"])
@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(1)])
def test_each_step_of_a_sink_is_blamed_on_it(step: str, error: BaseException) -> None:
    failed = failure(written(step, error))
    assert isinstance(failed, UserCodeFailed)
    assert failed.operator == "bad sink"
    assert "flowjob/runtime" not in failed.user_traceback


def test_a_task_that_cancels_itself_fails_and_does_not_wait_for_ever() -> None:
    failed = failure(written("later", asyncio.CancelledError()))
    assert "cancelled by its own code" in str(failed)


def test_a_file_that_cannot_be_written_is_told_in_a_line_and_not_as_the_users_fault(
    tmp_path: Any,
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")

    def to_file(rows: Any) -> Any:
        job = fj.Job("j")
        job._builder = rows._builder
        job.write(rows, fj.files.jsonl(str(blocked / "out")))
        return rows

    failed = failure(to_file)
    assert not isinstance(failed, UserCodeFailed)
    assert "Not a directory" in str(failed)
    assert "Traceback" not in str(failed)


def test_a_defect_of_the_engine_is_told_with_its_traceback(monkeypatch: Any) -> None:
    from flowjob.runtime.operators.row_functions import Map

    code = compile(
        "def process(*_): raise LookupError('ours')", sys.modules[Map.__module__].__file__, "exec"
    )  # type: ignore[arg-type]
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102 - a frame as of our package
    monkeypatch.setattr(Map, "process", scope["process"])
    failed = failure(lambda rows: rows.map(lambda row: row))
    assert not isinstance(failed, UserCodeFailed)
    assert "LookupError: ours\nin operator: map" in str(failed)
