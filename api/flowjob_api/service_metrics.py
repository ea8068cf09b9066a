"""This service's own metrics, in a registry of their own: several applications in one process do not meet.

Labels are routes as they are declared, never paths as they are asked for: what clients send makes no series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class ServiceMetrics:
    """Names begin with `flowjob_api_`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "flowjob_api_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "flowjob_api_request_seconds",
            "Seconds from the request to the first byte of the answer",
            ["method", "route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.under_way = Gauge(
            "flowjob_api_requests_under_way", "Requests being answered", registry=self._registry
        )
        self.followers = Gauge(
            "flowjob_api_followers",
            "Clients that follow events or logs",
            registry=self._registry,
        )
        self.dropped = Counter(
            "flowjob_api_events_dropped",
            "Events that slow clients did not get",
            registry=self._registry,
        )
        self.writes = Counter(
            "flowjob_api_writes",
            "Writes asked for, by kind and by whether they were taken",
            ["kind", "result"],
            registry=self._registry,
        )
        self.upstream = Histogram(
            "flowjob_api_upstream_seconds",
            "Seconds that JobManagers and Kubernetes took to answer",
            ["to", "result"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.reviews = Counter(
            "flowjob_api_reviews",
            "Tokens and rights looked up, by whether the answer was remembered",
            ["kind", "remembered"],
            registry=self._registry,
        )

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
