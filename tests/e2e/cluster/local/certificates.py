"""The cluster's certificate authority, a certificate for each of its parts, and kubeconfigs with them.

Made once and kept. They end with the state directory, and are good for nothing outside of this machine."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

from tests.e2e.cluster.local.settings import API_PORT, FIRST_SERVICE, Node, Settings

DAYS = "3650"
USERS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
    "dns": "/CN=flowjob:dns",
}


def make_certificates(settings: Settings) -> None:
    """Those that are missing."""
    folder = settings.certificates
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not (folder / "ca.crt").exists():
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS),
            *(
                "-subj",
                "/CN=flowjob-tests",
                "-keyout",
                folder / "ca.key",
                "-out",
                folder / "ca.crt",
            ),
        )
    if not (folder / "tokens.pub").exists():
        _openssl("genrsa", "-out", folder / "tokens.key", "2048")
        _openssl("rsa", "-in", folder / "tokens.key", "-pubout", "-out", folder / "tokens.pub")
    _certificate(folder, "apiserver", "/CN=kube-apiserver", _names_of_api_server(settings))
    _certificate(folder, "kubelet-client", "/O=system:masters/CN=kubelet-client")
    for user, subject in USERS.items():
        _certificate(folder, user, subject)
        _kubeconfig(settings, user)
    for node in settings.nodes:
        user = kubelet_user(node)
        subject = f"/O=system:nodes/CN=system:node:{node.name}"
        _certificate(folder, user, subject, f"IP:{node.address},DNS:{node.name}")
        _kubeconfig(settings, user)


def kubelet_user(node: Node) -> str:
    return f"kubelet-{node.name}"


def _names_of_api_server(settings: Settings) -> str:
    addresses = ("127.0.0.1", settings.address, FIRST_SERVICE)
    service = ["kubernetes", "default", "svc", "cluster", "local"]
    names = ["localhost", *(".".join(service[:parts]) for parts in (1, 2, 3, 5))]
    return ",".join([*(f"IP:{address}" for address in addresses), *(f"DNS:{n}" for n in names)])


def _certificate(folder: Path, name: str, subject: str, names: str = "") -> None:
    key, request, made = (folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
    if made.exists():
        return
    extensions = folder / f"{name}.ext"
    lines = ["extendedKeyUsage=serverAuth,clientAuth"]
    extensions.write_text("\n".join([*lines, *([f"subjectAltName={names}"] if names else [])]))
    _openssl(
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject),
        *("-keyout", key, "-out", request),
    )
    _openssl(
        *("x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"),
        *("-CAcreateserial", "-days", DAYS, "-extfile", extensions, "-out", made),
    )
    request.unlink()
    extensions.unlink()


def _kubeconfig(settings: Settings, user: str) -> None:
    """JSON is YAML, so it can be written without a library."""
    path = settings.kubeconfig(user)
    if path.exists():
        return

    def data(name: str) -> str:
        return base64.b64encode((settings.certificates / name).read_bytes()).decode()

    cluster = {
        "server": f"https://{settings.address}:{API_PORT}",
        "certificate-authority-data": data("ca.crt"),
    }
    credentials = {
        "client-certificate-data": data(f"{user}.crt"),
        "client-key-data": data(f"{user}.key"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "local", "cluster": cluster}],
                "users": [{"name": user, "user": credentials}],
                "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
                "current-context": "local",
            }
        )
    )


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
