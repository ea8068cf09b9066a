"""What is watched: which kinds, with which labels, and in which namespaces.

Data only. Kinds that are seldom edited by hand are not watched but listed now and then (surveying.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flowjob_operator.process.cluster.api import Resource
from flowjob_operator.process.cluster.kinds import (
    BUDGETS,
    CONFIGMAPS,
    DEPLOYMENTS,
    FLOWJOBS,
    FLOWSNAPSHOTS,
    JOBS,
    NETWORK_POLICIES,
    PODS,
    REVISIONS,
    SERVICES,
    STATEFUL_SETS,
)

OURS: Final = "app.kubernetes.io/name=flowjob"
"""Label of everything that belongs to a job, and of the ConfigMap with a namespace's defaults."""

SUBJECTS: Final = (FLOWJOBS, FLOWSNAPSHOTS)
WATCHED: Final = (
    *SUBJECTS,
    PODS,
    DEPLOYMENTS,
    STATEFUL_SETS,
    JOBS,
    SERVICES,
    CONFIGMAPS,
    REVISIONS,
)
LISTED: Final = (BUDGETS, NETWORK_POLICIES)

DEFAULTS_CONFIGMAP: Final = "flowjob-defaults"
"""Of a namespace, with the label OURS: paths in the spec, and values."""


@dataclass(frozen=True, slots=True)
class Selection:
    """`labels` of FlowJobs and FlowSnapshots, as `kubectl -l`; empty: all of them."""

    labels: str = ""

    def of(self, resource: Resource) -> str:
        return self.labels if resource in SUBJECTS else OURS
