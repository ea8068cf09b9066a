"""What the operator says of itself in numbers, for Prometheus.

Names and labels only; docs/operator.md lists them, and a test compares. Labels are bounded: never a job's name, but for
the age of its checkpoints, of which there is one series per job."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

PREFIX: Final = "flowjob_operator_"
SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LONG: Final = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class Metrics:
    """One process's; nothing of it is global."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.leader = self._gauge("leader", "1 if this replica leads.")
        self.reconcile_seconds = self._histogram(
            "reconcile_seconds", "Duration of one look at an object.", SECONDS, "kind", "result"
        )
        self.wait_seconds = self._histogram(
            "queue_wait_seconds", "From when an object was due until its turn.", SECONDS, "kind"
        )
        self.depth = self._gauge("queue_depth", "Objects that are due and wait for a turn.")
        self.at_work = self._gauge("queue_at_work", "Objects that are being worked on.")
        self.errors = self._counter("reconcile_errors", "Failed looks, by cause.", "kind", "cause")
        self.actions = self._counter("actions", "What was done.", "action", "result")
        self.jobs = self._gauge("flowjobs", "FlowJobs by phase.", "phase")
        self.ready = self._gauge("flowjobs_ready", "FlowJobs whose condition Ready is True.")
        self.checkpoint_age = self._gauge(
            "checkpoint_age_seconds",
            "Since the newest complete checkpoint of a job that should run.",
            "namespace",
            "name",
        )
        self.operation_seconds = self._histogram(
            "operation_seconds",
            "Operations on jobs, from first to last step.",
            LONG,
            "type",
            "result",
        )
        self.api_seconds = self._histogram(
            "api_request_seconds", "Requests to the API server.", SECONDS, "verb", "resource"
        )
        self.api_errors = self._counter(
            "api_request_errors", "Requests without success.", "verb", "resource", "status"
        )
        self.jobmanager_seconds = self._histogram(
            "jobmanager_request_seconds", "Requests to JobManagers.", SECONDS, "result"
        )
        self.objects = self._gauge("watched_objects", "Objects that are known.")
        self.object_bytes = self._gauge("watched_bytes", "Memory that they take.")
        self.watch_restarts = self._counter("watch_restarts", "Watches that were begun anew.")
        self.denied = self._gauge(
            "denied_namespaces", "Namespaces that permissions are lacking for."
        )
        self.foreign = self._gauge(
            "foreign_namespaces", "Namespaces that another installation looks after."
        )
        self.events = self._counter("events", "Kubernetes Events posted.", "type", "reason")

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, about, labels, registry=self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, about, labels, registry=self.registry)

    def _histogram(
        self, name: str, about: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(PREFIX + name, about, labels, buckets=buckets, registry=self.registry)
