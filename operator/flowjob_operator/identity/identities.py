"""What processes prove themselves with: the Secret of a job, and the leaves of operator and service.

JobManager and TaskManagers have a leaf each, so that no TaskManager can pass for the JobManager. The operator may not
read the Secrets of jobs: what must be the same in the next one is derived, all else is remembered in status.identity.
Pure; Secrets are plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flowjob.cluster.identity import (
    DATA_KEY,
    JOBMANAGER,
    TASKMANAGER,
    JobId,
    identity_uri,
    platform_uri,
)
from flowjob_operator.identity.authority import Authority, encoded
from flowjob_operator.identity.certificates import KeyPair, Subject, new_leaf
from flowjob_operator.identity.randomness import Randomness
from flowjob_operator.resources.flowjob_status import Identity

LIFE = timedelta(days=365)
CA, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
_SHORT = {JOBMANAGER: "jm", TASKMANAGER: "tm"}


def role_files(role: str) -> dict[str, str]:
    """Key of the job's Secret -> the file that it becomes in the pods of `role`."""
    return {CA: CA, f"{role}.crt": CERTIFICATE, f"{role}.key": KEY, DATA_KEY: DATA_KEY}


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """`data` of the job's Secret, base64, and what status.identity says of it."""

    data: dict[str, str]
    status: Identity


def job_identity(
    authority: Authority, job: JobId, now: datetime, randomness: Randomness
) -> JobIdentity:
    """New certificates for the pods of a job, and its data-plane key, which is always the same one."""
    leaves = {
        role: new_leaf(authority.signing, _subject(job, role), LIFE, now, randomness)
        for role in (JOBMANAGER, TASKMANAGER)
    }
    data = {
        CA: authority.trusted,
        DATA_KEY: authority.derived(f"data plane of {job}").hex().encode(),
    }
    for role, leaf in leaves.items():
        data |= {f"{role}.crt": leaf.certificate_pem, f"{role}.key": leaf.key_pem}
    status = Identity(
        serial=" ".join(f"{leaf.certificate.serial_number:x}" for leaf in leaves.values()),
        expires_at=min(leaf.ends for leaf in leaves.values()),
        authority=authority.fingerprint,
    )
    return JobIdentity(encoded(data), status)


def past_two_thirds(expires_at: datetime, now: datetime) -> bool:
    """Of a leaf: the time to make another one."""
    return now >= expires_at - LIFE / 3


def platform_leaf(
    authority: Authority, role: str, hosts: tuple[str, ...], now: datetime, randomness: Randomness
) -> KeyPair:
    """For the operator itself, or for the service. Raises ValueError for another role."""
    subject = Subject(f"flowjob {role}", platform_uri(role), hosts)
    return new_leaf(authority.signing, subject, LIFE, now, randomness)


def _subject(job: JobId, role: str) -> Subject:
    service = f"{job.name}-{_SHORT[role]}"
    names = (service, f"{service}.{job.namespace}", f"{service}.{job.namespace}.svc")
    # Pods of a headless Service have names below its own.
    hosts = (*names, *(f"*.{name}" for name in names[1:]))
    uri = identity_uri(job.namespace, job.name, job.uid, role)
    return Subject(f"{job.name} {role}", uri, hosts)
