"""Grafana's dashboards load, and every expression in them is about metrics and labels that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.telemetry.expressions import OF_TARGETS, complaints
from tests.telemetry.table import rows

FOLDER = Path(__file__).parents[2] / "charts/flowjob/dashboards"
DASHBOARDS: dict[str, Any] = {p.name: json.loads(p.read_text()) for p in FOLDER.glob("*.json")}
TARGETS = [
    (f"{name}: {panel['title']} {target['refId']}", target)
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    for target in panel.get("targets", ())
]
each_dashboard = pytest.mark.parametrize("name", sorted(DASHBOARDS))


@pytest.mark.parametrize("target", [t for _, t in TARGETS], ids=[name for name, _ in TARGETS])
def test_expressions_refer_to_what_exists(target: dict[str, Any]) -> None:
    assert complaints(target["expr"]) == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("max(flowjob_restarts)", "no metric"),
        ("sum by (subtask) (flowjob_parallelism)", "no metric has the label subtask"),
        ('flowjob_job_state{phase="a"}', "has no label phase"),
        ("rate(flowjob_parallelism[1m])", "rate says nothing"),
        ("max(flowjob_restarts_total)", "take its rate"),
    ],
)
def test_what_is_wrong_with_an_expression_is_found(expression: str, words: str) -> None:
    assert any(words in complaint for complaint in complaints(expression))


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        complaints("sum by (vertex (flowjob_parallelism)")


@each_dashboard
def test_legends_name_labels_that_are_left(name: str) -> None:
    for panel in DASHBOARDS[name]["panels"]:
        for target in panel.get("targets", ()):
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                by = re.findall(r"\bby \(([^)]*)\)", target["expr"])
                assert (not by and label in OF_TARGETS) or any(
                    label in labels.split(", ") for labels in by
                ), target


@each_dashboard
def test_panels_do_not_overlap_and_lie_within_the_page(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@each_dashboard
def test_ids_differ_and_every_panel_asks_the_chosen_source(name: str) -> None:
    dashboard = DASHBOARDS[name]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    assert len({d["uid"] for d in DASHBOARDS.values()}) == len(DASHBOARDS)
    variables = {v["name"] for v in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard["panels"])))
    assert used <= variables | {"__rate_interval", "__range"}
    assert variables <= used | {"flowjob", "namespace", "datasource"}


def test_variables_are_filled_from_metrics_that_exist() -> None:
    known = {row.name: row for section in rows().values() for row in section}
    for dashboard in DASHBOARDS.values():
        for variable in dashboard["templating"]["list"][1:]:
            query = re.fullmatch(
                r"label_values\((\w+)(?:{.*})?, (\w+)\)", variable["query"]["query"]
            )
            assert query
            assert query[2] in {*known[query[1]].labels, *OF_TARGETS}


def test_every_figure_that_people_on_call_ask_for_is_shown() -> None:
    shown = " ".join(target["expr"] for _, target in TARGETS)
    for words in (
        *("rows_in", "bytes_in", "busy_seconds", "watermark_lag", "checkpoint_duration"),
        *("checkpoint_size", "restarts", "state_bytes", "source_lag", "backpressured"),
    ):
        assert words in shown
