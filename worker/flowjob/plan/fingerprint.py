"""The digest of a job graph: how two processes see that they have built the same job.

A hash of the printed graph, so that a difference can be shown to a person as a difference of text."""

from __future__ import annotations

import hashlib

from flowjob.plan.explain import job_graph_text
from flowjob.plan.job_graph import JobGraph


def digest(graph: JobGraph) -> str:
    """Equal exactly when the printed graphs are equal."""
    return hashlib.sha256(job_graph_text(graph).encode()).hexdigest()
