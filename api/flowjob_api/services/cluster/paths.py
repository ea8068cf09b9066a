"""Paths of the Kubernetes API that this service asks for, made of names that were checked.

Every name from outside goes through here: what is no name of Kubernetes names nothing there."""

from __future__ import annotations

import re
from typing import Final

from flowjob_api.problems import Refused

GROUP: Final = "flowjob.dev"
API_VERSION: Final = "flowjob.dev/v1beta1"
ROOT: Final = "/apis/flowjob.dev/v1beta1"
JOBS, SNAPSHOTS = "flowjobs", "flowsnapshots"
TOKEN_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def collection(plural: str, namespace: str | None = None) -> str:
    """`namespace` None: of all."""
    if namespace is None:
        return f"{ROOT}/{plural}"
    return f"{ROOT}/namespaces/{checked(namespace, _NAMESPACE)}/{plural}"


def item(plural: str, namespace: str, name: str) -> str:
    return f"{collection(plural, namespace)}/{checked(name)}"


def checked(name: str, pattern: re.Pattern[str] = _NAME) -> str:
    """Raises Refused: NOT_FOUND, for what cannot be there."""
    if pattern.fullmatch(name) is None:
        raise Refused("NOT_FOUND", f"`{name[:80]}` is no name in Kubernetes")
    return name
