"""The logical graph: what the user's program says, one node per operator, before any rule.

A graph is a value: `with_node` makes a new one, and the job that is being built just holds the newest. It must not know
parallelism defaults, chains or slots: those come with compilation (plan/compile.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from flowjob.plan.job_graph import Partitioning
from flowjob.plan.specs import OperatorSpec, SourceSpec
from flowjob.plan.types import Mode, StreamType

NO_SIDES: Mapping[str, StreamType] = MappingProxyType({})


@dataclass(frozen=True)
class Input:
    """One input of a node: output `tag` (None: the main one) of node `node`, by `partitioning` (None: straight on,
    which is forward when both sides have one parallelism, and rebalance otherwise)."""

    node: int
    tag: str | None = None
    partitioning: Partitioning | None = None


@dataclass(frozen=True)
class LogicalNode:
    """An operator of the user's program.

    name         for people; `pinned` is set when the user gave it by `.named`, and then it is the state's identity
    where        file:line of the user's call
    parallelism  None: the job's
    sides        side outputs by tag
    event_time   whether its rows carry timestamps
    ports        for a two-input operator, which port each input feeds
    follows      it only prepares its input (keys, aggregate inputs): it runs where its producer does, whatever the
                 job's parallelism
    """

    id: int
    spec: OperatorSpec
    name: str
    inputs: tuple[Input, ...] = ()
    where: str | None = None
    pinned: bool = False
    parallelism: int | None = None
    sides: Mapping[str, StreamType] = field(default_factory=lambda: NO_SIDES)
    mode: Mode = Mode.APPEND
    event_time: bool = False
    ports: tuple[int, ...] = ()
    follows: bool = False
    uid: str | None = None

    def type_of(self, tag: str | None) -> StreamType:
        """The type of the main output, or of a side output."""
        return self.spec.output if tag is None else self.sides[tag]

    def timed(self, tag: str | None) -> bool:
        """Whether rows of the main output, or of a side output, carry timestamps. What a source could not read has
        no time."""
        return self.event_time and (tag is None or not isinstance(self.spec, SourceSpec))

    def port_of(self, index: int) -> int:
        """The port that input number `index` feeds."""
        return self.ports[index] if self.ports else 0


@dataclass(frozen=True)
class LogicalGraph:
    """Nodes by id; ids grow with the order of the user's calls, so iteration is topological."""

    nodes: Mapping[int, LogicalNode] = field(default_factory=dict)

    def __getitem__(self, node: int) -> LogicalNode:
        return self.nodes[node]

    def __iter__(self) -> Iterator[LogicalNode]:
        return iter(self.nodes.values())

    @property
    def next_id(self) -> int:
        return max(self.nodes, default=0) + 1

    def with_node(self, node: LogicalNode) -> LogicalGraph:
        """Adds `node`, or replaces the one of its id in its place."""
        return LogicalGraph({**self.nodes, node.id: node})

    def consumers(self, node: int) -> list[tuple[LogicalNode, int]]:
        """Every (consumer, index of its input) of any output of `node`."""
        return [
            (consumer, index)
            for consumer in self.nodes.values()
            for index, given in enumerate(consumer.inputs)
            if given.node == node
        ]

    def consumed_tags(self, node: int) -> set[str | None]:
        """The outputs of `node` that somebody reads."""
        return {consumer.inputs[index].tag for consumer, index in self.consumers(node)}

    def ancestors(self, node: int) -> LogicalGraph:
        """The part of the graph that `node` needs, itself included."""
        wanted: set[int] = set()
        stack = [node]
        while stack:
            current = stack.pop()
            if current not in wanted:
                wanted.add(current)
                stack.extend(given.node for given in self.nodes[current].inputs)
        return LogicalGraph({i: n for i, n in self.nodes.items() if i in wanted})

    def insert_before(self, consumer: int, index: int, node: LogicalNode) -> LogicalGraph:
        """Puts `node` on the way into input `index` of `consumer`: it takes that input straight on, and the
        consumer takes it by the partitioning it had. The new node stands right before the consumer."""
        old = self.nodes[consumer].inputs[index]
        node = replace(node, inputs=(replace(old, partitioning=None),))
        inputs = list(self.nodes[consumer].inputs)
        inputs[index] = Input(node.id, None, old.partitioning)
        ordered: dict[int, LogicalNode] = {}
        for i, n in self.nodes.items():
            if i == consumer:
                ordered[node.id] = node
                ordered[i] = replace(n, inputs=tuple(inputs))
            else:
                ordered[i] = n
        return LogicalGraph(ordered)
