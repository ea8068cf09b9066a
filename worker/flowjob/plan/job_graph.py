"""The job graph: vertices (chains of operators) and the edges between them, as plain data.

It is what the JobManager deploys and what every slot rebuilds and compares by digest. It must not know processes,
addresses or attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from flowjob.plan.specs import OperatorSpec
from flowjob.plan.types import KeyField, StreamType


class Exchange(Enum):
    """How rows find their consumer subtask."""

    FORWARD = "forward"  # i -> i
    HASH = "hash"  # by key group
    REBALANCE = "rebalance"  # round robin, in batches
    RESCALE = "rescale"  # round robin among a pointwise share of the consumers
    BROADCAST = "broadcast"  # to all
    GLOBAL = "global"  # to subtask 0
    CUSTOM = "custom"  # by the user's partitioner


@dataclass(frozen=True)
class Partitioning:
    """An exchange and what it needs: `keys` for HASH; for CUSTOM `function(key_or_row, n) -> subtask`
    applied to the value of `column` (a hidden or visible column of the rows), or to whole rows when None."""

    exchange: Exchange
    keys: tuple[KeyField, ...] = ()
    function: Callable[[Any, int], int] | None = None
    column: str | None = None


@dataclass(frozen=True)
class Target:
    """Where an output of a chained operator goes inside the chain: rows of side output `tag` (None: the main
    output) to input `port` of operator `node` of the same vertex."""

    tag: str | None
    node: int
    port: int = 0


@dataclass(frozen=True)
class NetworkOutput:
    """An output that leaves the vertex, by edge id."""

    tag: str | None
    edge: int


@dataclass(frozen=True)
class ChainNode:
    """One operator of a chain. `uid` is set for stateful operators only."""

    name: str
    spec: OperatorSpec
    uid: str | None = None
    targets: tuple[Target, ...] = ()
    outputs: tuple[NetworkOutput, ...] = ()


@dataclass(frozen=True)
class Vertex:
    """A chain: operators that run in one task. nodes[0] is the head, which gets the network inputs."""

    id: int
    name: str
    parallelism: int
    nodes: tuple[ChainNode, ...]


@dataclass(frozen=True)
class Edge:
    """Rows from `source` (vertex id) to input `port` of the head of `target`. `type` includes hidden columns."""

    id: int
    source: int
    target: int
    port: int
    partitioning: Partitioning
    type: StreamType
    timestamps: bool
    kinds: bool


@dataclass(frozen=True)
class JobGraph:
    """Vertices in topological order."""

    name: str
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    max_parallelism: int = 128

    def inputs_of(self, vertex: int) -> tuple[Edge, ...]:
        """Edges that end in `vertex`, by edge id."""
        return tuple(e for e in self.edges if e.target == vertex)

    def vertex(self, vertex: int) -> Vertex:
        return next(v for v in self.vertices if v.id == vertex)


def consumers_of(edge: Edge, producer: int, producers: int, consumers: int) -> range:
    """The consumer subtasks that `producer` (of `producers`) has a channel to on `edge`."""
    match edge.partitioning.exchange:
        case Exchange.FORWARD:
            return range(producer, producer + 1)
        case Exchange.GLOBAL:
            return range(1)
        case Exchange.RESCALE:
            if consumers >= producers:
                return range(
                    producer * consumers // producers, (producer + 1) * consumers // producers
                )
            first = producer * consumers // producers
            return range(first, first + 1)
        case _:
            return range(consumers)
