"""The kinds that the operator deals with, as the API names them.

Only names: what is allowed to be done with each is permissions.py, what is remembered of each mirror.py."""

from __future__ import annotations

from typing import Final

from flowjob_operator.process.cluster.api import Resource
from flowjob_operator.resources import kinds

FLOWJOBS: Final = Resource(kinds.GROUP, kinds.VERSION, kinds.FLOWJOB.plural, "FlowJob")
FLOWSNAPSHOTS: Final = Resource(
    kinds.GROUP, kinds.VERSION, kinds.FLOWSNAPSHOT.plural, "FlowSnapshot"
)
PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIGMAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace")
NODES: Final = Resource("", "v1", "nodes", "Node")
EVENTS: Final = Resource("", "v1", "events", "Event")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")

ALL: Final = (
    FLOWJOBS,
    FLOWSNAPSHOTS,
    PODS,
    SERVICES,
    SECRETS,
    CONFIGMAPS,
    SERVICE_ACCOUNTS,
    NAMESPACES,
    NODES,
    EVENTS,
    DEPLOYMENTS,
    STATEFUL_SETS,
    REVISIONS,
    JOBS,
    BUDGETS,
    NETWORK_POLICIES,
    LEASES,
)


def resource_of(body: dict[str, object]) -> Resource:
    """Of a whole object, by its apiVersion and kind. Raises KeyError for one the operator never deals with."""
    wanted = (body.get("apiVersion"), body.get("kind"))
    for resource in ALL:
        if (resource.api_version, resource.kind) == wanted:
            return resource
    raise KeyError(f"{wanted[0]} {wanted[1]}")


def resource_of_kind(kind: str) -> Resource:
    """By the kind's name alone, which is unique among those the operator deals with."""
    for resource in ALL:
        if resource.kind == kind:
            return resource
    raise KeyError(kind)
