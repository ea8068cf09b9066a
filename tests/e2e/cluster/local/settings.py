"""Where everything of the cluster is: addresses, ports, folders. Only names; nothing is made here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
API_PORT = 6443
ETCD_PORT = 12379
BRIDGE = "fjbr"
NAT_TABLE = "flowjob"
CONTROL_GROUP = "flowjob"
"""Below each controller of /sys/fs/cgroup: all pods of the cluster are in it."""
PAUSE = "localhost/flowjob-pause:1"


@dataclass(frozen=True)
class Node:
    """One of the machine's nodes, counted from 1, with a bridge, a runtime and a kubelet of its own."""

    number: int
    state: Path

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def bridge(self) -> str:
        return f"{BRIDGE}{self.number}"

    @property
    def subnet(self) -> str:
        return f"10.244.{self.number - 1}"

    @property
    def address(self) -> str:
        return f"{self.subnet}.1"

    @property
    def folder(self) -> Path:
        return self.state / self.name

    @property
    def socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def control_group(self) -> str:
        return f"{CONTROL_GROUP}/{self.name}"


@dataclass(frozen=True)
class Settings:
    programs: Path
    """What build-control-plane has made"""
    state: Path
    """Everything that the cluster writes"""
    node_count: int = 1
    quick_node_loss: bool = False
    """A node that says nothing is given up after seconds instead of minutes"""

    @property
    def nodes(self) -> list[Node]:
        return [Node(number, self.state) for number in range(1, self.node_count + 1)]

    @property
    def known_nodes(self) -> list[Node]:
        """Of which anything is in the state, whatever was asked for."""
        numbers = [int(path.name.removeprefix("node")) for path in self.state.glob("node[0-9]*")]
        return [Node(number, self.state) for number in sorted(numbers)]

    @property
    def address(self) -> str:
        """Of the API server and of DNS: pods reach it, other machines do not."""
        return Node(1, self.state).address

    @property
    def certificates(self) -> Path:
        return self.state / "certificates"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.state / "kubeconfigs" / f"{user}.conf"

    def program(self, name: str) -> Path:
        return self.programs / name


def default_state() -> Path:
    if chosen := os.environ.get("FLOWJOB_CLUSTER"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "flowjob" / "cluster"
