"""Job: a program as a value. Sources in, sinks out, streams between; building one does nothing else.

The same object is explained, run on this machine, put into a test, or rebuilt by the processes of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flowjob.connectors.base import BAD_ROW_TYPE, BAD_ROWS
from flowjob.errors import PlanError, TypeMismatch, UnsupportedChangelog
from flowjob.plan import building
from flowjob.plan.arguments import check_parallelism
from flowjob.plan.building import GraphBuilder
from flowjob.plan.logical import Input, LogicalGraph
from flowjob.plan.specs import SinkSpec, SourceSpec
from flowjob.plan.stream_columns import check_columns
from flowjob.plan.types import StreamType
from flowjob.plan.where import caller
from flowjob.stream import Stream

if TYPE_CHECKING:
    from flowjob.checkpointing import Checkpoints
    from flowjob.connectors.base import Sink, Source

DEFAULT_MAX_PARALLELISM = 128

T = TypeVar("T")


class Job:
    """A job under construction and, once its last `write` is said, the finished program.

    max_parallelism is the number of key groups: state can never be split finer. It is chosen once per job.
    checkpoints say how and where the job saves what it has done; `flowjob run` has a default, `job.run` none."""

    def __init__(
        self,
        name: str,
        *,
        max_parallelism: int = DEFAULT_MAX_PARALLELISM,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise PlanError(f"a job needs a name, got {name!r}", where=caller())
        if not 1 <= max_parallelism <= 32_768:
            raise PlanError(
                f"max_parallelism must be 1 … 32768, got {max_parallelism}", where=caller()
            )
        if checkpoints is not None and not hasattr(checkpoints, "settings"):
            raise PlanError(
                f"checkpoints must be fj.Checkpoints(…), got {checkpoints!r}", where=caller()
            )
        self.name = name
        self.max_parallelism = max_parallelism
        self.checkpoints = checkpoints
        self._builder = GraphBuilder()

    @property
    def graph(self) -> LogicalGraph:
        """What has been said so far."""
        return self._builder.graph

    def read(self, source: Source[T], *, parallelism: int | None = None) -> Stream[T]:
        """The rows of `source` as a stream, read by `parallelism` subtasks (the job's parallelism, unless given)."""
        from flowjob.connectors.base import Source

        if not isinstance(source, Source):
            raise TypeMismatch(_no_source(source), where=caller())
        if parallelism is not None:
            check_parallelism(parallelism)
        if source.event_time is not None and source.event_time.column is not None:
            field = building.check_column(source.type, source.event_time.column, "event_time")
            building.check_time_type(field, caller())
        if source.type.schema is not None:
            check_columns(source.type.schema, f"`{source.name}`")
        sides: dict[str, StreamType] = {}
        if source.on_bad_row == "divert":
            sides[BAD_ROWS] = BAD_ROW_TYPE
        node = self._builder.add(
            SourceSpec(input=source.type, output=source.type, source=source),
            (),
            source.name,
            sides=sides,
            parallelism=parallelism,
            event_time=source.event_time is not None,
        )
        return Stream(self._builder, Input(node.id))

    def write(
        self,
        stream: Stream[Any],
        sink: Sink,
        *,
        parallelism: int | None = None,
        name: str | None = None,
    ) -> None:
        """Sends every row of a stream to a sink. `name` is for people, and the identity of the sink's state."""
        from flowjob.connectors.base import Sink

        if not isinstance(sink, Sink):
            raise TypeMismatch(_no_sink(sink), where=caller())
        if not isinstance(stream, Stream):
            raise TypeMismatch(_no_stream(stream), where=caller())
        if parallelism is not None:
            check_parallelism(parallelism)
        if stream._builder is not self._builder:
            raise PlanError(
                f"`{stream._node.name}` belongs to another job: write a stream that came from `read` of this one",
                where=caller(),
            )
        if stream._node.mode not in sink.accepts:
            accepted = " or ".join(sorted(m.value for m in sink.accepts))
            raise UnsupportedChangelog(
                f"`{stream._node.name}` gives a {stream._node.mode.value} stream, but sink `{sink.name}` takes only "
                f"{accepted}. Leave out `.changelog()`, or use a sink that takes updates",
                where=caller(),
            )
        try:
            sink.check(stream.type)
        except PlanError as error:
            raise type(error)(error.message, where=caller()) from None
        node = self._builder.add(
            SinkSpec(input=stream.type, output=stream.type, sink=sink),
            (stream._input,),
            sink.name,
            parallelism=parallelism if parallelism is not None else sink.parallelism,
        )
        if name is not None:
            building.check_operator_name(name)
            self._builder.update(node.id, name=name, pinned=True)

    def explain(self, *, parallelism: int = 1) -> str:
        """The logical graph, the optimised one and the job graph, as text."""
        from flowjob.plan.explain import explain

        return explain(self, parallelism=parallelism)

    def run(self, *, parallelism: int = 1, **options: Any) -> Any:
        """Runs the job on this machine, in worker processes, and waits for its end.

        Gives a JobResult with seconds and metrics; raises JobFailed and its kin. `checkpoints=fj.Checkpoints(…)` makes
        it survive failures, `checkpoints=False` overrules what the job says. Other options: docs/performance.md."""
        from flowjob.local import run

        return run(self, parallelism=parallelism, **options)

    def __repr__(self) -> str:
        return f"<Job {self.name!r}: {len(self.graph.nodes)} operators>"


def _no_source(given: Any) -> str:
    from flowjob.connectors.base import Sink

    if isinstance(given, Sink):
        return f"read takes a source, but `{given.name}` is a sink. To read files, give their row type: {_READING}"
    return f"read takes a source, such as {_READING}; got {given!r}"


def _no_sink(given: Any) -> str:
    from flowjob.connectors.base import Source

    if isinstance(given, Stream):
        return "write takes a stream and then a sink: `job.write(stream, sink)`"
    if isinstance(given, Source):
        return f"write takes a sink, but `{given.name}` is a source. To write files, leave the row type out: {_WRITING}"
    return f"write takes a sink, such as {_WRITING}; got {given!r}"


def _no_stream(given: Any) -> str:
    if hasattr(given, "_assigner"):
        return "write takes a stream, but a window gives none before `.agg(…)` or `.apply(…)`"
    if hasattr(given, "fields"):
        return (
            "write takes a stream, but a keyed one gives none before agg, reduce, window or process"
        )
    return f"write takes a stream, got {given!r}"


_READING = '`fj.files.csv("data/*.csv", YourSchema)`'
_WRITING = '`fj.files.jsonl("out")` or `fj.print_()`'
