"""Checks of what is elsewhere: the service, and the cluster of the kubeconfig with the rights one has there.

What was not asked for and is not there is skipped, not a problem: most machines have no cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator

from flowjob.cli.doctor.findings import Finding, ok, problem, skipped, warning
from flowjob.cli.steering.plugin import is_plugin
from flowjob.cli.steering.where import Where
from flowjob.client.connecting import connect
from flowjob.client.flowjob_objects import part
from flowjob.client.kubectl import Cluster
from flowjob.client.kubernetes_client import JOBS, SNAPSHOTS
from flowjob.client.retrying import Retries
from flowjob.errors import NotFound, ServiceError, ServiceUnreachable

RIGHTS = (
    ("get", JOBS, "see jobs"),
    ("patch", JOBS, "change jobs"),
    ("create", SNAPSHOTS, "take savepoints"),
    ("get", "pods/log", "read logs"),
)


def service(where: Where) -> Iterator[Finding]:
    """Whether one answers, and knows who asks."""
    named = where.server or os.environ.get("FLOWJOB_SERVER")
    try:
        client = connect(
            named,
            token_file=where.token_file,
            ca_file=where.ca_file,
            retries=Retries(attempts=1),
        )
        with client:
            client.is_ready()
            session = client.session()
            jobs = sum(client.page(limit=1).counts.values())
    except ServiceUnreachable as error:
        if named:
            yield problem("service", error.message, error.next_step)
        else:
            yield skipped("service", "none answers on this machine", error.next_step)
    except ServiceError as error:
        yield problem("service", error.message, error.next_step or "See its log")
    else:
        who = f"you are {session.user}" if session.user else "it asks for no login"
        version = f" {session.version}" if session.version else ""
        yield ok("service", f"{client.where}: flowjob{version}, {session.mode}; {who}; {jobs} jobs")


def cluster(where: Where, kubectl: Cluster) -> Iterator[Finding]:
    """Whether it is reached, has our kinds, and what one may do there."""
    asked = bool(where.context or where.kubeconfig or where.namespace or is_plugin())
    try:
        version = part(kubectl.json("version"), "serverVersion", "gitVersion")
    except ServiceError as error:
        if asked:
            yield problem("cluster", error.message, error.next_step)
        else:
            yield skipped("cluster", "none is reached by kubectl", error.next_step)
        return
    yield ok("cluster", f"{kubectl.where}: Kubernetes {version}")
    try:
        kubectl.json("get", "--raw", "/apis/flowjob.dev/v1beta1")
    except NotFound:
        found = (skipped if not asked else problem)(
            "flowjob in it", "it does not know FlowJobs", "helm install flowjob charts/flowjob"
        )
        yield found
        return
    yield ok("flowjob in it", "it knows FlowJobs")
    yield from _rights(where, kubectl)


def _rights(where: Where, kubectl: Cluster) -> Iterator[Finding]:
    scope = f"--namespace={where.namespace}" if where.namespace else None
    for verb, kind, text in RIGHTS:
        try:
            answer = kubectl.text("auth", "can-i", verb, kind, *([scope] if scope else []))
            may = answer.splitlines()[-1:] == ["yes"]
        except ServiceError:
            may = False  # `no` is a failure of the command
        name = f"right to {text}"
        if may:
            yield ok(name, "yes")
        else:
            yield warning(
                name,
                f"no: {verb} {kind}",
                "Ask for the role view or edit in that namespace: they have it where the chart made them",
            )
