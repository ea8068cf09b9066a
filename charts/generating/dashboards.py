"""Grafana's dashboards of the chart: one for a job, one for the operator and the service.

Panels are said here as title, unit and expressions; JSON is made of them, so that all look alike. Pure. tests/chart
holds every expression against the metrics that the code registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
HEIGHT: Final = 8
SMALL: Final = 4

JOB: Final = 'namespace="$namespace", flowjob="$flowjob"'
VERTEX: Final = f'{JOB}, vertex=~"$vertex"'


@dataclass(frozen=True)
class Panel:
    """`queries`: expression and legend of each. `kind`: of Grafana's."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str = ""
    kind: str = "timeseries"
    width: int = 8


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def stat(title: str, unit: str, expression: str, legend: str = "", about: str = "") -> Panel:
    """A figure, now."""
    return Panel(title, unit, ((expression, legend),), about, "stat", 4)


def per_second(metric: str, labels: str = VERTEX, by: str = "vertex") -> tuple[str, str]:
    """Of a counter."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))", f"{{{{{by}}}}}"


def share(metric: str) -> tuple[str, str]:
    """Of the time of all subtasks of a vertex."""
    time, legend = per_second(metric)
    return f"{time} / max by (vertex) (flowjob_vertex_parallelism{{{VERTEX}}})", legend


def worst(metric: str, labels: str = VERTEX, by: str = "vertex") -> tuple[str, str]:
    """Of a gauge."""
    return f"max by ({by}) ({metric}{{{labels}}})", f"{{{{{by}}}}}"


def total(metric: str) -> tuple[str, str]:
    """Of a gauge, over the subtasks of a vertex."""
    return f"sum by (vertex) ({metric}{{{VERTEX}}})", "{{vertex}}"


def quantile(metric: str, by: str, of: float = 0.99, labels: str = "") -> tuple[str, str]:
    """Of a histogram."""
    rate = f"rate({metric}_bucket{{{labels}}}[$__rate_interval])"
    return f"histogram_quantile({of}, sum by (le, {by}) ({rate}))", f"{{{{{by}}}}}"


def _figures() -> Row:
    return Row(
        "The job",
        (
            stat("State", "none", f"max by (state) (flowjob_job_state{{{JOB}}}) == 1", "{{state}}"),
            stat("Event time behind the clock", "s", f"max(flowjob_vertex_watermark_lag_seconds{{{JOB}}})"),
            stat("Age of the newest checkpoint", "s", f"min(flowjob_checkpoint_age_seconds{{{JOB}}})"),
            stat("Restarts", "none", f"max(increase(flowjob_restarts_total{{{JOB}}}[$__range]))"),
            stat("Failures", "none", f"max(increase(flowjob_exceptions_total{{{JOB}}}[$__range]))"),
            stat("TaskManagers", "none", f"max(flowjob_taskmanagers{{{JOB}}})"),
        ),
    )  # fmt: skip


def _flow() -> Row:
    return Row(
        "Rows",
        (
            Panel("Rows in", "rowsps", (per_second("flowjob_vertex_rows_in_total"),)),
            Panel("Rows out", "rowsps", (per_second("flowjob_vertex_rows_out_total"),)),
            Panel(
                "Rows that were left out",
                "rowsps",
                (
                    (per_second("flowjob_vertex_late_rows_total")[0], "{{vertex}} late"),
                    (per_second("flowjob_vertex_bad_rows_total")[0], "{{vertex}} bad"),
                ),
                "Too late for their window, or not readable.",
            ),
            Panel("Bytes in", "Bps", (per_second("flowjob_vertex_bytes_in_total"),)),
            Panel("Bytes out", "Bps", (per_second("flowjob_vertex_bytes_out_total"),)),
            Panel(
                "Rows per batch",
                "none",
                (
                    (
                        f"{per_second('flowjob_vertex_rows_out_total')[0]} / "
                        f"{per_second('flowjob_vertex_batches_out_total')[0]}",
                        "{{vertex}}",
                    ),
                ),
                "Few rows in a batch are much work for each.",
            ),
        ),
    )


def _load() -> Row:
    return Row(
        "Load",
        (
            Panel(
                "Busy",
                "percentunit",
                (share("flowjob_vertex_busy_seconds_total"),),
                "Share of the time of all subtasks. The busiest vertex is the bottleneck.",
            ),
            Panel(
                "Back-pressured",
                "percentunit",
                (share("flowjob_vertex_backpressured_seconds_total"),),
                "Held back by those behind: look for the first vertex behind it that is busy.",
            ),
            Panel("Idle", "percentunit", (share("flowjob_vertex_idle_seconds_total"),)),
            Panel("Busiest subtask", "percentunit", (worst("flowjob_vertex_busiest_share"),)),
            Panel(
                "Skew",
                "none",
                (worst("flowjob_vertex_skew_ratio"),),
                "Rows of the subtask with most, by the mean. 1: all alike.",
            ),
            Panel(
                "Bytes on their way",
                "bytes",
                (
                    (total("flowjob_vertex_queued_bytes")[0], "{{vertex}} waits"),
                    (total("flowjob_vertex_buffered_bytes")[0], "{{vertex}} is to leave"),
                ),
            ),
        ),
    )


def _time() -> Row:
    return Row(
        "Event time and sources",
        (
            Panel(
                "Event time behind the clock", "s", (worst("flowjob_vertex_watermark_lag_seconds"),)
            ),
            Panel(
                "Not read yet",
                "none",
                (
                    (worst("flowjob_source_lag_rows")[0], "{{vertex}} rows"),
                    (worst("flowjob_source_splits_waiting")[0], "{{vertex}} splits"),
                ),
            ),
            Panel("Bytes not read yet", "bytes", (worst("flowjob_source_lag_bytes"),)),
        ),
    )


def _checkpoints() -> Row:
    return Row(
        "Checkpoints",
        (
            Panel(
                "How long they take",
                "s",
                (
                    (f"max(flowjob_checkpoint_duration_seconds{{{JOB}}})", "all"),
                    worst("flowjob_checkpoint_phase_seconds", JOB, "phase"),
                ),
            ),
            Panel(
                "Size",
                "bytes",
                (
                    (f"max(flowjob_checkpoint_size_bytes{{{JOB}}})", "all"),
                    (f"max(flowjob_checkpoint_in_flight_bytes{{{JOB}}})", "overtaken rows"),
                ),
            ),
            Panel("State", "bytes", (worst("flowjob_vertex_state_bytes"),)),
            Panel("Age of the newest", "s", ((f"min(flowjob_checkpoint_age_seconds{{{JOB}}})", ""),)),
            Panel(
                "How they end",
                "none",
                (
                    (f"max(increase(flowjob_checkpoints_total{{{JOB}}}[$__rate_interval]))", "completed"),
                    (f"max(increase(flowjob_checkpoints_failed_total{{{JOB}}}[$__rate_interval]))", "failed"),
                    (f"max(increase(flowjob_checkpoints_aborted_total{{{JOB}}}[$__rate_interval]))", "called off"),
                ),
            ),
            Panel(
                "Slots",
                "none",
                (
                    (f"max(flowjob_slots_needed{{{JOB}}})", "needed"),
                    (f"max(flowjob_slots_offered{{{JOB}}})", "offered"),
                ),
            ),
        ),
    )  # fmt: skip


def _operator() -> Row:
    fails, of_api = (
        "flowjob_operator_reconcile_errors_total",
        "flowjob_operator_api_request_seconds",
    )
    of_jobmanagers = "flowjob_operator_jobmanager_request_seconds"
    return Row(
        "Operator",
        (
            Panel("FlowJobs", "none", (worst("flowjob_operator_flowjobs", "", "phase"),)),
            Panel(
                "Oldest checkpoints",
                "s",
                (
                    (
                        "topk(10, max by (namespace, name) (flowjob_operator_checkpoint_age_seconds))",
                        "{{namespace}}/{{name}}",
                    ),
                ),
            ),
            Panel("Who leads", "none", (("flowjob_operator_leader", "{{pod}}"),)),
            Panel(
                "Looks that failed",
                "none",
                ((f"sum by (kind, cause) (increase({fails}[$__rate_interval]))", "{{kind}} {{cause}}"),),
            ),
            Panel("Duration of a look, p99", "s", (quantile("flowjob_operator_reconcile_seconds", "kind"),)),
            Panel("Wait for a turn, p99", "s", (quantile("flowjob_operator_queue_wait_seconds", "kind"),)),
            Panel("Operations on jobs, p95", "s", (quantile("flowjob_operator_operation_seconds", "type", 0.95),)),
            Panel("Requests to the API server, p99", "s", (quantile(of_api, "resource"),)),
            Panel("Requests to JobManagers, p99", "s", (quantile(of_jobmanagers, "result"),)),
            Panel("Memory of what is watched", "bytes", (("max(flowjob_operator_watched_bytes)", ""),)),
            Panel("What was done", "ops", (per_second("flowjob_operator_actions_total", "", "action"),)),
            Panel(
                "Namespaces left alone",
                "none",
                (
                    ("max(flowjob_operator_denied_namespaces)", "permissions are lacking"),
                    ("max(flowjob_operator_foreign_namespaces)", "another installation's"),
                ),
            ),
        ),
    )  # fmt: skip


def _service() -> Row:
    return Row(
        "Service",
        (
            Panel("Requests", "reqps", (per_second("flowjob_api_requests_total", "", "status"),)),
            Panel("Duration, p99", "s", (quantile("flowjob_api_request_seconds", "route"),)),
            Panel("Others' answers, p99", "s", (quantile("flowjob_api_upstream_seconds", "to"),)),
            Panel("Writes", "reqps", (per_second("flowjob_api_writes_total", "", "kind"),)),
            Panel(
                "Clients",
                "none",
                (
                    ("sum(flowjob_api_followers)", "follow"),
                    ("sum(flowjob_api_requests_under_way)", "wait"),
                ),
            ),
            Panel(
                "Events that slow clients did not get",
                "ops",
                (("sum(rate(flowjob_api_events_dropped_total[$__rate_interval]))", ""),),
            ),
        ),
    )


def dashboards() -> dict[str, Json]:
    """By name of the file."""
    of_job = (_figures(), _flow(), _load(), _time(), _checkpoints())
    variables = [
        _variable("namespace", "label_values(flowjob_leader, namespace)"),
        _variable("flowjob", 'label_values(flowjob_leader{namespace="$namespace"}, flowjob)'),
        _variable("vertex", f"label_values(flowjob_vertex_parallelism{{{JOB}}}, vertex)", several=True),
    ]  # fmt: skip
    return {
        "flowjob-job.json": _dashboard("flowjob-job", "flowjob / job", of_job, variables),
        "flowjob-installation.json": _dashboard(
            "flowjob-installation", "flowjob / installation", (_operator(), _service()), []
        ),
    }


def _dashboard(uid: str, title: str, rows: tuple[Row, ...], variables: list[Json]) -> Json:
    source = {
        "name": "datasource",
        "type": "datasource",
        "query": "prometheus",
        "label": "data source",
    }
    return {
        "uid": uid,
        "title": title,
        "tags": ["flowjob"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "annotations": {"list": []},
        "panels": _laid_out(rows),
    }


def _variable(name: str, query: str, *, several: bool = False) -> Json:
    everything = {"includeAll": True, "multi": True, "allValue": ".*"} if several else {}
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        **everything,
    }


def _laid_out(rows: tuple[Row, ...]) -> list[Json]:
    """Panels from left to right, with their places."""
    found: list[Json] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        found.append(
            {
                "id": len(found) + 1,
                "type": "row",
                "title": row.title,
                "gridPos": place,
                "panels": [],
            }
        )
        y += 1
        x = 0
        for panel in row.panels:
            height = SMALL if panel.kind == "stat" else HEIGHT
            if x + panel.width > COLUMNS:
                x, y = 0, y + height
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            found.append(_panel(panel, len(found) + 1, place))
            x += panel.width
        y += height
    return found


def _panel(panel: Panel, id: int, place: Json) -> Json:
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend,
            **({"instant": True} if panel.kind == "stat" else {}),
        }
        for i, (expression, legend) in enumerate(panel.queries)
    ]
    options: Json = {"legend": {"displayMode": "list", "placement": "bottom"}}
    if panel.kind == "stat":
        mode = "name" if panel.title == "State" else "auto"
        options = {"textMode": mode, "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, **({"min": 0} if panel.kind == "timeseries" else {})},
            "overrides": [],
        },
        "options": options,
        "targets": targets,
    }
