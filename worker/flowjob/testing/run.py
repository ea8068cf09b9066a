"""`flowjob.testing.run`: a function of streams over scripted inputs, in one process and in virtual time.

The tasks, operators and channels are those of a real run; only the network, the processes and the clock are not
there. Every row is a batch of its own unless told otherwise, so the output is that of a row at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from flowjob.connectors.base import Assignment
from flowjob.connectors.collect import collect
from flowjob.connectors.collection import CollectionSource, collection
from flowjob.core.job_events import TaskId
from flowjob.core.split_assignment import SplitAssigner
from flowjob.errors import PlanError
from flowjob.job import Job
from flowjob.plan import compile_job
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.specs import SourceSpec
from flowjob.plan.types import StreamType
from flowjob.runtime.checkpoint.manifest import TaskSnapshot
from flowjob.runtime.env import Env
from flowjob.runtime.exchange import ExchangeSettings, Identity, SlotAddress, SlotExchange
from flowjob.runtime.messages import WireSplit
from flowjob.runtime.task_set import RunOptions, TaskKey, TaskSet
from flowjob.stream import Stream
from flowjob.testing.results import Results, TestOutput
from flowjob.testing.script import AdvanceStep, ScriptedSource, WatermarkStep
from flowjob.testing.virtual_time import env_of_one_process, run_virtually
from flowjob.watermarks import EventTime

Step = Any
"""A row (Schema instance, dict or any object), `watermark(…)` or `advance(…)`."""


def run(
    function: Callable[..., Any],
    *inputs: Sequence[Step],
    event_time: str | None = None,
    schema: Any = None,
    parallelism: int = 1,
    batch_rows: int = 1,
    ends: bool = True,
) -> TestOutput:
    """Runs `function(stream, …)` with one stream per input script; returns what its streams gave.

    event_time  the column; found by itself when the rows have exactly one datetime column
    schema      the rows' Schema class, when the script begins without a row
    ends        False: the streams stay open, so only what has fired by then is there
    batch_rows  neighbouring rows of a script that make one batch

    The function returns a stream, or a tuple of them (`out[0].rows`, `out[1].rows`)."""
    job = Job(getattr(function, "__name__", "test"))
    streams = [job.read(script(given, event_time, schema, batch_rows)) for given in inputs]
    given = function(*streams)
    outputs: tuple[Stream[Any], ...] = given if isinstance(given, tuple) else (given,)
    if not all(isinstance(o, Stream) for o in outputs):
        raise PlanError(f"the function must return a stream or a tuple of streams, got {given!r}")
    results = Results()
    for number, output in enumerate(outputs):
        _collect(job, output, number, results)
    run_job(job, results.add, parallelism=parallelism, batch_rows=batch_rows, ends=ends)
    return results.output(len(outputs))


def script(
    steps: Iterable[Step], event_time: str | None, schema: Any, batch_rows: int
) -> ScriptedSource:
    """The source that gives these steps."""
    steps = list(steps)
    rows = [s for s in steps if not isinstance(s, WatermarkStep | AdvanceStep)]
    table = collection(rows, schema)
    assert isinstance(table, CollectionSource)
    time = event_time if event_time is not None else _only_time(table.type)
    return ScriptedSource(
        steps=_batched(steps, table.table, batch_rows),
        declared=table.type,
        event_time=None if time is None else EventTime(time, idle_after=None),
    )


def _only_time(type: StreamType) -> str | None:
    """The one datetime column of the rows, if there is one and no more."""
    if type.schema is None:
        return None
    times = [f.name for f in type.schema if pa.types.is_timestamp(f.type)]
    return times[0] if len(times) == 1 else None


def _batched(steps: Sequence[Step], table: pa.Table, batch_rows: int) -> list[Any]:
    """The steps with runs of rows as record batches of at most `batch_rows`."""
    whole = table.combine_chunks().to_batches()
    columns = whole[0] if whole else None
    made: list[Any] = []
    row = run_length = 0
    for step in [*steps, None]:
        is_row = step is not None and not isinstance(step, WatermarkStep | AdvanceStep)
        if is_row:
            run_length += 1
        if run_length and (not is_row or run_length == batch_rows):
            assert columns is not None
            made.append(columns.slice(row, run_length))
            row += run_length
            run_length = 0
        if not is_row and step is not None:
            made.append(step)
    return made


def _collect(job: Job, output: Stream[Any], number: int, results: Results) -> None:
    """Collects an output and all side outputs of the operator it comes from."""
    tags: dict[str | None, Stream[Any]] = {None: output}
    tags.update((tag, output.side(tag)) for tag in output._node.sides)
    for tag, stream in tags.items():
        name = f"{number}:{tag or ''}"
        job.write(stream, collect(title=name))
        results.expect(f"collect {name}", number, tag, stream.type)


class _NoSnapshots:
    """The part of an Upstairs that is not needed."""

    def task_ended(self, task: TaskId) -> None: ...

    def snapshot_taken(self, checkpoint: int, snapshot: TaskSnapshot) -> None: ...

    def snapshot_declined(self, checkpoint: int, task: TaskId, reason: str) -> None: ...

    def snapshot_committed(self, checkpoint: int, task: TaskId) -> None: ...


class _Here(_NoSnapshots):
    """The JobManager of a run in one process: splits are there at once, reports go to a function."""

    def __init__(self, graph: JobGraph, env: Env, on_report: Callable[[str, bytes], None]) -> None:
        self._graph = graph
        self._env = env
        self._on_report = on_report
        self._splits: dict[int, SplitAssigner[WireSplit]] = {}
        self.tasks: TaskSet | None = None

    async def discover(self) -> None:
        for vertex in self._graph.vertices:
            spec = vertex.nodes[0].spec
            if isinstance(spec, SourceSpec):
                deal = spec.source.assignment is Assignment.DEAL
                assigner = self._splits[vertex.id] = SplitAssigner(vertex.parallelism, deal=deal)
                found = await spec.source.enumerator(self._env).discover()
                assigner.found((WireSplit(s.id, s.data) for s in found.splits), complete=True)

    def request_splits(self, task: TaskKey) -> None:
        assert self.tasks is not None
        vertex, subtask = task
        for given in self._splits[vertex].asked(subtask):
            self.tasks.deliver_splits(task, list(given.splits), complete=given.complete)

    def task_finished(self, task: TaskKey) -> None:
        pass

    def sink_report(self, task: TaskKey, sink: str, data: bytes) -> Awaitable[None] | None:
        self._on_report(sink, data)
        return None


def run_job(
    job: Job,
    on_report: Callable[[str, bytes], None],
    *,
    parallelism: int = 1,
    batch_rows: int = 16_384,
    ends: bool = True,
) -> None:
    """Runs a whole job in this process and in virtual time; collected rows go to `on_report(sink name, message)`.

    Sources may read files; those that need a network cannot run here."""
    graph = compile_job(job, parallelism=parallelism)
    with tempfile.TemporaryDirectory(prefix="flowjob-test-") as directory:
        run_virtually(_run(graph, env_of_one_process(Path(directory)), on_report, batch_rows, ends))


async def _run(
    graph: JobGraph,
    env: Env,
    on_report: Callable[[str, bytes], None],
    batch_rows: int,
    ends: bool,
) -> None:
    settings = ExchangeSettings(batch_rows=max(batch_rows, 1), flush_interval=0.0)
    exchange = SlotExchange(env, settings, Identity("test", 1, "", "here"))
    here = _Here(graph, env, on_report)
    await here.discover()
    tasks = here.tasks = TaskSet(
        env, graph, exchange, here, RunOptions(batch_rows=batch_rows, checked=True)
    )
    keys = [(v.id, subtask) for v in graph.vertices for subtask in range(v.parallelism)]
    tasks.prepare(keys)
    await tasks.connect({key: SlotAddress("here", "", 0) for key in keys})
    try:
        await (tasks.run() if ends else tasks.run_until_sources_end())
    finally:
        await exchange.close()
