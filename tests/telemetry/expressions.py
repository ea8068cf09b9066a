"""Expressions of alerts and dashboards, read as Prometheus reads them: which metrics and labels they use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser

from tests.telemetry.table import rows

OF_TARGETS = {"namespace", "flowjob", "pod", "component"}
"""Labels that Prometheus adds, as the chart's monitors tell it."""

LABELS: dict[str, set[str]] = {
    name: {*row.labels, *(("le",) if name.endswith("_bucket") else ())}
    for section in rows().values()
    for row in section
    for name in row.series
}
KINDS = {name: row.kind for each in rows().values() for row in each for name in row.series}

_VARIABLES = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$namespace": "n",
    "$flowjob": "j",
    "$vertex": "v",
}


def filled_in(expression: str) -> str:
    """With values in place of Grafana's variables."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def complaints(expression: str) -> list[str]:
    """What is wrong with it. Raises ValueError where Prometheus would not take it."""
    tree = promql_parser.parse(filled_in(expression))
    found = []
    names = set()
    for selector in selectors(tree):
        name = selector.name
        names.add(name)
        if name not in LABELS:
            found.append(f"there is no metric {name}")
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in LABELS[name] | OF_TARGETS:
                found.append(f"{name} has no label {matcher.name}")
    known = set[str]().union(*(LABELS.get(name, set()) for name in names)) | OF_TARGETS
    found += [f"no metric has the label {label}" for label in groupings(expression) - known]
    found += [
        f"{name} is a gauge: rate says nothing of it"
        for name in rated(tree)
        if KINDS.get(name) == "gauge"
    ]
    found += [
        f"{name} only grows: take its rate"
        for name in names - rated(tree)
        if KINDS.get(name) in ("counter", "histogram")
    ]
    return found


def selectors(tree: Any) -> Iterator[Any]:
    """All in it."""
    match type(tree).__name__:
        case "VectorSelector":
            yield tree
        case "MatrixSelector":
            yield tree.vector_selector
        case "BinaryExpr":
            yield from selectors(tree.lhs)
            yield from selectors(tree.rhs)
        case "Call":
            for argument in tree.args:
                yield from selectors(argument)
        case "AggregateExpr" | "ParenExpr" | "SubqueryExpr" | "UnaryExpr":
            yield from selectors(tree.expr)
        case "NumberLiteral" | "StringLiteral":
            return
        case other:
            raise TypeError(other)


def rated(tree: Any) -> set[str]:
    """Metrics of which a rate is taken."""
    match type(tree).__name__:
        case "Call" if tree.func.name in ("rate", "increase"):
            return {s.name for argument in tree.args for s in selectors(argument)}
        case "Call":
            return set[str]().union(*(rated(argument) for argument in tree.args))
        case "BinaryExpr":
            return rated(tree.lhs) | rated(tree.rhs)
        case "AggregateExpr" | "ParenExpr" | "SubqueryExpr" | "UnaryExpr":
            return rated(tree.expr)
    return set()


def groupings(expression: str) -> set[str]:
    """Labels of all `by (…)`."""
    found = re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", expression)
    return {label.strip() for labels in found for label in labels.split(",")}
