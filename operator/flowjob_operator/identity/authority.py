"""The authority of an installation: who signs, who is trusted besides, and how one replaces the other.

It is one Secret in the operator's own namespace, which the operator makes on its first start. Replacing takes three
steps, each long after the one before: the next one is trusted, it signs, the old one has ended. Pure; Secrets are plain
data."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from flowjob_operator.identity.certificates import KeyPair, new_authority_pair, pem, read_pair
from flowjob_operator.identity.randomness import SECRET_BYTES, Randomness

NAME = "flowjob"
LIFE = timedelta(days=3650)
OVERLAP = timedelta(days=7)
"""From when all pods begin to trust the next authority until it signs: by far longer than it takes to tell all."""

CERTIFICATE, KEY = "ca.crt", "ca.key"
NEXT_CERTIFICATE, NEXT_KEY = "next.crt", "next.key"
RETIRED = "retired.crt"
MASTER = "data.key"
"""The keys of the Secret."""
REPLACE = "replace"
"""A key that a person adds, with any value, to have the authority replaced now."""


class DamagedAuthority(ValueError):
    """The Secret of the authority cannot be read: what is wrong with it, and what to do."""


@dataclass(frozen=True, slots=True)
class Authority:
    """master   what the data-plane keys of all jobs are derived from: the operator cannot read a job's Secret, and must
             give the same key again when it renews certificates
    asked    a person wants it replaced; `maintained` does, and what is kept then asks no more
    """

    signing: KeyPair
    master: bytes
    upcoming: KeyPair | None = None
    retired: tuple[x509.Certificate, ...] = ()
    asked: bool = False

    @property
    def trusted(self) -> bytes:
        """What goes into `ca.crt` of every identity, PEM, the signing one first."""
        upcoming = () if self.upcoming is None else (self.upcoming.certificate,)
        return b"".join(map(pem, (self.signing.certificate, *upcoming, *self.retired)))

    @property
    def fingerprint(self) -> str:
        """Of what an identity made now would hold: another one means that all are to be made anew."""
        return hashlib.sha256(self.trusted + self.master).hexdigest()[:16]

    def derived(self, purpose: str) -> bytes:
        """32 bytes that nobody can tell who does not have the master key."""
        derivation = HKDF(hashes.SHA256(), SECRET_BYTES, salt=None, info=purpose.encode())
        return derivation.derive(self.master)


def new_authority(now: datetime, randomness: Randomness) -> Authority:
    """For an installation that has none."""
    return Authority(new_authority_pair(NAME, LIFE, now, randomness), randomness.secret())


def maintained(authority: Authority, now: datetime, randomness: Randomness) -> Authority:
    """As it should be now: the same object when nothing is due. To be asked once a day, or more often."""
    kept = tuple(one for one in authority.retired if one.not_valid_after_utc > now)
    if kept != authority.retired:
        authority = dataclasses.replace(authority, retired=kept)
    upcoming = authority.upcoming
    is_due = authority.asked or now >= authority.signing.ends - LIFE / 3
    if upcoming is None and is_due:
        following = new_authority_pair(NAME, LIFE, now, randomness)
        return dataclasses.replace(authority, upcoming=following, asked=False)
    if authority.asked:  # while it is being replaced: that is enough
        authority = dataclasses.replace(authority, asked=False)
    if upcoming is None or now < upcoming.ends - LIFE + OVERLAP:
        return authority
    return dataclasses.replace(
        authority,
        signing=upcoming,
        upcoming=None,
        retired=(authority.signing.certificate, *authority.retired),
    )


def secret_data(authority: Authority) -> dict[str, str]:
    """`data` of the Secret: base64."""
    data = {
        CERTIFICATE: authority.signing.certificate_pem,
        KEY: authority.signing.key_pem,
        MASTER: authority.master.hex().encode(),
    }
    if authority.upcoming is not None:
        data[NEXT_CERTIFICATE] = authority.upcoming.certificate_pem
        data[NEXT_KEY] = authority.upcoming.key_pem
    if authority.retired:
        data[RETIRED] = b"".join(map(pem, authority.retired))
    return encoded(data)


def read_authority(data: Mapping[str, str]) -> Authority:
    """From `data` of the Secret. Raises DamagedAuthority: never is another one made in its place, since all jobs would
    lose their trust in each other at once."""
    try:
        found = {n: base64.b64decode(v, validate=True) for n, v in data.items() if n != REPLACE}
        upcoming = None
        if NEXT_CERTIFICATE in found:
            upcoming = read_pair(found[NEXT_CERTIFICATE], found[NEXT_KEY])
        retired = found.get(RETIRED)
        master = bytes.fromhex(found[MASTER].decode())
        if len(master) != SECRET_BYTES:
            raise ValueError(f"{MASTER} has {len(master)} bytes, not {SECRET_BYTES}")
        return Authority(
            signing=read_pair(found[CERTIFICATE], found[KEY]),
            master=master,
            upcoming=upcoming,
            retired=tuple(x509.load_pem_x509_certificates(retired)) if retired else (),
            asked=REPLACE in data,
        )
    except KeyError as missing:
        raise DamagedAuthority(f"it has no {missing.args[0]}: {_ADVICE}") from None
    except (ValueError, TypeError, binascii.Error) as error:
        raise DamagedAuthority(f"it cannot be read ({error}): {_ADVICE}") from None


_ADVICE = "restore the Secret, or delete it to have all certificates made anew"


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """As `data` of a Secret."""
    return {name: base64.b64encode(value).decode() for name, value in data.items()}
