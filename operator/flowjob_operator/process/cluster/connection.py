"""Where the API server is and who asks: the pod's ServiceAccount, or a kubeconfig for those who run it by hand.

Reads files, opens nothing. Tokens are read again as they are rotated on disk."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from flowjob_operator.process.clock import Clock

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS: Final = 60.0
"""Tokens on disk are replaced long before they end."""


class NoConnection(Exception):
    """Nothing says where the API server is, or what does is wrong."""


@dataclass(frozen=True, slots=True)
class Connection:
    """`ca_file`, `certificate` and so on are paths; the last three are for clients with certificates."""

    server: str
    ca_data: str | None = None
    """PEM; None: what the system trusts"""
    insecure: bool = False
    token: str | None = None
    token_file: Path | None = None
    certificate_data: str | None = None
    key_data: str | None = None
    namespace: str | None = None
    """That of the pod, or of the kubeconfig's context"""

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca_data)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_data and self.key_data:
            # OpenSSL takes certificates of clients from files only.
            with tempfile.TemporaryDirectory() as folder:
                both = Path(folder) / "client.pem"
                both.touch(mode=0o600)
                both.write_text(f"{self.certificate_data}\n{self.key_data}\n")
                context.load_cert_chain(both)
        return context


class Tokens:
    """The bearer token, as the file has it now."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._token = connection.token
        self._read_at: float | None = None

    def header(self) -> dict[str, str]:
        """Raises NoConnection if the file cannot be read and never could be."""
        file = self._connection.token_file
        now = self._clock.monotonic()
        if file is not None and (self._read_at is None or now - self._read_at > TOKEN_SECONDS):
            try:
                self._token = file.read_text().strip()
                self._read_at = now
            except OSError as error:
                if self._token is None:
                    raise NoConnection(f"token: {error}") from None
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def forget(self) -> None:
        """The server does not take it any more: it is read again before the next request."""
        self._read_at = None


def find_connection(
    environment: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT
) -> Connection:
    """The pod's, else that of `KUBECONFIG` or `~/.kube/config`. Raises NoConnection."""
    host = environment.get("KUBERNETES_SERVICE_HOST")
    if host and (account / "token").exists():
        return _of_pod(host, environment.get("KUBERNETES_SERVICE_PORT", "443"), account)
    named = environment.get("KUBECONFIG")
    file = Path(named) if named else Path.home() / ".kube" / "config"
    if not file.exists():
        raise NoConnection(
            f"neither a ServiceAccount's token in {account} nor {file}: run the operator in a pod, or set KUBECONFIG"
        )
    try:
        return read_kubeconfig(file)
    except (KeyError, TypeError, ValueError, binascii.Error, yaml.YAMLError) as error:
        raise NoConnection(f"{file} is not a kubeconfig: {error}") from None


def _of_pod(host: str, port: str, account: Path) -> Connection:
    address = f"[{host}]" if ":" in host else host
    namespace = account / "namespace"
    return Connection(
        server=f"https://{address}:{port}",
        ca_data=(account / "ca.crt").read_text(),
        token_file=account / "token",
        namespace=namespace.read_text().strip() if namespace.exists() else None,
    )


def read_kubeconfig(file: Path) -> Connection:
    """Its current context. Raises KeyError, ValueError and the like for what it does not understand."""
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config.get("users") or [], context.get("user", ""))["user"] or {}
    if "exec" in user or "auth-provider" in user:
        raise ValueError("it runs a program to log in: use a token or a client certificate")
    folder = file.parent
    token_file = user.get("tokenFile")
    return Connection(
        server=str(cluster["server"]).rstrip("/"),
        ca_data=_text(cluster, "certificate-authority", folder),
        insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
        token=user.get("token"),
        token_file=folder / token_file if token_file else None,
        certificate_data=_text(user, "client-certificate", folder),
        key_data=_text(user, "client-key", folder),
        namespace=context.get("namespace"),
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry.get("name") == name:
            return entry
    raise KeyError(f"no entry {name!r}")


def _text(entry: dict[str, Any], name: str, folder: Path) -> str | None:
    """PEM, given as a path or as base64."""
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"], validate=True).decode()
    if name in entry:
        return (folder / str(entry[name])).read_text()
    return None
