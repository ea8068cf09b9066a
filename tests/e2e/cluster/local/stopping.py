"""Takes the cluster down, in an order in which nothing is left: pods outlive both kubelet and containerd.

Also after a start that failed half-way, or when a part of it was killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.cluster.local.network import remove_network
from tests.e2e.cluster.local.node import CONTROL_GROUPS, runtime
from tests.e2e.cluster.local.processes import Processes, succeeds
from tests.e2e.cluster.local.settings import CONTROL_GROUP, Node, Settings

POD_SECONDS = 10.0


def stop(settings: Settings, *, keep_images: bool = True) -> None:
    """What is kept: certificates, and without `keep_images` nothing."""
    processes = Processes(settings.state)
    servers = ("apiserver", "etcd")
    runtimes = [runtime(node) for node in settings.known_nodes]
    processes.stop(name for name in processes.names() if name not in (*servers, *runtimes))
    for name in servers:  # In this order: an API server without etcd hangs in its end.
        processes.stop([name])
    for node in settings.known_nodes:
        _end_pods(node)
    processes.stop(runtimes)
    _kill_what_is_left(settings)
    _unmount(settings.state)
    remove_network()
    _remove_control_groups()
    for node in settings.known_nodes:
        for folder in ("ipam", "kubelet", "pod-logs"):
            shutil.rmtree(node.folder / folder, ignore_errors=True)
    for folder in ("etcd", "logs", "processes"):
        shutil.rmtree(settings.state / folder, ignore_errors=True)
    if not keep_images:
        shutil.rmtree(settings.state, ignore_errors=True)


def end_pods_of(node: Node) -> None:
    """As if the node had lost its power: its pods are gone, and nobody says so."""
    _end_pods(node)


def _end_pods(node: Node) -> None:
    if not succeeds("ctr", "-a", node.socket, "version"):
        return
    control = ("ctr", "-a", str(node.socket), "-n", "k8s.io")

    def end(task: str) -> None:
        succeeds(*control, "tasks", "kill", "-s", "SIGKILL", task)
        succeeds(*control, "tasks", "delete", "-f", task)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(end, _lines(*control, "tasks", "list", "-q")))
    for container in _lines(*control, "containers", "list", "-q"):
        succeeds(*control, "containers", "delete", container)


def _kill_what_is_left(settings: Settings) -> None:
    """Processes of pods whose containerd was killed, and those that watched over them."""
    give_up = time.monotonic() + POD_SECONDS
    while (left := [*_processes_of_pods(), *_shims(settings.state)]) and time.monotonic() < give_up:
        for number in left:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)


def _processes_of_pods() -> Iterator[int]:
    for top in (CONTROL_GROUPS / "pids" / CONTROL_GROUP, CONTROL_GROUPS / CONTROL_GROUP):
        for members in top.rglob("cgroup.procs"):
            yield from map(int, members.read_text().split())


def _shims(state: Path) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        shim = words[0].endswith(b"containerd-shim-runc-v2")
        if shim and any(word.startswith(f"{state}/node".encode()) for word in words):
            yield int(process.name)


def _unmount(state: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{state}/")), reverse=True):
        succeeds("umount", "-l", mount)


def _remove_control_groups() -> None:
    tops = [CONTROL_GROUPS / CONTROL_GROUP, *CONTROL_GROUPS.glob(f"*/{CONTROL_GROUP}")]
    for top in tops:
        if not top.is_dir():
            continue
        for folder in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
            _remove(folder)
        _remove(top)


def _remove(group: Path) -> None:
    try:
        group.rmdir()
    except OSError:
        pass  # A process that is just being reaped; the next `down` finds it gone.


def _lines(*command: str) -> list[str]:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.split()
