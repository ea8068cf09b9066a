"""OpenTelemetry: what /metrics shows, and checkpoints as spans, sent over OTLP/HTTP where the environment asks for it.

By the official SDK, which reads its own OTEL_* variables (where to, headers, certificates, resource). It is imported
when it is asked for, and never else. What cannot be sent is logged by it, and dropped: a job must not wait for who
watches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flowjob.cluster.job_history import CheckpointFacts
from flowjob.cluster.metrics import Family

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

MILLIS = 60_000
"""Between two exports, unless OTEL_METRIC_EXPORT_INTERVAL says otherwise."""

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SCOPE = "flowjob"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be sent, and how often (seconds)."""

    metrics: bool
    spans: bool
    interval: float


def wanted(environment: Mapping[str, str]) -> Wanted | None:
    """What the OTEL_* variables ask for: a signal is sent where its exporter is `otlp`, or where there is an endpoint
    for it and no other exporter. None: nothing is."""

    def sends(signal: str) -> bool:
        chosen = environment.get(f"OTEL_{signal}_EXPORTER", "")
        own = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
        return chosen == "otlp" or (
            not chosen and bool(environment.get(_ENDPOINT) or environment.get(own))
        )

    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    metrics, spans = sends("METRICS"), sends("TRACES")
    if not metrics and not spans:
        return None
    try:
        millis = float(environment.get("OTEL_METRIC_EXPORT_INTERVAL") or MILLIS)
    except ValueError:
        millis = MILLIS
    return Wanted(metrics, spans, max(millis, 100.0) / 1e3)


class Exporter:
    """Sends what it is given; blocking. Raises ModuleNotFoundError, with what to install, where the SDK is missing.

    process   `jobmanager` or `taskmanager`; `attributes`: of the process, what the environment says wins
    """

    def __init__(self, process: str, attributes: Mapping[str, str], now: int) -> None:
        self._began = now
        self._ended = ""
        self._resource = _resource(process, attributes)
        self._metrics: Any = None
        self._spans: Any = None

    def open(self, wanted: Wanted) -> None:
        """Makes the exporters that are wanted; nothing is connected yet."""
        if wanted.metrics:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            self._metrics = OTLPMetricExporter()
        if wanted.spans:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            self._spans = OTLPSpanExporter()

    def send(
        self, families: Iterable[Family], checkpoints: Sequence[CheckpointFacts], now: int
    ) -> None:
        """`checkpoints`: all that are remembered; each that is over is sent once. `now`: µs UTC."""
        if self._metrics is not None:
            self._metrics.export(self._data(families, now * 1000))
        if self._spans is not None:
            over = [c for c in checkpoints if c.ended_at is not None and c.ended_at > self._ended]
            if over:
                self._ended = max(c.ended_at or "" for c in over)
                self._spans.export([span_of(c, self._resource) for c in over])

    def close(self) -> None:
        for exporter in (self._metrics, self._spans):
            if exporter is not None:
                exporter.shutdown()

    def _data(self, families: Iterable[Family], now: int) -> Any:
        from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        found = [metric_of(family, self._began * 1000, now) for family in families]
        scope = ScopeMetrics(InstrumentationScope(_SCOPE), found, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])


def _resource(process: str, attributes: Mapping[str, str]) -> Resource:
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "OTEL_* variables ask for OpenTelemetry, which is not installed: install flowjob[otel], or set "
            "OTEL_SDK_DISABLED=true"
        ) from error
    ours = Resource({"service.name": f"flowjob-{process}", **attributes})
    return ours.merge(OTELResourceDetector().detect())


def metric_of(family: Family, began: int, now: int) -> Metric:
    """As /metrics tells it, under the same name. Times in ns."""
    from opentelemetry.sdk.metrics import export as sdk

    def labels(values: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(family.labels, values))

    data: Any
    if family.kind == "histogram":
        points = [
            _points(labels(key), found, began, now) for key, found in family.histograms.items()
        ]
        data = sdk.Histogram(points, sdk.AggregationTemporality.CUMULATIVE)
    else:
        numbers = [
            sdk.NumberDataPoint(labels(key), began, now, value)
            for key, value in family.samples.items()
        ]
        if family.kind == "counter":
            data = sdk.Sum(numbers, sdk.AggregationTemporality.CUMULATIVE, is_monotonic=True)
        else:
            data = sdk.Gauge(numbers)
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    return sdk.Metric(name, family.text, "", data)


def _points(labels: Mapping[str, str], found: Any, began: int, now: int) -> Any:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint

    buckets, total = found
    upto = [int(count) for _, count in buckets]
    each = [after - before for before, after in zip([0, *upto], upto)]
    bounds = [float(bound) for bound, _ in buckets[:-1]]
    unknown: Any = None  # the least and the most: nobody has kept them
    return HistogramDataPoint(
        labels, began, now, upto[-1], total, each, bounds, min=unknown, max=unknown
    )


def span_of(checkpoint: CheckpointFacts, resource: Resource) -> ReadableSpan:
    """A trace of its own, from the trigger to the end."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    made = RandomIdGenerator()
    sampled = TraceFlags(TraceFlags.SAMPLED)
    began = int(datetime.fromisoformat(checkpoint.triggered_at).timestamp() * 1e9)
    failed = checkpoint.status == "Failed"
    attributes: dict[str, str | int | float | bool] = {
        "flowjob.checkpoint": checkpoint.id,
        "flowjob.kind": checkpoint.kind,
        "flowjob.status": checkpoint.status,
        "flowjob.bytes": checkpoint.bytes,
        "flowjob.attempt": checkpoint.attempt,
        "flowjob.unaligned": checkpoint.unaligned,
    }
    for name in ("alignment", "sync", "async", "acknowledge", "store"):
        value = getattr(checkpoint, f"{name}_ms")
        if value is not None:
            attributes[f"flowjob.{name}_ms"] = value
    return ReadableSpan(
        "savepoint" if checkpoint.savepoint else "checkpoint",
        SpanContext(made.generate_trace_id(), made.generate_span_id(), False, sampled),
        resource=resource,
        attributes=attributes,
        status=Status(StatusCode.ERROR, checkpoint.reason) if failed else Status(StatusCode.UNSET),
        start_time=began,
        end_time=began + int(checkpoint.duration_ms * 1e6),
        instrumentation_scope=InstrumentationScope(_SCOPE),
    )
