"""What is counted over all jobs: how many are in which phase, how old their checkpoints are, how long operations took.

Fed with every status that was decided, so that metrics need no look at anything. Forgets jobs that are gone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flowjob_operator.process.clock import Clock
from flowjob_operator.process.telling.metrics import Metrics
from flowjob_operator.resources.conditions import Truth
from flowjob_operator.resources.flowjob_status import FlowJobStatus, Phase
from flowjob_operator.resources.job_spec import WantedState
from flowjob_operator.resources.kinds import FlowJob

ENDED: Final = frozenset({Phase.SUSPENDED, Phase.FINISHED, Phase.CANCELLED})


@dataclass(frozen=True, slots=True)
class _Fact:
    phase: str
    ready: bool
    checkpoint: datetime | None
    """When the newest was completed, of a job that should run"""


class Tallies:
    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._jobs: dict[tuple[str, str], _Fact] = {}

    def job(self, job: FlowJob, status: FlowJobStatus) -> None:
        before = job.status.operation
        if before is not None and (status.operation is None or status.operation.id != before.id):
            took = (self._clock.now() - before.started_at).total_seconds()
            result = (
                "failed" if status.refused is not None or status.phase == Phase.FAILED else "done"
            )
            self._metrics.operation_seconds.labels(before.type.value, result).observe(
                max(took, 0.0)
            )
        phase = status.phase.value if status.phase else "Pending"
        runs = job.spec.job.state == WantedState.RUNNING and status.phase not in ENDED
        ready = any(c.type == "Ready" and c.status == Truth.TRUE for c in status.conditions)
        newest = status.last_checkpoint_time
        if status.checkpoints and status.checkpoints.latest:
            newest = status.checkpoints.latest.completed_at or newest
        key = (job.metadata.namespace, job.metadata.name)
        self._jobs[key] = _Fact(phase, ready, newest if runs else None)

    def gone(self, namespace: str, name: str) -> None:
        self._jobs.pop((namespace, name), None)

    def refresh(self) -> None:
        """Sets the gauges."""
        phases = Counter(fact.phase for fact in self._jobs.values())
        for phase in Phase:
            self._metrics.jobs.labels(phase.value).set(phases.get(phase.value, 0))
        self._metrics.ready.set(sum(fact.ready for fact in self._jobs.values()))
        self._metrics.checkpoint_age.clear()
        now = self._clock.now()
        for (namespace, name), fact in self._jobs.items():
            if fact.checkpoint is not None:
                age = (now - fact.checkpoint).total_seconds()
                self._metrics.checkpoint_age.labels(namespace, name).set(max(age, 0.0))
