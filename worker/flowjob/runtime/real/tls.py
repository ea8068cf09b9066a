"""TLS with an identity directory: contexts for both sides, who is let in, and certificates that are renewed in place.

Always version 1.3, always certificates on both sides, of the same CA, judged by the one URI in them
(cluster/identity.py), not by host names: pods change theirs. Every handshake looks whether the files have changed;
sessions are never resumed, so that none outlives its certificate. It must not know what is said behind all this."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flowjob.cluster.identity import FILES, Identity, JobId, parse, refusal
from flowjob.errors import BadIdentity

_log = logging.getLogger("flowjob.tls")

HANDSHAKE_WITHIN = 10.0
"""Seconds for a peer that has connected."""

CLOSE_WITHIN = 2.0
"""Seconds for the farewell of TLS: a peer that is gone says none."""


class PeerRefused(ssl.SSLCertVerificationError):
    """Its certificate is valid, and somebody else's."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A process's own, as its peers will see it."""

    identity: Identity
    expires: datetime


class TlsIdentity:
    """The identity in a directory, whatever is in its files at the moment. For one thread.

    Nothing is read before it is needed. BadIdentity says which file cannot be used, and why."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: object = None
        self._own: Certificate | None = None
        self._server: ssl.SSLContext | None = None
        self._clients: dict[frozenset[str], ssl.SSLContext] = {}

    @property
    def own(self) -> Certificate:
        if (own := self._look()) is None:
            raise BadIdentity(f"there is no identity in {self._directory}")
        return own

    @property
    def job(self) -> JobId:
        """Whose process this is."""
        job = self.own.identity.job
        if job is None:
            raise BadIdentity(f"{self._directory} has the certificate of {self.own.identity}")
        return job

    def check(self, job: JobId, role: str) -> None:
        """Raises BadIdentity unless this is the identity of such a process: somebody has mounted the wrong one."""
        if self.own.identity != Identity(job, role):
            raise BadIdentity(
                f"the certificate in {self._directory} is that of {self.own.identity}, and this is the {role} of job "
                f"{job}: mount the identity that was made for it"
            )

    def server(self, roles: Set[str] | None) -> ssl.SSLContext:
        """For a listener that talks to `roles`; None: it asks `judge` itself about those that TLS lets in. It follows
        the files for as long as the process lives."""
        self._look()
        context = bare(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = _Listening if roles is None else _judging(self, roles, _Listening)
        context.num_tickets = 0

        def take_current(connection: ssl.SSLObject, *_: object) -> None:
            self._look()
            if self._server is not None:
                connection.context = self._server

        context.sni_callback = (
            take_current  # comes with every handshake, also where it names nobody
        )
        return context

    def client(self, roles: Set[str]) -> ssl.SSLContext:
        """For one connection, to a process of this job in one of `roles`; for the next one take another."""
        self._look()
        wanted = frozenset(roles)
        if wanted not in self._clients:
            self._clients[wanted] = self._new_client(wanted)
        return self._clients[wanted]

    def judge(self, certificate: Mapping[str, Any] | None, roles: Set[str]) -> str | None:
        """Why a peer with this certificate (as `getpeercert` gives it) may not talk here; None if it may."""
        if not certificate:
            return "it has shown no certificate"
        return refusal(_uris(certificate), self.job, roles)

    def _new_client(self, roles: frozenset[str]) -> ssl.SSLContext:
        context = load(self._directory, ssl.PROTOCOL_TLS_CLIENT)
        context.sslobject_class = _judging(self, roles, ssl.SSLObject)
        return context

    def _look(self) -> Certificate | None:
        """Takes new files, if there are any. Those that cannot be used change nothing: the former ones go on."""
        state = [_state(self._directory / name) for name in FILES]
        if state != self._seen:
            try:
                own = examine(self._directory)
                server = load(self._directory, ssl.PROTOCOL_TLS_SERVER)
                clients = {roles: self._new_client(roles) for roles in self._clients}
            except BadIdentity as error:
                if self._own is None:
                    raise
                _log.warning("going on with the certificate from before: %s", error)
            else:
                self._own, self._server, self._clients = own, server, clients
            self._seen = state
        return self._own


def api_ssl_context(directory: Path, roles: Set[str]) -> ssl.SSLContext:
    """For a server of a job's process that is asked by `roles` only: others do not get through the handshake. Raises
    BadIdentity. It follows the files when they change."""
    return TlsIdentity(directory).server(roles)


def load(directory: Path, protocol: int) -> ssl.SSLContext:
    """With what the files hold now. Raises BadIdentity."""
    ca, certificate, key = (str(directory / name) for name in FILES)
    context = bare(protocol)
    try:
        context.load_verify_locations(ca)
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise BadIdentity(
            f"the identity in {directory} cannot be used: {_why(error)}. It needs {', '.join(FILES)} in PEM, the key "
            "without a password"
        ) from None
    return context


def bare(protocol: int) -> ssl.SSLContext:
    """Without any certificate."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET
    return context


def examine(directory: Path) -> Certificate:
    """The identity as peers will find it: by a handshake with itself. Raises BadIdentity when that fails."""
    server = load(directory, ssl.PROTOCOL_TLS_SERVER)
    client = load(directory, ssl.PROTOCOL_TLS_CLIENT)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    listens = server.wrap_bio(up, down, server_side=True)
    connects = client.wrap_bio(down, up)
    try:
        while not (_shook(connects) & _shook(listens)):
            pass
    except ssl.SSLError as error:
        raise BadIdentity(
            f"the certificate in {directory} cannot be used: {explain(error)}"
        ) from None
    certificate = connects.getpeercert() or {}
    known = [found for uri in _uris(certificate) if (found := parse(uri)) is not None]
    if len(known) != 1:
        raise BadIdentity(
            f"the certificate in {directory} names {len(known)} processes of flowjob in its subjectAltName, and must "
            "name one"
        )
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return Certificate(known[0], datetime.fromtimestamp(ends, UTC))


def explain(error: BaseException) -> str:
    """What went wrong between two identities, for people."""
    if isinstance(error, PeerRefused):
        return str(error.args[-1])
    if isinstance(error, ssl.SSLCertVerificationError):
        return _OURS.get(error.verify_code, error.verify_message)
    reason = getattr(error, "reason", None) or ""
    if isinstance(error, ssl.SSLError) and "_ALERT_" in reason:
        alert = reason.partition("_ALERT_")[2]
        said = _ALERTS.get(alert, f"it answered `{alert.lower().replace('_', ' ')}`")
        return f"the other side refuses this process's certificate: {said}"
    return _REASONS.get(reason, str(error))


_OURS = {
    9: "the certificate is not valid yet; the clocks of the two machines differ, or it was made for later",
    10: "the certificate has expired; the operator renews them: see whether it runs",
    18: "the certificate is signed by itself, not by the job's CA",
    19: "the certificate is of another CA",
    20: "the certificate is of another CA",
    21: "the certificate is of another CA",
}
"""By OpenSSL's code of what is wrong with a certificate that was shown here."""

_ALERTS = {
    "CERTIFICATE_EXPIRED": "it has expired",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REQUIRED": "there is none",
    "UNKNOWN_CA": "it is of another CA",
    "BAD_CERTIFICATE": "it is not valid (yet)",
    "CERTIFICATE_UNKNOWN": "it belongs to another process",
    "PROTOCOL_VERSION": "it speaks no TLS 1.3",
}

_REASONS = {
    "WRONG_VERSION_NUMBER": "the other side speaks no TLS",
    "HTTP_REQUEST": "the other side speaks no TLS",
    "NO_PROTOCOLS_AVAILABLE": "the other side speaks no TLS 1.3",
    "UNSUPPORTED_PROTOCOL": "the other side speaks no TLS 1.3",
    "KEY_VALUES_MISMATCH": "key and certificate do not belong together",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the other side has shown no certificate",
}


def cause_in(error: BaseException | None) -> ssl.SSLError | None:
    """What TLS says, in an exception or among its causes."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


class _Listening(ssl.SSLObject):
    """Says why a handshake fails: event loops close at once then, and would leave what OpenSSL has to say unsent."""

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            _log.warning("refused a connection: %s", explain(error))
            if not _is_about_certificates(error):
                raise
            self._failure = (
                error  # for when the other side has read it, and closes or says something
            )
            raise ssl.SSLWantReadError(2, "an alert is to be sent") from None


def _is_about_certificates(error: ssl.SSLError) -> bool:
    is_missing = error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    return is_missing or isinstance(error, ssl.SSLCertVerificationError)


def _judging(
    identity: TlsIdentity, roles: Set[str], base: type[ssl.SSLObject]
) -> type[ssl.SSLObject]:
    """A class of connections that end where they have found out who is there, if that is not one of `roles`."""

    class Judging(base):  # type: ignore[misc, valid-type]
        def do_handshake(self) -> None:
            super().do_handshake()
            reason = identity.judge(self.getpeercert(), roles)
            if reason is not None:
                _log.warning("refused a connection: %s", reason)
                raise PeerRefused(1, reason)

    return Judging


def _uris(certificate: Mapping[str, Any]) -> list[str]:
    return [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]


def _shook(side: ssl.SSLObject) -> bool:
    """A step; whether it was the last one."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _state(path: Path) -> tuple[int, int, int] | None:
    """What is another one when the file is."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return explain(error)
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
    return str(error)
