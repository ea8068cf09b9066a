"""Who a certificate belongs to, as a URI in its subjectAltName, and who may talk to whom. Both sides of the contract
read it here: the operator, which makes certificates, and the engine, which asks for them.

`flowjob://<namespace>/<name>/<uid>/<role>` is a process of one job, `flowjob://flowjob.dev/<role>` one of the platform:
no namespace has a dot. A leaf has exactly one such URI, and extended key usages for servers *and* clients, or none. It
must not know files, sockets or how certificates are made."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from urllib.parse import quote, unquote

SCHEME = "flowjob"
PLATFORM = "flowjob.dev"

JOBMANAGER = "jobmanager"
TASKMANAGER = "taskmanager"
JOB_ROLES = frozenset({JOBMANAGER, TASKMANAGER})

OPERATOR = "operator"
SERVICE = "service"
PLATFORM_ROLES = frozenset({OPERATOR, SERVICE})

CONTROL_CLIENTS = frozenset({JOBMANAGER, TASKMANAGER})
"""Who may connect to a JobManager's control port; a JobManager answers there."""
DATA_PEERS = frozenset({TASKMANAGER})
"""Who may exchange rows."""
API_CLIENTS = frozenset({OPERATOR, SERVICE, TASKMANAGER})
"""Who may ask the internal API; a JobManager answers there."""

FILES = ("ca.crt", "tls.crt", "tls.key")
"""Of an identity directory, PEM. `ca.crt` may hold several, while a CA is replaced. `data.key` lies beside them."""
DATA_KEY = "data.key"
"""32 random bytes or more, in any encoding: all of the file's bytes, without white space at its ends, are the key."""


@dataclass(frozen=True, slots=True)
class JobId:
    """Which job: names as in Kubernetes, and the object's uid."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}/{self.uid}"


@dataclass(frozen=True, slots=True)
class Identity:
    """`job` is None for a process of the platform."""

    job: JobId | None
    role: str

    @property
    def uri(self) -> str:
        if self.job is None:
            return f"{SCHEME}://{PLATFORM}/{quote(self.role, safe='')}"
        parts = (self.job.namespace, self.job.name, self.job.uid, self.role)
        return f"{SCHEME}://" + "/".join(quote(part, safe="") for part in parts)

    def __str__(self) -> str:
        return f"{self.role} of {'the platform' if self.job is None else f'job {self.job}'}"


def identity_uri(namespace: str, name: str, uid: str, role: str) -> str:
    """For the leaf of a job's process. Raises ValueError for what names nobody."""
    identity = Identity(JobId(namespace, name, uid), role)
    if parse(identity.uri) != identity:
        raise ValueError(f"`{identity.uri}` is nobody's identity")
    return identity.uri


def platform_uri(role: str) -> str:
    """For the operator's and the service's own leaf. Raises ValueError for another role."""
    if role not in PLATFORM_ROLES:
        raise ValueError(f"`{role}` is no role of the platform; {_list(PLATFORM_ROLES)} are")
    return Identity(None, role).uri


def parse(uri: str) -> Identity | None:
    """None for what neither `identity_uri` nor `platform_uri` makes."""
    scheme, mark, rest = uri.partition("://")
    if scheme != SCHEME or not mark:
        return None
    parts = rest.split("/")
    words = [unquote(part, errors="replace") for part in parts]
    if not all(words) or [quote(word, safe="") for word in words] != parts:
        return None
    match words:
        case [host, role] if host == PLATFORM and role in PLATFORM_ROLES:
            return Identity(None, role)
        case [namespace, name, uid, role] if namespace != PLATFORM and role in JOB_ROLES:
            return Identity(JobId(namespace, name, uid), role)
    return None


def refusal(uris: list[str], job: JobId, roles: Set[str]) -> str | None:
    """Why whoever has a certificate with these URIs may not talk to a process of `job` that talks to `roles` only; None
    if it may. That the certificate is valid and of our CA was judged before."""
    known = [found for uri in uris if (found := parse(uri)) is not None]
    if len(known) != 1:
        what = f"has {len(known)} identities" if known else "says nothing of a flowjob process"
        return f"its certificate {what}: there must be one URI {SCHEME}://… in its subjectAltName"
    who = known[0]
    if who.job is not None and who.job != job:
        return f"its certificate is that of {who}, and this is job {job}"
    if who.role not in roles:
        return f"its certificate is that of {who}, and only {_list(roles)} may be here"
    return None


def _list(words: Set[str]) -> str:
    return ", ".join(sorted(words))
