"""What makes Services and names work: kube-proxy, one for all nodes, since they share the network, and DNS."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from tests.e2e.cluster.local.processes import Processes
from tests.e2e.cluster.local.settings import PODS, Settings

PROXY_HEALTH = "127.0.0.1:10256"
DNS_HEALTH = "127.0.0.1:8181"

# No cache: names come and go with their pods, and tests look for both.
DNS = """
.:53 {{
  bind {address}
  errors
  ready {health}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig} local
    ttl 0
  }}
  forward . /etc/resolv.conf
}}
"""


def start_services(settings: Settings, processes: Processes) -> None:
    proxy = settings.state / "proxy.json"
    wanted = json.dumps(_proxy(settings), indent=1)
    # kube-proxy ends when its file is written, even with what it holds already.
    if not proxy.exists() or proxy.read_text() != wanted:
        proxy.write_text(wanted)
    names = settings.state / "Corefile"
    names.write_text(
        DNS.format(
            address=settings.address, health=DNS_HEALTH, kubeconfig=settings.kubeconfig("dns")
        )
    )
    processes.start("proxy", [settings.program("kube-proxy"), f"--config={proxy}"])
    processes.start("dns", [settings.program("coredns"), "-conf", names])
    processes.wait("dns", lambda: _answers(f"http://{DNS_HEALTH}/ready"))
    processes.wait("proxy", lambda: _answers(f"http://{PROXY_HEALTH}/healthz"))


def _proxy(settings: Settings) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(settings.kubeconfig("proxy"))},
        # Leaves two tables behind, which are easily deleted; iptables leaves dozens of rules.
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": settings.nodes[0].name,
        "bindAddress": settings.address,
        "healthzBindAddress": PROXY_HEALTH,
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # At the default of a second a Service goes on sending everything to the first pod that was ready.
        "nftables": {"minSyncPeriod": "100ms"},
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False
