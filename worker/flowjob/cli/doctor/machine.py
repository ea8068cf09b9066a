"""Checks of this machine: Python and packages, compiled kernels, space, limits.

Each answers with findings and changes nothing. It must not import kernels in this process: they are tried in another,
which may not compile."""

from __future__ import annotations

import importlib.metadata
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from flowjob.cli.doctor.findings import Finding, ok, problem, warning

ENOUGH_FILES = 4096
LEAST_FILES = 1024
"""A worker process has a connection to each other one, and files of state that waits."""

ENOUGH_SPACE = 2 << 30
LEAST_SPACE = 200 << 20
"""Bytes where state and rows that wait are spooled."""

KERNELS_WITHIN = 120.0
"""Seconds to load all kernels; it takes one where nothing else runs."""

_NEEDED = re.compile(r"([A-Za-z0-9._-]+)(?:\[.*\])?\s*>=\s*([0-9.]+)")


def python() -> Iterator[Finding]:
    """Version and build of the interpreter."""
    version = sys.version_info
    said = f"{version.major}.{version.minor}.{version.micro} ({sys.executable})"
    if version < (3, 11):
        yield problem("python", said, "flowjob needs 3.11 or newer: make an environment with it")
        return
    yield ok("python", said)


def packages() -> Iterator[Finding]:
    """What flowjob itself needs, in the versions it needs."""
    try:
        needed = importlib.metadata.requires("flowjob") or []
    except importlib.metadata.PackageNotFoundError:
        yield warning(
            "packages",
            "flowjob is not installed here, only on the path: what it needs is not known",
            "pip install -e . in the checkout, or `make setup`",
        )
        return
    wrong: list[str] = []
    found: list[str] = []
    for line in needed:
        match = _NEEDED.match(line)
        if match is None or "extra ==" in line or "sys_platform" in line:
            continue
        said = _package(match[1], match[2])
        (wrong if said.endswith("!") else found).append(said)
    for said in wrong:
        yield problem("packages", said.rstrip("!"), f"{sys.executable} -m pip install -U flowjob")
    if not wrong:
        yield ok("packages", ", ".join(found))


def _package(name: str, least: str) -> str:
    """`numpy 2.4.6`; with `!` behind it when it is missing or too old."""
    try:
        have = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed, {least} or newer is needed!"
    if _numbers(have) < _numbers(least):
        return f"{name} is {have}, {least} or newer is needed!"
    return f"{name} {have}"


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(n) for n in found[0].split(".")) if found else ()


def kernels() -> Iterator[Finding]:
    """Whether all of them can be loaded without compiling."""
    program = (
        "from flowjob.kernels import compile as c; c.compile_all(); "
        "print(len(c.loaded()), c.cache_directory(), sep='\\t')"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "FLOWJOB_KERNELS": "require"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=KERNELS_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield warning(
            "kernels",
            f"they were not loaded within {KERNELS_WITHIN:.0f} s",
            "The machine is busy, or its disk slow: jobs will start slowly too",
        )
        return
    if done.returncode == 0:
        count, _, place = done.stdout.strip().partition("\t")
        yield ok("kernels", f"{count} compiled, in {place}")
        return
    last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    if "KernelNotCompiled" in last:
        yield warning(
            "kernels",
            "not all are compiled: the first job would take a minute to start",
            "flowjob setup",
        )
    else:
        yield problem("kernels", f"they cannot be loaded: {last}", "flowjob setup")


def temporary_space() -> Iterator[Finding]:
    """Where workers put what does not fit into memory."""
    place = tempfile.gettempdir()
    advice = "Free some, or name a larger disk in TMPDIR"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0")
        free = shutil.disk_usage(place).free
    except OSError as error:
        yield problem("temporary space", f"{place}: {error.strerror}", advice)
        return
    said = f"{free / (1 << 30):,.1f} GiB free in {place}"
    if free < LEAST_SPACE:
        yield problem("temporary space", said, advice)
    elif free < ENOUGH_SPACE:
        yield warning("temporary space", said, advice)
    else:
        yield ok("temporary space", said)


def open_files() -> Iterator[Finding]:
    """Of one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"at most {'any number' if soft == resource.RLIM_INFINITY else f'{soft:,}'}"
    raised = "" if hard == resource.RLIM_INFINITY else f" (up to {hard:,} without root)"
    advice = f"ulimit -n {ENOUGH_FILES}{raised}, in the shell or the unit that starts jobs"
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH_FILES:
        yield ok("open files", said)
    elif soft >= LEAST_FILES:
        yield warning("open files", f"{said}: little for more than some tens of subtasks", advice)
    else:
        yield problem("open files", f"{said}: jobs of more than a few subtasks will fail", advice)


def processors() -> Iterator[Finding]:
    """How much can run at once."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield ok("processors", f"{usable} usable: about as many subtasks run at full speed")
