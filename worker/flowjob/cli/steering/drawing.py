"""Draws a job's graph in text: one line per vertex, with the edges between them as lines on the left.

Lanes, as `git log --graph` has them: each holds an edge that has left its source and not yet reached its target.
Pure: facts in, lines out; colours and terminals are others'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flowjob.cluster.job_details import EdgeFacts, Graph, VertexFacts


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line: lanes, then text. `vertex`: whose line it is."""

    lanes: str
    text: str = ""
    vertex: VertexFacts | None = None
    is_title: bool = False


@dataclass(slots=True)
class _Lanes:
    """`held[i]`: the edge in lane i, None: it is free."""

    held: list[EdgeFacts | None] = field(default_factory=list)

    def text(self, marks: dict[int, str] | None = None, between: range | None = None) -> str:
        """Each lane and the room behind it. In `between` a line runs from lane to lane."""
        marks = marks or {}
        found = []
        for lane, edge in enumerate(self.held):
            crossed = between is not None and lane in between
            plain = "│" if edge is not None else " "
            if crossed:
                plain = "┼" if edge is not None else "─"
            found.append(marks.get(lane, plain))
            beyond = between is not None and lane in between and lane + 1 in between
            found.append("─" if beyond else " ")
        return "".join(found).rstrip()

    def take(self, behind: int, edge: EdgeFacts | None) -> int:
        """A free lane to the right of `behind`, now held."""
        for lane in range(behind + 1, len(self.held)):
            if self.held[lane] is None:
                self.held[lane] = edge
                return lane
        self.held.append(edge)
        return len(self.held) - 1

    def trim(self) -> None:
        while self.held and self.held[-1] is None:
            self.held.pop()


def draw(graph: Graph, details: Mapping[int, Sequence[str]]) -> list[Drawn]:
    """The lines. `details`: of each vertex, shown below its name."""
    lanes = _Lanes()
    lines: list[Drawn] = []
    for vertex in graph.vertices:
        lines.extend(_arrive(lanes, vertex))
        lines.extend(_stand(lanes, graph, vertex, details.get(vertex.id, ())))
    return lines


def _arrive(lanes: _Lanes, vertex: VertexFacts) -> Iterator[Drawn]:
    """Its inputs run together in the leftmost of their lanes."""
    inputs = [lane for lane, e in enumerate(lanes.held) if e is not None and e.target == vertex.id]
    for lane in inputs:
        edge = lanes.held[lane]
        assert edge is not None
        held = "  holds time back" if edge.holds_time_back else ""
        yield Drawn(lanes.text({lane: "↓"}), f"{edge_text(edge)}{held}")
    if len(inputs) > 1:
        first, last = inputs[0], inputs[-1]
        marks = {first: "├", last: "┘", **dict.fromkeys(inputs[1:-1], "┴")}
        yield Drawn(lanes.text(marks, range(first, last + 1)))
        for lane in inputs[1:]:
            lanes.held[lane] = None
    lanes.trim()


def _stand(
    lanes: _Lanes, graph: Graph, vertex: VertexFacts, details: Sequence[str]
) -> Iterator[Drawn]:
    """The vertex itself, and its outputs, which part below it."""
    outputs = [edge for edge in graph.edges if edge.source == vertex.id]
    at = next(
        (i for i, e in enumerate(lanes.held) if e is not None and e.target == vertex.id), None
    )
    if at is None:
        at = lanes.take(-1, None)
    title = f"[{vertex.id}] {vertex.name}  ×{vertex.parallelism}"
    lanes.held[at] = outputs[0] if outputs else None
    yield Drawn(lanes.text({at: "●"}), title, vertex, is_title=True)
    for line in details:
        yield Drawn(lanes.text(), f"    {line}", vertex)
    if len(outputs) > 1:
        taken = [lanes.take(at, edge) for edge in outputs[1:]]
        marks = {at: "├", max(taken): "┐", **dict.fromkeys(sorted(taken)[:-1], "┬")}
        yield Drawn(lanes.text(marks, range(at, max(taken) + 1)))
    lanes.trim()


def edge_text(edge: EdgeFacts) -> str:
    """`hash(carrier)`, and which input it is where a vertex has several."""
    keys = f"({', '.join(edge.keys)})" if edge.keys else ""
    port = f", input {edge.port}" if edge.port else ""
    return f"{edge.exchange}{keys}{port}"
