"""What the REST service proves itself with towards JobManagers: a Secret beside the operator, kept as long as the
operator is told that there is a service.

Signed by the same authority as all else (identities.py). With it comes the key that seals browsers' sessions, the same
for all replicas and for ever, as it is derived."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from flowjob.cluster.identity import SERVICE
from flowjob_operator.identity.authority import Authority, encoded
from flowjob_operator.identity.identities import (
    CA,
    CERTIFICATE,
    KEY,
    past_two_thirds,
    platform_leaf,
)
from flowjob_operator.identity.randomness import Randomness
from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Object
from flowjob_operator.process.cluster.kinds import SECRETS
from flowjob_operator.process.permissions import SERVICE_SECRET
from flowjob_operator.rendering.naming import MANAGER, MANAGER_LABEL, NAME_LABEL, OURS

SESSION_KEY: Final = "session.key"
AUTHORITY: Final = f"{OURS}authority"
EXPIRES: Final = f"{OURS}expires-at"


class ServiceIdentity:
    """`keep` whenever the authority was looked after."""

    def __init__(self, api: Api, clock: Clock, namespace: str, randomness: Randomness) -> None:
        self._api = api
        self._clock = clock
        self._namespace = namespace
        self._randomness = randomness

    async def keep(self, authority: Authority) -> None:
        """Makes the Secret, or makes it anew when it is due. Raises ApiError, Unreachable."""
        try:
            found = await self._api.get(SECRETS, self._namespace, SERVICE_SECRET)
        except ApiError as error:
            if not error.is_not_found:
                raise
            await self._api.create(SECRETS, self._namespace, self._made(authority))
            return
        if self._is_due(found, authority):
            made = self._made(authority)
            version = found["metadata"]["resourceVersion"]
            made["metadata"]["resourceVersion"] = version
            await self._api.replace(SECRETS, self._namespace, made)

    def _is_due(self, found: Object, authority: Authority) -> bool:
        notes = found["metadata"].get("annotations") or {}
        try:
            ends = datetime.fromisoformat(notes.get(EXPIRES, ""))
        except ValueError:
            return True
        other = notes.get(AUTHORITY) != authority.fingerprint
        whole = {CA, CERTIFICATE, KEY, SESSION_KEY} <= set(found.get("data") or {})
        return other or not whole or past_two_thirds(ends, self._clock.now())

    def _made(self, authority: Authority) -> Object:
        leaf = platform_leaf(authority, SERVICE, (), self._clock.now(), self._randomness)
        data = {
            CA: authority.trusted,
            CERTIFICATE: leaf.certificate_pem,
            KEY: leaf.key_pem,
            SESSION_KEY: authority.derived("sessions of the service").hex().encode(),
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": SERVICE_SECRET,
                "namespace": self._namespace,
                "labels": {NAME_LABEL: "flowjob", MANAGER_LABEL: MANAGER},
                "annotations": {
                    AUTHORITY: authority.fingerprint,
                    EXPIRES: leaf.ends.isoformat(timespec="seconds"),
                },
            },
            "type": "Opaque",
            "data": encoded(data),
        }
