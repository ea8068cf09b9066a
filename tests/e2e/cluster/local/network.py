"""Bridges that pods are connected to, and the one rule that lets them reach what is outside of the cluster."""

from __future__ import annotations

import re
import subprocess

from tests.e2e.cluster.local.processes import succeeds
from tests.e2e.cluster.local.settings import BRIDGE, NAT_TABLE, PODS, Settings

KERNEL_SETTINGS = {
    "net.ipv4.ip_forward": "1",
    # Else the answer of a pod on the same bridge goes past the translation of Service addresses.
    "net.bridge.bridge-nf-call-iptables": "1",
}

# One rule for all, not one per pod by the network plugin: those stay behind when a pod is killed. It leaves out traffic
# within the machine: rewriting connections between controllers and the API server stalls them for half a minute.
NAT_RULES = f"""
table ip {NAT_TABLE}
delete table ip {NAT_TABLE}
table ip {NAT_TABLE} {{
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {PODS} ip daddr != {PODS} oifname != "lo" masquerade
  }}
}}
"""


def make_network(settings: Settings) -> None:
    """Before anything connects: a rule that comes later would rewrite connections that are open."""
    for node in settings.nodes:
        if not succeeds("ip", "link", "show", node.bridge):
            _run("ip", "link", "add", node.bridge, "type", "bridge")
            _run("ip", "address", "add", f"{node.address}/24", "dev", node.bridge)
            _run("ip", "link", "set", node.bridge, "up")
    for name, value in KERNEL_SETTINGS.items():
        _run("sysctl", "-q", "-w", f"{name}={value}")
    if not succeeds("nft", "list", "table", "ip", NAT_TABLE):
        _run("nft", "-f", "-", text=NAT_RULES)


def remove_network() -> None:
    """Bridges, rules of ours and of kube-proxy, and the network of each pod that is left."""
    for pod in _lines("ip", "netns", "list"):
        name = pod.split()[0]
        addresses = "\n".join(_lines("ip", "-n", name, "-o", "-4", "address"))
        if name.startswith("cni-") and " 10.244." in addresses:
            _run("ip", "netns", "delete", name)  # and its end of the cable
    for table in (("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("ip", NAT_TABLE)):
        succeeds("nft", "delete", "table", *table)
    for link in _lines("ip", "-o", "link", "show", "type", "bridge"):
        if found := re.match(rf"\d+: ({BRIDGE}\d+):", link):
            _run("ip", "link", "delete", found[1])


def _lines(*command: str) -> list[str]:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.splitlines()


def _run(*command: str, text: str | None = None) -> None:
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {answer.stderr.strip()}")
