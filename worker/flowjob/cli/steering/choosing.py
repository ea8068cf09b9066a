"""From what was said about where, to somebody who can be asked; and from a name to one job there.

A cluster is asked when one was named and no server was: by kubectl, with all that it knows of logging in."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from flowjob.cli.steering.plugin import is_plugin
from flowjob.cli.steering.where import Where
from flowjob.client.steering import SteeredJob, Steering
from flowjob.errors import BadRequest, NotFound


@contextmanager
def steering(where: Where) -> Iterator[Steering]:
    """Whoever is to be asked; closed afterwards."""
    found = _chosen(where)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def one_job(where: Where, job: str) -> Iterator[tuple[Steering, SteeredJob]]:
    """The job that is meant by `name` or `namespace/name`."""
    with steering(where) as asked:
        namespace, slash, name = job.rpartition("/")
        if slash and where.namespace and namespace != where.namespace:
            raise BadRequest(f"`{job}` and -n {where.namespace} name two namespaces: say one")
        if not name:
            raise BadRequest("the name of the job is empty", next_step="`flowjob jobs` lists them")
        known = namespace or where.namespace or asked.default_namespace
        yield asked, asked.job(name, known if known else _namespace_of(asked, name))


@contextmanager
def quickly(where: Where) -> Iterator[Steering]:
    """The same, for a person who waits for the next letter: one try."""
    found = _chosen(where, tries=1)
    try:
        yield found
    finally:
        found.close()


def _chosen(where: Where, tries: int | None = None) -> Steering:
    server = where.server or os.environ.get("FLOWJOB_SERVER")
    cluster = (where.context, where.kubeconfig)
    if where.server and (where.service or any(cluster)):
        raise BadRequest(
            "--server is an address, --service, --context and --kubeconfig a cluster: say one"
        )
    if where.service:
        from flowjob.client.connecting import connect_through
        from flowjob.client.kubectl import Kubectl

        kubectl = Kubectl(where.context, where.kubeconfig)
        return connect_through(kubectl, where.service, token_file=where.token_file)
    if any(cluster) or (not server and (where.namespace or is_plugin())):
        from flowjob.client.kubectl import Kubectl
        from flowjob.client.kubernetes_client import KubernetesClient

        return KubernetesClient(Kubectl(where.context, where.kubeconfig), where.namespace)
    from flowjob.client.connecting import connect
    from flowjob.client.retrying import Retries

    # Where nobody has said that there is a service, most often there is none: that is said soon.
    retries = Retries(attempts=tries or (6 if server else 2))
    return connect(server, token_file=where.token_file, ca_file=where.ca_file, retries=retries)


def _namespace_of(asked: Steering, name: str) -> str:
    """Of the only job of that name. Raises NotFound, and BadRequest when there are several."""
    listed = list(asked.jobs(q=name))
    found = sorted({job.namespace for job in listed if job.name == name})
    if len(found) == 1:
        return found[0]
    if found:
        raise BadRequest(
            f"there is a job `{name}` in each of the namespaces {', '.join(found)}",
            next_step=f"Say which: {found[0]}/{name}",
        )
    others = sorted({job.name for job in (listed or asked.jobs())})
    near = difflib.get_close_matches(name, others, n=1)
    raise NotFound(
        f"{asked.where} has no job `{name}`" + (f". Did you mean `{near[0]}`?" if near else ""),
        next_step="`flowjob jobs` lists those it has"
        if others
        else "It has none at all that you may see",
    )
