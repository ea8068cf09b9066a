"""Which cluster the scenarios run on: that of KUBECONFIG, else kind where docker runs, else one made of this machine.

Each knows how images get to its nodes, and what it can suffer: a lost node, an API server that is away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster.local.settings import default_state
from tests.e2e.harness.tools import Tools

CLUSTER = Path(__file__).parent.parent / "cluster"
KIND = "flowjob-e2e"


@dataclass(frozen=True)
class GivenCluster:
    """Somebody else's: its nodes must be able to pull the images, or have them."""

    tools: Tools

    def load(self, images: Sequence[str]) -> None:
        """Nothing: `localhost/…` must be on the nodes already."""

    def down(self) -> None:
        """It stays as it was."""


@dataclass(frozen=True)
class KindCluster:
    tools: Tools
    was_there: bool

    def load(self, images: Sequence[str]) -> None:
        command = ["kind", "load", "docker-image", "--name", KIND, *images]
        subprocess.run(command, check=True, capture_output=True)

    def down(self) -> None:
        if not self.was_there:
            subprocess.run(["kind", "delete", "cluster", "--name", KIND], check=True)


@dataclass(frozen=True)
class LocalCluster:
    tools: Tools
    was_there: bool

    def load(self, images: Sequence[str]) -> None:
        self.command("load", *images)

    def down(self) -> None:
        if not self.was_there:
            self.command("down")

    def command(self, *words: str) -> None:
        """`lose node2`, `kill apiserver`, `up`: what only a cluster of one's own can be put through."""
        subprocess.run([CLUSTER / "local-cluster", *words], check=True)


AnyCluster = GivenCluster | KindCluster | LocalCluster


def cluster() -> AnyCluster:
    """Started, where it is not there."""
    match wanted := wanted_cluster():
        case "given":
            return GivenCluster(Tools(Path(os.environ["KUBECONFIG"])))
        case "kind":
            return _kind()
        case "local":
            return _local()
    raise ValueError(f"FLOWJOB_CLUSTER_KIND={wanted}: given, kind or local")


def wanted_cluster() -> str:
    """given, kind or local; FLOWJOB_CLUSTER_KIND decides where it is not clear."""
    return os.environ.get("FLOWJOB_CLUSTER_KIND") or _kind_at_hand()


def _kind_at_hand() -> str:
    given = os.environ.get("KUBECONFIG")
    if given and Path(given) != default_state() / "kubeconfigs" / "admin.conf":
        return "given"
    return "kind" if shutil.which("kind") and _succeeds("docker", "info") else "local"


def _kind() -> KindCluster:
    kubeconfig = default_state().parent / "kind.conf"
    listed = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True)
    was_there = KIND in listed.stdout.split()
    configuration = CLUSTER / "kind.yaml"
    making = ["kind", "create", "cluster", "--name", KIND, f"--config={configuration}"]
    if not was_there:
        subprocess.run([*making, f"--kubeconfig={kubeconfig}", "--wait=180s"], check=True)
    exporting = ["kind", "export", "kubeconfig", "--name", KIND, f"--kubeconfig={kubeconfig}"]
    subprocess.run(exporting, check=True, capture_output=True)
    return KindCluster(Tools(kubeconfig), was_there)


def _local() -> LocalCluster:
    where = subprocess.run(
        [CLUSTER / "build-control-plane", "--where"], capture_output=True, text=True, check=True
    )
    programs = Path(where.stdout.strip())
    kubeconfig = default_state() / "kubeconfigs" / "admin.conf"
    tools = Tools(kubeconfig, programs)
    was_there = kubeconfig.exists() and _succeeds(
        str(programs / "kubectl"), f"--kubeconfig={kubeconfig}", "--request-timeout=5s", "version"
    )
    made = LocalCluster(tools, was_there)
    made.command("up", f"--nodes={os.environ.get('FLOWJOB_E2E_NODES', '2')}")
    return made


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Says which it is. Of this machine: what it is made with is installed and built, or it is said what is missing."""
    wanted = wanted_cluster()
    sys.stdout.write(f"scenarios run on a cluster: {wanted}\n")
    sys.stdout.flush()
    if wanted != "local":
        return 0
    return subprocess.run([CLUSTER / "local-cluster", "prepare"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
