"""A node: containerd, its network plugin, and a kubelet, with control groups of its own.

Several fit on one machine. None needs the right to raise limits of the machine: see `restrict_oom_score_adj`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.cluster.local.certificates import kubelet_user
from tests.e2e.cluster.local.processes import Processes, succeeds
from tests.e2e.cluster.local.settings import PAUSE, Node, Settings

CONTROL_GROUPS = Path("/sys/fs/cgroup")
CPU_SHARES = {"cpu.shares": "10240", "cpu.weight": "1000"}
"""As much as ten processes outside: by default all pods together would get as much as one."""
OPEN_FILES = 20_000

CONTAINERD = """
version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Pods keep the score of containerd where it may not be lowered: without this no pod starts.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


def start_runtime(node: Node, processes: Processes) -> None:
    _make_control_groups(node)
    plugins = node.folder / "cni" / "10-bridge.conflist"
    plugins.parent.mkdir(parents=True, exist_ok=True)
    plugins.write_text(json.dumps(_network_plugins(node), indent=1))
    configuration = node.folder / "containerd.toml"
    configuration.write_text(CONTAINERD.format(folder=node.folder, socket=node.socket, pause=PAUSE))
    name = runtime(node)
    processes.start(name, ["containerd", "--config", configuration])
    processes.wait(name, lambda: succeeds("ctr", "-a", node.socket, "version"))


def start_kubelet(settings: Settings, node: Node, processes: Processes) -> None:
    """Behind which pods can be bound to the node; `wait_for_node` says when it is ready."""
    configuration = node.folder / "kubelet.json"
    configuration.write_text(json.dumps(_kubelet(settings, node), indent=1))
    processes.start(
        kubelet(node),
        [
            settings.program("kubelet"),
            f"--config={configuration}",
            f"--kubeconfig={settings.kubeconfig(kubelet_user(node))}",
            *(f"--root-dir={node.folder}/kubelet", f"--hostname-override={node.name}"),
            f"--node-ip={node.address}",
        ],
    )


def wait_for_node(settings: Settings, node: Node, processes: Processes) -> None:
    kubectl = (settings.program("kubectl"), "--kubeconfig", settings.kubeconfig())
    ready = ("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=1s")
    processes.wait(kubelet(node), lambda: succeeds(*kubectl, *ready), 120.0)


def runtime(node: Node) -> str:
    return f"containerd-{node.name}"


def kubelet(node: Node) -> str:
    return f"kubelet-{node.name}"


def _make_control_groups(node: Node) -> None:
    """The kubelet wants its own to be there, in each controller of cgroup v1 or in the one of v2."""
    controllers = [CONTROL_GROUPS, *(path for path in CONTROL_GROUPS.iterdir() if path.is_dir())]
    for controller in controllers:
        # Of v1 there is one hierarchy per controller; of v2 the root itself is one, and its children are not.
        is_hierarchy = (controller / "cgroup.procs").exists()
        if not is_hierarchy or (controller != CONTROL_GROUPS and _is_unified()):
            continue
        group = controller
        for part in node.control_group.split("/"):
            parent, group = group, group / part
            group.mkdir(exist_ok=True)
            for inherited in ("cpuset.cpus", "cpuset.mems"):
                if (controller.name == "cpuset") and (parent / inherited).exists():
                    (group / inherited).write_text((parent / inherited).read_text())
            for name, share in CPU_SHARES.items():
                if (group / name).exists():
                    (group / name).write_text(share)


def _is_unified() -> bool:
    return (CONTROL_GROUPS / "cgroup.controllers").exists()


def _network_plugins(node: Node) -> dict[str, object]:
    subnet = {
        "subnet": f"{node.subnet}.0/24",
        "rangeStart": f"{node.subnet}.10",
        "gateway": node.address,
    }
    bridge = {
        "type": "bridge",
        "bridge": node.bridge,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": f"{node.folder}/ipam",
            "routes": [{"dst": "0.0.0.0/0"}],
            "ranges": [[subnet]],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def _kubelet(settings: Settings, node: Node) -> dict[str, object]:
    of = settings.certificates
    made: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "healthzPort": 0,
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.control_group}",
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{of}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{of}/{kubelet_user(node)}.crt",
        "tlsPrivateKeyFile": f"{of}/{kubelet_user(node)}.key",
        "clusterDomain": "cluster.local",
        "clusterDNS": [settings.address],
        "resolvConf": "/etc/resolv.conf",
        "oomScoreAdj": 0,
        "maxOpenFiles": OPEN_FILES,
        "makeIPTablesUtilChains": False,
        "serializeImagePulls": False,
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        # By default all nodes of a machine share one, and each deletes there what it does not know.
        "podLogsDir": f"{node.folder}/pod-logs",
        # An image that was collected could not be pulled again, and the disk is not the cluster's own.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
    }
    if settings.quick_node_loss:
        made |= {"nodeStatusUpdateFrequency": "2s", "nodeLeaseDurationSeconds": 6}
    return made
