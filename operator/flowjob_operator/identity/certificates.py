"""Single certificates: an authority's own, and leaves below it. Everything that varies is handed in.

Signatures are deterministic, so that the same input makes the same bytes. It must not know jobs, nor where certificates
are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flowjob_operator.identity.randomness import Randomness

BACKDATED = timedelta(hours=1)
"""Clocks of nodes differ: a certificate is valid a little before it was made."""

_SERVERS_AND_CLIENTS = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
_ALLOWED_NOTHING = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and the key that it is about."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """PKCS 8, not encrypted: it is kept in a Secret."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @property
    def ends(self) -> datetime:
        return self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a leaf belongs to. `name` is for people, `uri` is what counts; `hosts` are names of the DNS."""

    name: str
    uri: str
    hosts: Sequence[str] = ()


def new_authority_pair(
    name: str, life: timedelta, now: datetime, randomness: Randomness
) -> KeyPair:
    """Signed by itself, for signing leaves and nothing else."""
    key, serial = randomness.key(), randomness.serial()
    # Two authorities of one name would be taken for each other while one replaces the other.
    distinguished = _name(f"{name} {serial:040x}"[:64])
    builder = (
        _builder(distinguished, distinguished, key, serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    )
    return KeyPair(_sign(builder, key), key)


def new_leaf(
    authority: KeyPair, subject: Subject, life: timedelta, now: datetime, randomness: Randomness
) -> KeyPair:
    """For servers and clients. It ends no later than `authority` does."""
    key = randomness.key()
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(subject.uri)]
    names += [x509.DNSName(host) for host in subject.hosts]
    builder = (
        _builder(_name(subject.name[:64]), authority.certificate.subject, key, randomness.serial())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(now + life, authority.ends))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_SERVERS_AND_CLIENTS), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.value),
            critical=False,
        )
    )
    return KeyPair(_sign(builder, authority.key), key)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def read_pair(certificate: bytes, key: bytes) -> KeyPair:
    """From PEM. Raises ValueError when they are none, or do not belong to each other."""
    found = serialization.load_pem_private_key(key, None)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not one of an elliptic curve")
    pair = KeyPair(x509.load_pem_x509_certificate(certificate), found)
    if pair.certificate.public_key() != found.public_key():
        raise ValueError("certificate and key do not belong to each other")
    return pair


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int
) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .add_extension(identifier, critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{**_ALLOWED_NOTHING, **dict.fromkeys(allowed, True)})
