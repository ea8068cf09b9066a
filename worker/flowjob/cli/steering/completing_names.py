"""Names of jobs for the shell to complete: asked once, quickly, and in silence where nobody answers.

What has been typed of the options says whom to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjob.cli.steering.choosing import quickly
from flowjob.cli.steering.where import Where
from flowjob.errors import FlowjobError

MOST = 200
"""Names that are offered."""


def names_of_jobs(typed: Mapping[str, Any], incomplete: str) -> list[str]:
    """Those that begin so; with their namespace where one is being typed."""
    words = ("server", "service", "token_file", "ca_file", "context", "kubeconfig", "namespace")
    said: dict[str, Any] = {name: typed.get(name) for name in words}
    where = Where(**said)
    namespace, slash, _ = incomplete.rpartition("/")
    try:
        with quickly(where) as asked:
            found = asked.jobs(namespace=namespace or where.namespace)
            names = [f"{job.namespace}/{job.name}" if slash else job.name for job in found]
    except (FlowjobError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)][:MOST]
