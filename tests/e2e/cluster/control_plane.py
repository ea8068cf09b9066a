"""A control plane without nodes: etcd and kube-apiserver as processes of this machine, on its loopback only.

No root is needed, and nothing stays behind. Enough for what the API server alone decides: schemas, rules, owners of
fields, permissions, watches. Objects are kept, but no controller acts on them and no pod runs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3

from tests.e2e.cluster.api import Api, Refusal

HERE = Path(__file__).parent
PROGRAMS = ("etcd", "kube-apiserver")
READY_SECONDS = 180.0
STOP_SECONDS = 20.0
ADMIN = "token-of-the-administrator"


class NotBuilt(Exception):
    """The programs are not there."""


def programs() -> Path:
    """Where build-control-plane has put them. Raises NotBuilt."""
    where = subprocess.run(
        [HERE / "build-control-plane", "--where"], check=True, capture_output=True, text=True
    )
    folder = Path(where.stdout.strip())
    missing = [name for name in PROGRAMS if not (folder / name).exists()]
    if missing:
        raise NotBuilt(f"{', '.join(missing)} not in {folder}: `make kubernetes` builds them")
    return folder


@contextlib.contextmanager
def control_plane(folder: Path, state: Path) -> Iterator[Api]:
    """Started, ready, and gone behind it. What it writes is in `state`, logs too."""
    client, peer, secure = free_ports(3)
    _write_credentials(state)
    etcd = [
        folder / "etcd",
        *(f"--data-dir={state / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn"),
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
    ]
    api_server = [
        folder / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{client}",
        *("--bind-address=127.0.0.1", f"--secure-port={secure}", f"--cert-dir={state}"),
        *("--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none"),
        *(f"--token-auth-file={state / 'tokens'}", "--authorization-mode=RBAC"),
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={state / 'service-accounts.key'}",
        f"--service-account-signing-key-file={state / 'service-accounts.key'}",
        # Nothing makes the default ServiceAccount that it would wait for.
        "--disable-admission-plugins=ServiceAccount",
    ]
    # In this order: without etcd an API server hangs in its end.
    with process(etcd, state / "etcd.log"), process(api_server, state / "apiserver.log") as running:
        api = Api(f"https://127.0.0.1:{secure}", state / "apiserver.crt", ADMIN)
        _wait_until_ready(api, running, state / "apiserver.log")
        yield api


@contextlib.contextmanager
def process(command: list[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Of a session of its own, ended by SIGTERM, or else killed."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def free_ports(count: int) -> list[int]:
    """That nobody listens at now."""
    with contextlib.ExitStack() as open_until_all_are_known:
        sockets = [open_until_all_are_known.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _write_credentials(state: Path) -> None:
    state.mkdir(parents=True, exist_ok=True)
    tokens = state / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(f'{ADMIN},admin,admin,"system:masters"\n')
    subprocess.run(
        ["openssl", "genrsa", "-out", state / "service-accounts.key", "2048"],
        check=True,
        capture_output=True,
        env={**os.environ, "RANDFILE": str(state / ".rnd")},
    )


def _wait_until_ready(api: Api, running: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up and running.poll() is None:
        with contextlib.suppress(OSError, Refusal, urllib3.exceptions.HTTPError):
            api.get("/readyz")
            return
        time.sleep(0.1)
    raise RuntimeError(f"the API server did not become ready: {log.read_text()[-3000:]}")
