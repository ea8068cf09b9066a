"""The control plane: etcd, API server, controllers, scheduler. All of it is on this machine's own addresses."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cluster.local.processes import Processes, succeeds
from tests.e2e.cluster.local.settings import API_PORT, ETCD_PORT, SERVICES, Settings

# With the default limits controllers start one after the other for seconds, and pods of a test come late.
CLIENT_LIMITS = ("--kube-api-qps=1000", "--kube-api-burst=2000")

DNS_MAY_WATCH = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: flowjob:dns}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: flowjob:dns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: flowjob:dns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: flowjob:dns}]
"""


def start_api(settings: Settings, processes: Processes) -> None:
    processes.start("etcd", _etcd(settings))
    processes.start("apiserver", _api_server(settings))
    kubectl = (settings.program("kubectl"), "--kubeconfig", settings.kubeconfig())
    processes.wait("apiserver", lambda: succeeds(*kubectl, "get", "--raw", "/readyz"), 180.0)


def start_controllers(settings: Settings, processes: Processes) -> None:
    """Returns when pods can be made: they need the default ServiceAccount."""
    processes.start("controller-manager", _controller_manager(settings))
    processes.start(
        "scheduler", [settings.program("kube-scheduler"), *_client(settings, "scheduler")]
    )
    kubectl = (settings.program("kubectl"), "--kubeconfig", settings.kubeconfig())
    processes.wait(
        "controller-manager", lambda: succeeds(*kubectl, "get", "serviceaccount", "default"), 180.0
    )


def _etcd(settings: Settings) -> list[str | Path]:
    client, peer = (f"http://127.0.0.1:{port}" for port in (ETCD_PORT, ETCD_PORT + 1))
    return [
        settings.program("etcd"),
        *(f"--data-dir={settings.state / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        f"--initial-cluster=default={peer}",
    ]


def _api_server(settings: Settings) -> list[str | Path]:
    of = settings.certificates
    command: list[str | Path] = [
        settings.program("kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
        *(f"--bind-address={settings.address}", f"--advertise-address={settings.address}"),
        *(f"--secure-port={API_PORT}", f"--service-cluster-ip-range={SERVICES}"),
        *(f"--tls-cert-file={of}/apiserver.crt", f"--tls-private-key-file={of}/apiserver.key"),
        f"--client-ca-file={of}/ca.crt",
        *("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"),
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={of}/tokens.pub",
        f"--service-account-signing-key-file={of}/tokens.key",
        f"--kubelet-client-certificate={of}/kubelet-client.crt",
        f"--kubelet-client-key={of}/kubelet-client.key",
        *("--kubelet-preferred-address-types=InternalIP", "--allow-privileged=true"),
        # Nobody uses these; without them controllers log an error every ten seconds.
        *(f"--requestheader-client-ca-file={of}/ca.crt", "--requestheader-allowed-names=nobody"),
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    ]
    if settings.quick_node_loss:
        command += [
            f"--default-{taint}-toleration-seconds=5" for taint in ("not-ready", "unreachable")
        ]
    return command


def _controller_manager(settings: Settings) -> list[str | Path]:
    of = settings.certificates
    command: list[str | Path] = [
        settings.program("kube-controller-manager"),
        *_client(settings, "controller-manager"),
        *("--use-service-account-credentials", f"--root-ca-file={of}/ca.crt"),
        f"--service-account-private-key-file={of}/tokens.key",
        *(f"--cluster-signing-cert-file={of}/ca.crt", f"--cluster-signing-key-file={of}/ca.key"),
    ]
    if settings.quick_node_loss:
        command += ["--node-monitor-period=1s", "--node-monitor-grace-period=10s"]
    return command


def _client(settings: Settings, user: str) -> list[str]:
    path = settings.kubeconfig(user)
    return [
        *(f"--kubeconfig={path}", f"--authentication-kubeconfig={path}"),
        *(f"--authorization-kubeconfig={path}", "--leader-elect=false", "--bind-address=127.0.0.1"),
        *CLIENT_LIMITS,
    ]
