"""`local-cluster up|down|is-up|can-run|prepare|load|lose|kubeconfig`: what people and the tests call.

Idempotent: what runs is left alone, what is missing is started."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.cluster.local.certificates import make_certificates
from tests.e2e.cluster.local.control import DNS_MAY_WATCH, start_api, start_controllers
from tests.e2e.cluster.local.fitness import this_machine, what_is_missing
from tests.e2e.cluster.local.network import make_network
from tests.e2e.cluster.local.node import (
    kubelet,
    runtime,
    start_kubelet,
    start_runtime,
    wait_for_node,
)
from tests.e2e.cluster.local.processes import DidNotStart, Processes, succeeds
from tests.e2e.cluster.local.services import start_services
from tests.e2e.cluster.local.settings import PAUSE, Node, Settings, default_state
from tests.e2e.cluster.local.stopping import end_pods_of, stop

HERE = Path(__file__).parent.parent
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "sysctl": "procps",
}


class CannotStart(Exception):
    """The machine lacks something that cannot be installed here."""


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    where = subprocess.run(
        [HERE / "build-control-plane", "--where"], check=True, capture_output=True, text=True
    )
    settings = Settings(
        programs=Path(where.stdout.strip()),
        state=default_state(),
        node_count=getattr(options, "nodes", 1),
        quick_node_loss=getattr(options, "quick_node_loss", False),
    )
    try:
        options.do(settings, options)
    except (CannotStart, DidNotStart, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, subprocess.CalledProcessError) and error.stderr:
            print(error.stderr, file=sys.stderr)
        return 1
    return 0


def up(settings: Settings, _options: argparse.Namespace) -> None:
    prepare(settings, argparse.Namespace())
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    processes = Processes(settings.state)
    make_certificates(settings)
    make_network(settings)
    say("certificates and network")
    start_api(settings, processes)
    say("API server")
    # Before DNS starts: what it is forbidden once it tries again seconds later.
    _kubectl(settings, "apply", "-f", "-", text=DNS_MAY_WATCH)
    for node in settings.nodes:
        start_runtime(node, processes)
    _load(settings, [PAUSE], only_missing=True)
    start_controllers(settings, processes)
    say("controllers")
    for node in settings.nodes:
        start_kubelet(settings, node, processes)
    start_services(settings, processes)
    say("Services and DNS")
    for node in settings.nodes:
        wait_for_node(settings, node, processes)
    say(f"{settings.node_count} node(s) ready: export KUBECONFIG={settings.kubeconfig()}")


def down(settings: Settings, options: argparse.Namespace) -> None:
    stop(settings, keep_images=not options.wipe)


def can_run(settings: Settings, _options: argparse.Namespace) -> None:
    """Nothing is changed; CannotStart says what is missing."""
    built = all(settings.program(name).exists() for name in ("kube-apiserver", "kubelet"))
    if missing := what_is_missing(this_machine(built, PACKAGES)):
        raise CannotStart(missing)


def is_up(settings: Settings, _options: argparse.Namespace) -> None:
    """Anything of it: a start that failed half-way counts."""
    processes = Processes(settings.state)
    if not any(processes.runs(name) for name in processes.names()):
        raise CannotStart("nothing of it runs")


def load(settings: Settings, options: argparse.Namespace) -> None:
    _load(settings, options.image, only_missing=True)


def lose(settings: Settings, options: argparse.Namespace) -> None:
    """A node without warning. `up` brings it back."""
    node = Node(int(options.node.removeprefix("node")), settings.state)
    processes = Processes(settings.state)
    processes.kill(kubelet(node))
    end_pods_of(node)
    processes.kill(runtime(node))


def kill(settings: Settings, options: argparse.Namespace) -> None:
    """A part of the control plane. `up` brings it back."""
    Processes(settings.state).kill(options.part)


def kubeconfig(settings: Settings, _options: argparse.Namespace) -> None:
    print(settings.kubeconfig())


def prepare(settings: Settings, _options: argparse.Namespace) -> None:
    """Debian packages and programs, where they are missing."""
    can_run(settings, argparse.Namespace())
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if missing:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        subprocess.run(install, check=True, env=quiet, stdout=subprocess.DEVNULL)
    subprocess.run([HERE / "build-control-plane", "--all"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([HERE / "build-images", "pause"], check=True, stdout=subprocess.DEVNULL)


def _load(settings: Settings, images: list[str], *, only_missing: bool) -> None:
    """Into every node that runs, from where they were built."""
    sockets = [node.socket for node in settings.known_nodes if node.socket.exists()]
    for image in images:
        lacking = [s for s in sockets if not (only_missing and _has_image(s, image))]
        if not lacking:
            continue
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            archive = f"{folder}/image.tar"
            subprocess.run(_saving(image, archive), check=True, capture_output=True, text=True)
            for socket in lacking:
                control = ["ctr", "-a", str(socket), "-n", "k8s.io"]
                subprocess.run(
                    [*control, "images", "import", archive],
                    check=True,
                    capture_output=True,
                    text=True,
                )


def _saving(image: str, archive: str) -> list[str]:
    """From where build-images has made it."""
    if shutil.which("docker") and succeeds("docker", "image", "inspect", image):
        return ["docker", "save", "--output", archive, image]
    return ["buildah", "push", "-q", image, f"docker-archive:{archive}:{image}"]


def _has_image(socket: Path, image: str) -> bool:
    names = ["ctr", "-a", str(socket), "-n", "k8s.io", "images", "list", "-q", f"name=={image}"]
    answer = subprocess.run(names, capture_output=True, text=True, check=False)
    return image in answer.stdout.split()


def _kubectl(settings: Settings, *words: str, text: str) -> None:
    command = [settings.program("kubectl"), "--kubeconfig", settings.kubeconfig(), *words]
    subprocess.run(command, input=text, check=True, capture_output=True, text=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local-cluster", description=__doc__)
    commands = parser.add_subparsers(required=True)
    starting = commands.add_parser("up", help="start what does not run")
    starting.add_argument("--nodes", type=int, default=1)
    starting.add_argument(
        "--quick-node-loss", action="store_true", help="give a silent node up after seconds"
    )
    starting.set_defaults(do=up)
    stopping = commands.add_parser("down", help="stop everything, forget all objects")
    stopping.add_argument("--wipe", action="store_true", help="also images and certificates")
    stopping.set_defaults(do=down)
    asking = commands.add_parser("is-up", help="whether anything of it runs")
    asking.set_defaults(do=is_up)
    commands.add_parser(
        "can-run", help="whether this machine can; else what is missing"
    ).set_defaults(do=can_run)
    commands.add_parser("prepare", help="install and build what is missing").set_defaults(
        do=prepare
    )
    loading = commands.add_parser("load", help="images into every node")
    loading.add_argument("image", nargs="+")
    loading.set_defaults(do=load)
    losing = commands.add_parser("lose", help="a node, as if its power had gone")
    losing.add_argument("node")
    losing.set_defaults(do=lose)
    killing = commands.add_parser(
        "kill", help="a part of the control plane: apiserver, scheduler, …"
    )
    killing.add_argument("part")
    killing.set_defaults(do=kill)
    commands.add_parser("kubeconfig", help="where it is").set_defaults(do=kubeconfig)
    return parser


sys.exit(main(sys.argv[1:]))
