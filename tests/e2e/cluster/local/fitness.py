"""Whether this machine can run a cluster of its own, in one sentence about the first thing that it lacks.

Looks, and changes nothing; what can be installed does not count. `Machine` is what was seen, so that a test can be any
machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CAPABILITIES = {"SYS_ADMIN": 21, "NET_ADMIN": 12}
"""By their bits. To mount and to make namespaces; to make bridges and rules."""
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
GIB = 2**30
LEAST_MEMORY = 6 * GIB
LEAST_DISK = 10 * GIB
"""Where nothing is built yet: Go's caches, the programs, the images."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """system         as uname says it
    user           effective
    capabilities   bits that are effective
    groups         control groups: by controller, whether new ones can be made; of v2 the only one is `unified`
    file_systems   that the kernel knows
    programs       by name, whether they are there
    memory, disk   bytes: of the machine, and free where caches are
    """

    system: str
    user: int
    capabilities: int
    groups: Mapping[str, bool]
    file_systems: frozenset[str]
    programs: Mapping[str, bool]
    built: bool
    memory: int
    disk: int


def what_is_missing(machine: Machine) -> str | None:
    """None: nothing, as far as can be told before it is tried."""
    if machine.system != "Linux":
        return f"Linux is needed, and this is {machine.system}"
    if machine.user != 0:
        return "root is needed, for containers and their network"
    lacking = [n for n, bit in CAPABILITIES.items() if not machine.capabilities >> bit & 1]
    if lacking:
        names = " and ".join(f"CAP_{name}" for name in lacking)
        return (
            f"the rights to mount and to make networks are needed: this process is without {names}"
        )
    closed = [name for name in _hierarchies(machine.groups) if not machine.groups.get(name)]
    if closed:
        return f"control groups cannot be made below /sys/fs/cgroup ({', '.join(closed)})"
    if "overlay" not in machine.file_systems:
        return "the kernel has no overlay file system, which images need"
    if not machine.built and not machine.programs["go"]:
        return "Go (go.dev) is needed, to build Kubernetes"
    absent = sorted(
        n for n, there in machine.programs.items() if not there and n not in ("go", "apt-get")
    )
    if absent and not machine.programs["apt-get"]:
        return f"{', '.join(absent)} must be installed, and there is no apt-get"
    if machine.memory < LEAST_MEMORY:
        return f"{LEAST_MEMORY // GIB} GiB of memory are needed, and there are {machine.memory / GIB:.1f}"
    if not machine.built and machine.disk < LEAST_DISK:
        return f"{LEAST_DISK // GIB} GiB of disk are needed to build it, and {machine.disk / GIB:.1f} are free"
    return None


def _hierarchies(groups: Mapping[str, bool]) -> tuple[str, ...]:
    return ("unified",) if "unified" in groups else CONTROLLERS


def this_machine(built: bool, needed: Mapping[str, str]) -> Machine:
    """`built`: the programs of the cluster are there; `needed`: other programs."""
    names = {"go", "apt-get", *needed}
    return Machine(
        system=os.uname().sysname,
        user=os.geteuid(),
        capabilities=_capabilities(),
        groups=_groups(Path("/sys/fs/cgroup")),
        file_systems=_file_systems(),
        programs={name: shutil.which(name) is not None for name in names},
        built=built,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        disk=shutil.disk_usage(_existing(Path.home())).free,
    )


def _capabilities() -> int:
    lines = _read(Path("/proc/self/status")).splitlines()
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def _groups(top: Path) -> dict[str, bool]:
    if (top / "cgroup.controllers").exists():
        return {"unified": _writable(top)}
    return {
        name: (top / name / "cgroup.procs").exists() and _writable(top / name)
        for name in CONTROLLERS
    }


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY


def _file_systems() -> frozenset[str]:
    """A module counts: it is loaded when something of it is mounted."""
    known = {line.split()[-1] for line in _read(Path("/proc/filesystems")).splitlines() if line}
    modules = Path("/lib/modules") / os.uname().release / "modules.dep"
    return frozenset(known | ({"overlay"} if "/overlay.ko" in _read(modules) else set()))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
