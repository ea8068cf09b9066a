"""Sessions of browsers: the token, sealed into a cookie that the page's scripts cannot read.

Nothing is kept here but what was logged out, so any replica with the key can open it. The token against forged writes
is made of the session: a page of another site can have the cookie sent, but never learns that."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Request

from flowjob_api.auth.forgery import is_loopback
from flowjob_api.clock import Clock
from flowjob_api.problems import Refused

COOKIE: Final = "flowjob_session"
HOURS: Final = 8
LONGEST: Final = 3900
"""Characters of a cookie: browsers drop longer ones without a word."""

KEY_BYTES: Final = 32
FORGOTTEN_AFTER: Final = 10_000


@dataclass(frozen=True, slots=True)
class Open:
    """A session. `expires_at`: RFC 3339."""

    token: str = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: str
    id: str


class _Sealed(msgspec.Struct, array_like=True):
    token: str
    expires: float
    id: str


class Sessions:
    """`key`: 32 bytes, the same in all replicas; None: one of this process's own."""

    def __init__(self, clock: Clock, key: bytes | None = None) -> None:
        self._clock = clock
        self._key = key or os.urandom(KEY_BYTES)
        self._cipher = AESGCM(hashlib.sha256(b"seal" + self._key).digest())
        self._closed: OrderedDict[str, None] = OrderedDict()

    def open(self, request: Request, token: str) -> tuple[Open, str]:
        """The session, and the header that sets its cookie. Raises Refused where others could listen."""
        secure = request.url.scheme == "https"
        peer = request.client.host if request.client else ""
        if not secure and not (is_loopback(peer) or peer == "testclient"):
            raise Refused(
                "FORBIDDEN", "logging in needs TLS: others could read the token on its way"
            )
        sealed = _Sealed(token, self._clock.wall() + HOURS * 3600, os.urandom(16).hex())
        nonce = os.urandom(12)
        data = nonce + self._cipher.encrypt(nonce, msgspec.msgpack.encode(sealed), None)
        value = base64.urlsafe_b64encode(data).decode().rstrip("=")
        if len(value) > LONGEST:
            raise Refused(
                "INVALID",
                "body.token: too long for a cookie; use it as a bearer token, or take a shorter one",
            )
        return self._opened(sealed), self._header(request, value, HOURS * 3600)

    def of(self, request: Request) -> Open | None:
        """The session of a request's cookie; None: there is none, or it is over."""
        value = request.cookies.get(COOKIE)
        if not value or len(value) > LONGEST:
            return None
        try:
            data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            plain = self._cipher.decrypt(data[:12], data[12:], None)
            sealed = msgspec.msgpack.decode(plain, type=_Sealed)
        except (binascii.Error, ValueError, InvalidTag, msgspec.MsgspecError):
            return None
        if sealed.expires <= self._clock.wall() or sealed.id in self._closed:
            return None
        return self._opened(sealed)

    def close(self, request: Request) -> str:
        """The header that removes the cookie, which this replica takes no more."""
        opened = self.of(request)
        if opened is not None:
            self._closed[opened.id] = None
            if len(self._closed) > FORGOTTEN_AFTER:
                self._closed.popitem(last=False)
        return self._header(request, "", 0)

    def _opened(self, sealed: _Sealed) -> Open:
        csrf = hmac.new(self._key, b"csrf" + sealed.id.encode(), hashlib.sha256).hexdigest()
        moment = datetime.fromtimestamp(sealed.expires, UTC).isoformat(timespec="seconds")
        return Open(sealed.token, csrf, moment.replace("+00:00", "Z"), sealed.id)

    def _header(self, request: Request, value: str, seconds: int) -> str:
        path = request.scope.get("root_path") or "/"
        secure = "; Secure" if request.url.scheme == "https" else ""
        return (
            f"{COOKIE}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
        )
