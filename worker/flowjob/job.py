"""Job: a program as a value. Sources in, sinks out, streams between; building one does nothing else.

The same object is explained, run on this machine, put into a test, or rebuilt by the processes of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowjob.connectors.base import BAD_ROW_TYPE, BAD_ROWS
from flowjob.errors import PlanError, TypeMismatch, UnsupportedChangelog
from flowjob.plan import building
from flowjob.plan.building import GraphBuilder
from flowjob.plan.logical import Input, LogicalGraph
from flowjob.plan.specs import SinkSpec, SourceSpec
from flowjob.plan.types import StreamType
from flowjob.plan.where import caller
from flowjob.stream import Stream

if TYPE_CHECKING:
    from flowjob.connectors.base import Sink, Source

DEFAULT_MAX_PARALLELISM = 128


class Job:
    """A job under construction and, once its last `write` is said, the finished program.

    max_parallelism is the number of key groups: state can never be split finer. It is chosen once per job."""

    def __init__(self, name: str, *, max_parallelism: int = DEFAULT_MAX_PARALLELISM) -> None:
        if not name:
            raise PlanError("a job needs a name", where=caller())
        if not 1 <= max_parallelism <= 32_768:
            raise PlanError(
                f"max_parallelism must be 1 … 32768, got {max_parallelism}", where=caller()
            )
        self.name = name
        self.max_parallelism = max_parallelism
        self._builder = GraphBuilder()

    @property
    def graph(self) -> LogicalGraph:
        """What has been said so far."""
        return self._builder.graph

    def read(self, source: Source, *, parallelism: int | None = None) -> Stream[Any]:
        """The rows of a source as a stream."""
        from flowjob.connectors.base import Source

        if not isinstance(source, Source):
            raise TypeMismatch(f"read takes a source, got {source!r}", where=caller())
        if source.event_time is not None and source.event_time.column is not None:
            field = building.check_column(source.type, source.event_time.column, "event_time")
            building.check_time_type(field, caller())
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

    def write(self, stream: Stream[Any], sink: Sink, *, parallelism: int | None = None) -> None:
        """Sends every row of a stream to a sink."""
        from flowjob.connectors.base import Sink

        if not isinstance(sink, Sink):
            raise TypeMismatch(f"write takes a sink, got {sink!r}", where=caller())
        if stream._builder is not self._builder:
            raise PlanError("this stream belongs to another job", where=caller())
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
        self._builder.add(
            SinkSpec(input=stream.type, output=stream.type, sink=sink),
            (stream._input,),
            sink.name,
            parallelism=parallelism if parallelism is not None else sink.parallelism,
        )

    def explain(self, *, parallelism: int = 1) -> str:
        """The logical graph, the optimised one and the job graph, as text."""
        from flowjob.plan.explain import explain

        return explain(self, parallelism=parallelism)

    def run(self, *, parallelism: int = 1, **options: Any) -> Any:
        """Runs the job on this machine, in worker processes, and waits for its end (see flowjob.local.run)."""
        from flowjob.local import run

        return run(self, parallelism=parallelism, **options)

    def __repr__(self) -> str:
        return f"<Job {self.name!r}: {len(self.graph.nodes)} operators>"
