"""Golden jobs whose sources pause before each read, so that even a short job has a middle to be killed in.

It must not know why somebody should wait."""

from __future__ import annotations

from dataclasses import replace

from flowjob.job import Job
from flowjob.plan.specs import SourceSpec
from flowjob.testing.simulation.pacing import PacedSource


def paced(job: Job, pause: float) -> Job:
    """The same program, whose sources take `pause` seconds for each read."""
    copy = Job(job.name, max_parallelism=job.max_parallelism)
    copy._builder.graph = job.graph
    for node in job.graph:
        spec = node.spec
        if isinstance(spec, SourceSpec):
            source = PacedSource.around(spec.source, pause)
            copy._builder.update(node.id, spec=replace(spec, source=source))
    return copy
