"""The Secrets that the operator writes: a job's identity, and the installation's authority.

Created or replaced as wholes, since the operator may not read those of jobs, and applying needs the right to patch.
What is in them is made in identity/."""

from __future__ import annotations

from typing import Any

from flowjob.cluster.identity import JobId
from flowjob_operator.identity.authority import Authority, secret_data
from flowjob_operator.identity.identities import JobIdentity
from flowjob_operator.rendering.naming import MANAGER, MANAGER_LABEL, NAME_LABEL, Names
from flowjob_operator.rendering.owners import owned_by
from flowjob_operator.rendering.shared import an_object

Object = dict[str, Any]


IDENTITY_TYPE = "flowjob.dev/identity"
"""Types cannot be changed: a Secret that somebody else has made under that name is never written over."""


def identity_secret(job: JobId, identity: JobIdentity) -> Object:
    """`<job>-identity`, which goes with its FlowJob."""
    made = an_object("v1", "Secret", job, Names(job).identity)
    return owned_by({**made, "type": IDENTITY_TYPE, "data": identity.data}, job)


def authority_secret(name: str, namespace: str, authority: Authority) -> Object:
    """In the operator's own namespace. Nothing owns it: it outlives the release."""
    labels = {NAME_LABEL: "flowjob", MANAGER_LABEL: MANAGER}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "type": "Opaque",
        "data": secret_data(authority),
    }
