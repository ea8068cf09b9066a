"""What the chart gives Prometheus and Grafana: alerts about metrics that exist, monitors that find pods, dashboards."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from flowjob_operator.rendering.naming import JM_PORTS, JOB_LABEL, TM_PORTS, labels
from tests.chart.rendering import CHART, case, objects, pick, text
from tests.telemetry.expressions import OF_TARGETS, complaints

pytestmark = pytest.mark.helm


def alerts(values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    rendered = text({"prometheusRule": {"create": True, **(values or {})}})
    rule = pick(objects(rendered), "PrometheusRule")
    return [alert for group in rule["spec"]["groups"] for alert in group["rules"]]


def test_alerts_are_about_metrics_and_labels_that_exist() -> None:
    assert len(alerts()) >= 9
    for alert in alerts():
        assert complaints(alert["expr"]) == [], alert["alert"]


def test_what_an_alert_says_names_labels_that_its_expression_leaves() -> None:
    for alert in alerts():
        by = " ".join(re.findall(r"by \(([^)]*)\)", alert["expr"]))
        said = alert["annotations"]["summary"] + alert["annotations"]["description"]
        for label in re.findall(r"\$labels\.(\w+)", said):
            assert label in by.replace(",", " ").split(), alert["alert"]


def test_alerts_have_names_of_their_own_and_the_labels_that_are_wanted() -> None:
    found = alerts({"alertLabels": {"severity": "page", "team": "streams"}})
    assert len({alert["alert"] for alert in found}) == len(found)
    for alert in found:
        assert alert["labels"] == {"severity": "page", "team": "streams"}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("checkpointAgeSeconds", 77),
        ("lagSeconds", 77),
        ("restarts", 77),
        ("backpressureShare", 0.77),
    ],
)
def test_thresholds_can_be_set(setting: str, value: float) -> None:
    usual = {alert["expr"] for alert in alerts()}
    (changed,) = {alert["expr"] for alert in alerts({setting: value})} - usual
    assert str(value) in changed


def test_the_pod_monitor_finds_pods_of_jobs_and_names_their_job() -> None:
    monitor = pick(objects(case("production")), "PodMonitor")["spec"]
    selector = monitor["selector"]
    for component in ("jobmanager", "taskmanager"):
        found = labels("flights", component)
        assert selector["matchLabels"].items() <= found.items()
        for wanted in selector["matchExpressions"]:
            assert wanted["key"] in found
            assert found[wanted["key"]] in wanted.get("values", [found[wanted["key"]]])
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in JM_PORTS.keys() & TM_PORTS.keys()
    renamed = {r["targetLabel"]: r["sourceLabels"] for r in endpoint["relabelings"]}
    assert renamed["flowjob"] == ["__meta_kubernetes_pod_label_" + re.sub(r"[./-]", "_", JOB_LABEL)]
    assert renamed.keys() <= OF_TARGETS
    assert monitor["namespaceSelector"] == {"any": True}


def test_it_looks_where_the_operator_does() -> None:
    monitor = pick(objects(case("namespaces")), "PodMonitor")["spec"]
    assert monitor["namespaceSelector"] == {"matchNames": ["platform", "team-a", "team-b"]}


def test_dashboards_arrive_as_they_are_for_grafana_s_sidecar() -> None:
    found = pick(objects(case("production")), "ConfigMap", "flowjob-dashboards")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"]["grafana_folder"] == "flowjob"
    assert found["metadata"]["namespace"] == "monitoring"
    files = {path.name: path for path in (CHART / "dashboards").glob("*.json")}
    assert found["data"].keys() == files.keys()
    for name, file in files.items():
        assert json.loads(found["data"][name]) == json.loads(file.read_text())
    assert sum(len(each) for each in found["data"].values()) < 500_000  # of 1 MiB


def test_every_alert_is_documented_and_no_other() -> None:
    page = (CHART.parent.parent / "docs/installing.md").read_text()
    documented = re.findall(r"^\| `(FlowJob\w+)` \|", page, re.M)
    assert sorted(documented) == sorted(alert["alert"] for alert in alerts())
