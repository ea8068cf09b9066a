"""Authorities and identities for tests: real certificates, made in memory, and directories as pods find them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flowjob.cluster.identity import JobId, identity_uri, platform_uri

JOB = JobId("shop", "flights", "0f3c")
DAY = timedelta(days=1)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """A CA; `trusted` may be that of others besides."""

    name: str = "test"
    key: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(self.name))
            .issuer_name(_name(self.name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + 9 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        )
        self.certificate = builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def leaf(
        self,
        uris: list[str],
        *,
        hosts: Sequence[str] = (),
        begins: timedelta = -DAY,
        ends: timedelta = DAY,
    ) -> tuple[bytes, bytes]:
        """Certificate and key, PEM; times from now. `hosts`: names of DNS."""
        now, key = datetime.now(UTC), _key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("leaf"))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names += [x509.DNSName(host) for host in hosts]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def identity(
        self, directory: Path, role: str, job: JobId | None = JOB, *, ends: timedelta = DAY
    ) -> Path:
        """A directory of a process of `job`, or of the platform; an existing one is replaced."""
        uri = (
            platform_uri(role)
            if job is None
            else identity_uri(job.namespace, job.name, job.uid, role)
        )
        return write(directory, self.pem, *self.leaf([uri], ends=ends))


def write(directory: Path, ca: bytes, certificate: bytes, key: bytes) -> Path:
    """The files of an identity."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in (("ca.crt", ca), ("tls.crt", certificate), ("tls.key", key)):
        new = directory / f".{name}.new"
        new.write_bytes(data)
        os.replace(new, directory / name)
    return directory
