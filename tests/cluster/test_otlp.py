"""OpenTelemetry: what /metrics shows reaches a receiver over OTLP/HTTP, and nothing is imported where nobody asks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flowjob.cluster.job_history import CheckpointFacts
from flowjob.cluster.metrics import Family
from flowjob.cluster.otlp import Exporter, Wanted, wanted
from flowjob.cluster.remembered_metrics import of_latencies
from flowjob.core.durations import COUNTS
from flowjob.runtime.real import sending_otlp
from tests.telemetry.table import of_jobmanager, rows

NOW = 1_767_225_620_000_000
BOTH = Wanted(metrics=True, spans=True, interval=60.0)


@contextmanager
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, bytes]]]:
    """(path, body) of every request that it got."""
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        yield got
        server.shutdown()
        serving.join()


def metrics_of(got: list[tuple[str, bytes]]) -> tuple[dict[str, Any], dict[str, str]]:
    """By name, and attributes of the resource."""
    (body,) = [body for path, body in got if path == "/v1/metrics"]
    (found,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
    attributes = {a.key: a.value.string_value for a in found.resource.attributes}
    return {m.name: m for scope in found.scope_metrics for m in scope.metrics}, attributes


def exporter() -> Exporter:
    made = Exporter("jobmanager", {"flowjob.job": "orders"}, NOW)
    made.open(BOTH)
    return made


def test_all_of_the_table_arrives_under_the_same_names_and_kinds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}
    with receiver(monkeypatch) as got:
        sending = exporter()
        sending.send(of_jobmanager(), (), NOW + 1)
        sending.close()
    found, attributes = metrics_of(got)
    assert {name: metric.WhichOneof("data") for name, metric in found.items()} == {
        row.name: kinds[row.kind] for row in rows()["JobManager"]
    }
    assert (attributes["service.name"], attributes["flowjob.job"]) == (
        "flowjob-jobmanager",
        "orders",
    )


def test_values_labels_and_buckets_are_those_of_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Family("flowjob_x", "counter", "X.", ("vertex",), {("a",): 7.0})
    totals = {(0, 1): [0] * 6 + [3] + [0] * (COUNTS - 8) + [2] + [9_000_000]}
    with receiver(monkeypatch) as got:
        sending = exporter()
        sending.send([counted, *of_latencies(totals, ["read", "write"])], (), NOW + 1)
        sending.close()
    found, _ = metrics_of(got)
    (point,) = found["flowjob_x_total"].sum.data_points
    assert found["flowjob_x_total"].sum.is_monotonic
    assert (point.as_double, point.attributes[0].value.string_value) == (7.0, "a")
    assert (point.start_time_unix_nano, point.time_unix_nano) == (NOW * 1000, (NOW + 1) * 1000)
    (histogram,) = found["flowjob_latency_seconds"].histogram.data_points
    assert (histogram.count, histogram.sum) == (5, 9.0)
    assert dict(zip(histogram.explicit_bounds, histogram.bucket_counts))[0.002] == 3
    assert histogram.bucket_counts[-1] == 2
    assert not histogram.HasField("min")


def checkpoint(id: int, status: Any, ended: str | None) -> CheckpointFacts:
    began = "2026-01-01T00:00:00.000Z"
    return CheckpointFacts(
        id=id, kind="Checkpoint", status=status, triggered_at=began, ended_at=ended,
        duration_ms=250.0, reason="no" if status == "Failed" else None, sync_ms=3.0,
    )  # fmt: skip


def test_each_checkpoint_that_is_over_is_a_span_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = checkpoint(1, "Completed", "2026-01-01T00:00:01.000Z")
    second = checkpoint(2, "Failed", "2026-01-01T00:00:02.000Z")
    with receiver(monkeypatch) as got:
        sending = exporter()
        sending.send((), [checkpoint(2, "Pending", None), first], NOW)
        sending.send((), [second, first], NOW)
        sending.send((), [second, first], NOW)
        sending.close()
    bodies = [ExportTraceServiceRequest.FromString(b) for p, b in got if p == "/v1/traces"]
    spans = [s for b in bodies for r in b.resource_spans for x in r.scope_spans for s in x.spans]
    numbers = [
        a.value.int_value for s in spans for a in s.attributes if a.key == "flowjob.checkpoint"
    ]
    assert numbers == [1, 2]
    assert [s.end_time_unix_nano - s.start_time_unix_nano for s in spans] == [250_000_000] * 2
    assert (spans[1].status.code, spans[1].status.message) == (2, "no")


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, Wanted(True, True, 60.0)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, Wanted(True, False, 60.0)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, Wanted(False, True, 60.0)),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, Wanted(True, False, 60.0)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_METRICS_EXPORTER": "none"}, Wanted(False, True, 60.0)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "zipkin"}, Wanted(True, False, 60.0)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "5000"}, Wanted(True, False, 5.0)),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "x"}, Wanted(True, False, 60.0)),
    ],
)  # fmt: skip
def test_the_environment_says_what_is_sent(environment: dict[str, str], found: Any) -> None:
    assert wanted(environment) == found


def test_what_the_environment_says_of_the_resource_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    with receiver(monkeypatch) as got:
        sending = exporter()
        sending.send((), (), NOW)
        sending.close()
    assert metrics_of(got)[1]["service.name"] == "mine"


@pytest.mark.parametrize("moment", ["before it is open", "while it waits"])
def test_the_last_figures_are_sent_when_a_process_ends(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    async def end_at_once() -> None:
        sending = asyncio.ensure_future(sending_otlp.send_otlp("taskmanager", {}, lambda: ((), ())))
        await reached.wait()
        sending.cancel()
        ended.set()
        await asyncio.gather(sending, return_exceptions=True)

    monkeypatch.setattr(sending_otlp, "LAST_WITHIN", 60.0)
    reached, ended = asyncio.Event(), threading.Event()
    open_it, sleep = sending_otlp._opened, asyncio.sleep

    def open_late(*arguments: Any) -> Exporter:
        loop.call_soon_threadsafe(reached.set)
        assert ended.wait(60)
        return open_it(*arguments)

    async def tell_and_sleep(seconds: float) -> None:
        reached.set()
        await sleep(seconds)

    if moment == "while it waits":
        monkeypatch.setattr(asyncio, "sleep", tell_and_sleep)
    else:
        monkeypatch.setattr(sending_otlp, "_opened", open_late)
    with receiver(monkeypatch) as got, asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(end_at_once())
    assert metrics_of(got)[1]["service.name"] == "flowjob-taskmanager"


def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
    asyncio.run(sending_otlp.send_otlp("jobmanager", {}, lambda: ((), ())))
    assert "install flowjob[otel]" in caplog.text


def test_nothing_of_opentelemetry_is_imported_where_nobody_asks() -> None:
    program = (
        "import asyncio, json, os, sys\n"
        "[os.environ.pop(n) for n in list(os.environ) if n.startswith('OTEL_')]\n"
        "import flowjob.cli.cluster_services, flowjob.runtime.real.sending_otlp as s\n"
        "import flowjob.runtime.real.taskmanager_process\n"
        "asyncio.run(s.send_otlp('jobmanager', {}, lambda: ((), ())))\n"
        "print(json.dumps([n for n in sys.modules if n.startswith('opentelemetry')]))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(said.stdout) == []
