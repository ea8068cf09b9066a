"""Collecting sinks that show rows only when the snapshot they belong to is committed.

Why here: what such sinks have shown is what an exactly-once sink would have written, without any files. It must not
know how snapshots are made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.connectors.collect import CollectSink, encode_report
from flowjob.core.commits import CommitPermit
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.specs import SinkSpec
from flowjob.plan.types import Mode
from flowjob.runtime.batch import Batch


def committing(graph: JobGraph, published: set[bytes]) -> JobGraph:
    """The same graph with every collecting sink replaced."""
    vertices = []
    for vertex in graph.vertices:
        nodes = tuple(
            replace(n, spec=replace(n.spec, sink=CommittingSink(n.spec.sink.title, published)))
            if isinstance(n.spec, SinkSpec) and isinstance(n.spec.sink, CollectSink)
            else n
            for n in vertex.nodes
        )
        vertices.append(replace(vertex, nodes=nodes))
    return replace(graph, vertices=tuple(vertices))


@dataclass(frozen=True)
class CommittingSink(Sink):
    title: str
    published: set[bytes]

    @property
    def name(self) -> str:
        return f"collect {self.title}".rstrip()

    @property
    def accepts(self) -> frozenset[Mode]:
        return frozenset(Mode)

    def writer(self, context: SinkContext) -> SinkWriter:
        return _CommittingWriter(self.title, context, self.published)


class _CommittingWriter(SinkWriter):
    """A committable holds its rows itself, under a name that is never used twice."""

    def __init__(self, title: str, context: SinkContext, published: set[bytes]) -> None:
        self._title = title
        self._context = context
        self._published = published
        self._rows: list[bytes] = []

    def write(self, batch: Batch) -> None:
        self._rows.append(encode_report(batch))

    async def prepare(self, checkpoint: int) -> list[bytes]:
        rows, self._rows = self._rows, []
        name = (self._title, self._context.attempt, self._context.subtask, checkpoint)
        return [msgspec.msgpack.encode((name, rows))] if rows else []

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        for committable in committables:
            if committable not in self._published:
                self._published.add(committable)
                for row in msgspec.msgpack.decode(committable)[1]:
                    self._context.report(row)
