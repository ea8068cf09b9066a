"""What the operator must be allowed to do, verb by verb, with the reason for each: the chart makes roles of it.

Data only. docs/operator.md shows the same table, and a test compares; the tests against a real API server run the
operator's requests with exactly these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Where = Literal["jobs", "own", "cluster"]
"""jobs: in every namespace with FlowJobs, by ClusterRole or by a Role in each. own: in the operator's namespace.
cluster: never more than read; without it the operator does its work, later or with less to say."""


@dataclass(frozen=True, slots=True)
class Permission:
    """`names`: only objects of these names (which a create cannot be bound to)."""

    where: Where
    group: str
    resource: str
    verbs: tuple[str, ...]
    reason: str
    names: tuple[str, ...] = ()


def _jobs(group: str, resource: str, verbs: str, reason: str) -> Permission:
    return Permission("jobs", group, resource, tuple(verbs.split()), reason)


AUTHORITY_SECRET: Final = "flowjob-authority"
"""In the operator's own namespace: the certificate authority that signs the identities of all jobs."""
SERVICE_SECRET: Final = "flowjob-service"
"""Beside it: what the REST service proves itself with towards JobManagers."""
DEFINITIONS: Final = ("flowjobs.flowjob.dev", "flowsnapshots.flowjob.dev")

PERMISSIONS: Final = (
    _jobs("flowjob.dev", "flowjobs", "get list watch", "They are what the operator acts on."),
    _jobs(
        "flowjob.dev", "flowjobs", "patch", "The finalizer of Savepoint and Discard; never spec."
    ),
    _jobs(
        "flowjob.dev",
        "flowjobs/status",
        "patch",
        "Status, on which all decisions are written first.",
    ),
    _jobs("flowjob.dev", "flowjobs/finalizers", "update", "Owner references that block deletion."),
    _jobs("flowjob.dev", "flowsnapshots", "get list watch", "They are what the operator acts on."),
    _jobs(
        "flowjob.dev", "flowsnapshots", "create delete", "Scheduled snapshots and their retention."
    ),
    _jobs("flowjob.dev", "flowsnapshots", "patch", "The finalizer of Discard."),
    _jobs("flowjob.dev", "flowsnapshots/status", "patch", "Status of snapshots."),
    _jobs(
        "flowjob.dev", "flowsnapshots/finalizers", "update", "Owner references that block deletion."
    ),
    _jobs("", "pods", "list watch", "Why a job does not run is seen in its pods."),
    _jobs("", "pods", "delete", "TaskManagers are rolled by deleting them one by one (OnDelete)."),
    _jobs(
        "",
        "pods",
        "create",
        "As a dry run only: what is wrong with a pod template is said before anything is stopped.",
    ),
    _jobs("", "services", "list watch create patch delete", "Headless Services of a job."),
    _jobs("", "configmaps", "list watch", "Defaults of the namespace, and files of jobs."),
    _jobs("", "configmaps", "create patch delete", "Job files and scripts."),
    _jobs(
        "",
        "secrets",
        "create update",
        "The identity of a job's pods, written and never read.",
    ),
    _jobs("", "events", "create patch", "What has happened, for people."),
    _jobs(
        "", "events", "list", "Why pods could not be made (quota, pod security) is said only there."
    ),
    _jobs("apps", "deployments", "list watch create patch delete", "JobManagers."),
    _jobs("apps", "statefulsets", "list watch create patch delete", "TaskManagers."),
    _jobs(
        "apps",
        "controllerrevisions",
        "list watch create delete",
        "Deployed specs and their objects.",
    ),
    _jobs("batch", "jobs", "list watch create delete", "Pre-flights, and work on storage."),
    _jobs(
        "policy",
        "poddisruptionbudgets",
        "list create patch delete",
        "Drains take one pod at a time.",
    ),
    _jobs(
        "networking.k8s.io",
        "networkpolicies",
        "list create patch delete",
        "Who may connect to a job.",
    ),
    _jobs(
        "coordination.k8s.io",
        "leases",
        "get create update",
        "The claim on a namespace.",
    ),
    _jobs("", "namespaces", "get", "In one that is being deleted, nothing is waited for."),
    Permission(
        "own", "coordination.k8s.io", "leases", ("get", "create", "update"), "One replica leads."
    ),
    Permission(
        "own",
        "",
        "secrets",
        ("create",),
        "The authority that signs identities is made on first start.",
    ),
    Permission(
        "own",
        "",
        "secrets",
        ("get", "update"),
        "The authority is read, and replaced before it ends.",
        (AUTHORITY_SECRET,),
    ),
    Permission(
        "own",
        "",
        "secrets",
        ("get", "update"),
        "The certificate of the REST service is renewed before it ends.",
        (SERVICE_SECRET,),
    ),
    Permission(
        "cluster", "", "nodes", ("get",), "Pods on a lost node are given up once they are fenced."
    ),
    Permission(
        "cluster",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        ("get",),
        "A definition that is being deleted never erases data; without, what the server offers is looked at.",
        DEFINITIONS,
    ),
)


def rules(where: Where) -> list[dict[str, Any]]:
    """As a Role or ClusterRole has them; permissions that differ in nothing but the resource's verbs are one rule."""
    merged: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for each in PERMISSIONS:
        if each.where == where:
            verbs = merged.setdefault((each.group, each.resource, each.names), [])
            verbs += [verb for verb in each.verbs if verb not in verbs]
    found: list[dict[str, Any]] = []
    for (group, resource, names), verbs in merged.items():
        rule: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
        if names:
            rule["resourceNames"] = list(names)
        found.append(rule)
    return found
