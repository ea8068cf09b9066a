"""Graphs in text: every edge is a line that leaves its source and reaches its target, and crosses others visibly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.cli.steering.drawing import draw
from flowjob.cluster.job_details import EdgeFacts, Graph, VertexFacts


def graph(count: int, edges: list[tuple[int, int]]) -> Graph:
    vertices = [VertexFacts(id=n, name=f"v{n}", parallelism=1) for n in range(count)]
    facts = [EdgeFacts(id=n, source=a, target=b) for n, (a, b) in enumerate(edges)]
    return Graph(name="g", at="", vertices=vertices, edges=facts)


def drawn(count: int, edges: list[tuple[int, int]]) -> list[str]:
    lines = draw(graph(count, edges), {})
    return [f"{line.lanes} {line.text}".rstrip() for line in lines]


PICTURES: dict[str, tuple[int, list[tuple[int, int]], list[str]]] = {
    "one": (1, [], ["● [0] v0  ×1"]),
    "a chain": (2, [(0, 1)], ["● [0] v0  ×1", "↓ forward", "● [1] v1  ×1"]),
    "two that are not joined": (2, [], ["● [0] v0  ×1", "● [1] v1  ×1"]),
    "a join": (
        3,
        [(0, 2), (1, 2)],
        [
            "● [0] v0  ×1",
            "│ ● [1] v1  ×1",
            "↓ │ forward",
            "│ ↓ forward",
            "├─┘",
            "● [2] v2  ×1",
        ],
    ),
    "a fork": (
        3,
        [(0, 1), (0, 2)],
        ["● [0] v0  ×1", "├─┐", "↓ │ forward", "● │ [1] v1  ×1", "  ↓ forward", "  ● [2] v2  ×1"],
    ),
    "a diamond": (
        4,
        [(0, 1), (0, 2), (1, 3), (2, 3)],
        [
            "● [0] v0  ×1",
            "├─┐",
            "↓ │ forward",
            "● │ [1] v1  ×1",
            "│ ↓ forward",
            "│ ● [2] v2  ×1",
            "↓ │ forward",
            "│ ↓ forward",
            "├─┘",
            "● [3] v3  ×1",
        ],
    ),
    "three at once": (
        4,
        [(0, 1), (0, 2), (0, 3)],
        [
            "● [0] v0  ×1",
            "├─┬─┐",
            "↓ │ │ forward",
            "● │ │ [1] v1  ×1",
            "  ↓ │ forward",
            "  ● │ [2] v2  ×1",
            "    ↓ forward",
            "    ● [3] v3  ×1",
        ],
    ),
    "a crossing": (
        4,
        [(0, 3), (1, 2), (0, 2)],
        [
            "● [0] v0  ×1",
            "├─┐",
            "│ │ ● [1] v1  ×1",
            "│ ↓ │ forward",
            "│ │ ↓ forward",
            "│ ├─┘",
            "│ ● [2] v2  ×1",
            "↓ forward",
            "● [3] v3  ×1",
        ],
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_graph_is_drawn(name: str) -> None:
    count, edges, picture = PICTURES[name]
    assert drawn(count, edges) == picture


@given(st.data(), st.integers(1, 12))
def test_every_vertex_and_edge_of_any_graph_is_drawn_once(data: st.DataObject, count: int) -> None:
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = data.draw(st.lists(st.sampled_from(pairs), max_size=20)) if pairs else []
    lines = draw(graph(count, edges), {})
    assert sum("●" in line.lanes for line in lines) == count
    assert sum("↓" in line.lanes for line in lines) == len(edges)
    assert all(line.lanes.count("●") + line.lanes.count("↓") <= 1 for line in lines)
    widest = max(len(line.lanes) for line in lines)
    assert widest <= 2 * (len(edges) + count)
