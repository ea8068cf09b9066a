"""What holds for every test: nothing leaks out of it, and hypothesis is reproducible in CI."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

GRACE_SECONDS = 5.0
"""How long a child process or a thread that has been told to stop may take to be gone."""

LASTING_THREADS = ("asyncio_", "pyarrow", "pytest_timeout", "execnet")
"""Threads of pools that live as long as the process."""

LASTING_PROCESSES = ("resource_tracker", "forkserver")
"""Helpers of the standard library that live as long as the process."""

SPARE_FILES = 4
"""Descriptors that a first use opens for the life of the process (imports, pools, devices)."""


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if not t.name.startswith(LASTING_THREADS)}


def _children() -> set[int]:
    """Direct children only, read where the kernel lists them: this runs around every test."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children") as listed:
            found.update(int(pid) for pid in listed.read().split())
    return found


def _wait_for_end(pids: set[int]) -> list[str]:
    """The command lines of those that are still there after the grace time."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    commands = [" ".join(p.cmdline()) for p in alive if p.is_running()]
    return [c for c in commands if not any(lasting in c for lasting in LASTING_PROCESSES)]


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a thread, a child process or a file descriptor behind.

    Pending asyncio tasks show up as warnings ("Task was destroyed", "never awaited"), which are
    errors here. A test marked `leaks_allowed` says why it may."""
    if request.node.get_closest_marker("leaks_allowed"):
        yield
        return
    threads, children, files = _threads(), _children(), _open_files()
    yield
    left = _threads() - threads
    if left:  # a pool ends its threads when it is collected; what finalizers held on to goes in a second pass
        gc.collect()
        gc.collect()
    for thread in left:
        thread.join(GRACE_SECONDS)
    assert not [t.name for t in left if t.is_alive()], "the test left threads behind"
    assert not _wait_for_end(_children() - children), "the test left processes behind"
    if _open_files() > files:
        gc.collect()  # what only waits for its finalizer is not a leak
        assert _open_files() <= files + SPARE_FILES, "the test left files or sockets open"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """For tests that run whole jobs: temporary files go here, and none may stay behind."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).parent.parent
