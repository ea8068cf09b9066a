"""The certificate of the REST service: made once, renewed when it is due, by the authority that jobs trust."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509

from flowjob.cluster.identity import parse
from flowjob_operator.identity.authority import new_authority
from flowjob_operator.identity.identities import LIFE
from flowjob_operator.identity.randomness import system_randomness
from flowjob_operator.process.cluster.kinds import SECRETS
from flowjob_operator.process.papers.service_identity import SESSION_KEY, ServiceIdentity
from flowjob_operator.process.permissions import SERVICE_SECRET
from tests.operator.process.fake_api import FakeApi


class Wall:
    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


def test_the_services_certificate_is_made_once_and_renewed_at_two_thirds_of_its_life() -> None:
    api, wall, randomness = FakeApi(), Wall(), system_randomness()
    authority = new_authority(wall.now(), randomness)
    service = ServiceIdentity(api, wall, "platform", randomness)  # type: ignore[arg-type]

    def kept() -> dict[str, bytes]:
        asyncio.run(service.keep(authority))
        data = api.of(SECRETS, "platform", SERVICE_SECRET)["data"]
        return {name: base64.b64decode(value) for name, value in data.items()}

    first = kept()
    leaf = x509.load_pem_x509_certificate(first["tls.crt"])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    identity = parse(uri)
    assert identity is not None
    assert (identity.job, identity.role) == (None, "service")
    assert kept() == first
    wall.moment += LIFE * 2 / 3 + timedelta(days=1)
    renewed = kept()
    assert renewed["tls.crt"] != first["tls.crt"]
    assert renewed[SESSION_KEY] == first[SESSION_KEY], "logins go on"
