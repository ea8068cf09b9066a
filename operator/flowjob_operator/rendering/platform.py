"""What rendering must know of the installation: who may reach the pods of jobs, and what pods may fetch.

Given by the chart, through the operator's settings. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """namespace         the operator's own
    operator_labels   of the operator's pods: they may ask JobManagers
    service_labels    of the REST service's pods, in the same namespace: so may they
    network_policies  whether jobs get any
    prometheus        who may read metrics: peers as in a NetworkPolicy
    egress            rules as in a NetworkPolicy, for what pods may reach; None: everything
    """

    namespace: str = "flowjob"
    operator_labels: Mapping[str, str] = field(
        default_factory=lambda: {"app.kubernetes.io/name": "flowjob-operator"}
    )
    service_labels: Mapping[str, str] = field(
        default_factory=lambda: {"app.kubernetes.io/name": "flowjob-service"}
    )
    network_policies: bool = True
    prometheus: tuple[Mapping[str, Any], ...] = ()
    egress: tuple[Mapping[str, Any], ...] | None = None
