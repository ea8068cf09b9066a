"""The settings of a cluster's service, from the environment, each checked: what is wrong is said by its name.

Pure: a mapping in, settings out. docs/rest.md has the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowjob_api.services.cluster.kubernetes import Place
from flowjob_api.settings import Settings

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class BadSetting(Exception):
    """Names the variable, and says what it may be."""


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """listen        host and port
    identity      directory with ca.crt, tls.crt, tls.key towards JobManagers, and session.key; None: plain HTTP
    certificate   directory with tls.crt and tls.key for browsers and scripts; None: a proxy has them
    namespaces    those that are looked at; empty: all
    proxies       whose X-Forwarded-Proto is believed
    """

    host: str
    port: int
    place: Place
    identity: Path | None
    certificate: Path | None
    namespaces: tuple[str, ...]
    proxies: str
    log_level: str
    settings: Settings


def read(environment: Mapping[str, str]) -> ClusterSettings:
    """Raises BadSetting."""
    identity = environment.get("FLOWJOB_API_IDENTITY", "")
    certificate = environment.get("FLOWJOB_API_CERTIFICATE", "")
    return ClusterSettings(
        host=environment.get("FLOWJOB_API_HOST", "0.0.0.0"),
        port=_number(environment, "FLOWJOB_API_PORT", 8443 if certificate else 8081, 1, 65_535),
        place=_place(environment),
        identity=Path(identity) if identity else None,
        certificate=Path(certificate) if certificate else None,
        namespaces=_words(environment, "FLOWJOB_API_NAMESPACES"),
        proxies=environment.get("FLOWJOB_API_PROXIES", ""),
        log_level=environment.get("FLOWJOB_API_LOG", "info"),
        settings=Settings(
            root_path=_root(environment.get("FLOWJOB_API_ROOT_PATH", "")),
            writes_per_minute=_number(environment, "FLOWJOB_API_WRITES_PER_MINUTE", 60, 1, 100_000),
            followers=_number(environment, "FLOWJOB_API_FOLLOWERS", 500, 1, 100_000),
        ),
    )


def _place(environment: Mapping[str, str]) -> Place:
    if server := environment.get("FLOWJOB_API_KUBERNETES", ""):
        token = environment.get("FLOWJOB_API_TOKEN_FILE", "")
        return Place(server.rstrip("/"), None, Path(token) if token else None)
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        raise BadSetting(
            "KUBERNETES_SERVICE_HOST is not set: this runs in a pod of the cluster whose FlowJobs it serves; for a job "
            "of this machine, use `flowjob run --web`"
        )
    address = f"[{host}]" if ":" in host else host
    port = _number(environment, "KUBERNETES_SERVICE_PORT", 443, 1, 65_535)
    return Place(f"https://{address}:{port}", ACCOUNT / "ca.crt", ACCOUNT / "token")


def _number(
    environment: Mapping[str, str], name: str, otherwise: int, least: int, most: int
) -> int:
    text = environment.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise BadSetting(
            f"{name} is `{text[:40]}`: a whole number from {least} to {most} is wanted"
        )
    return int(text)


def _words(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in environment.get(name, "").split(",") if word.strip())


def _root(text: str) -> str:
    if text and (not text.startswith("/") or text.endswith("/")):
        raise BadSetting(
            f"FLOWJOB_API_ROOT_PATH is `{text[:80]}`: it begins with / and ends without"
        )
    return text
