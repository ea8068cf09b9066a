"""Child processes on this machine: started so that none survives its parent, waited for without
threads.

Kept free of heavy imports, asyncio included: the command line starts its TaskManagers with it
before it imports anything else, so that processes start while the job is still being imported."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import flowjob

LINUX = sys.platform == "linux"
_NUMERIC_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_TOP_PAD_": str(8 << 20),
    "MALLOC_ARENA_MAX": "2",
    "MIMALLOC_PURGE_DELAY": "3000",
}
"""For glibc and for Arrow's memory pool (ms): a stream asks again and again for arrays of some megabytes, and a
checkpoint for as many as the last one. By themselves they give each back to the kernel at once, and the next one costs
a fault for every page: a tenth of the time of a job that moves columns."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


class RealProcess:
    """See env.Process. It is tied to us by a pipe: its standard input ends when we do."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    def send(self, data: bytes) -> None:
        """A few bytes, which a pipe takes without waiting."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.write(data)
            self._popen.stdin.flush()

    def exit_reason(self, status: int) -> str:
        return exit_reason(status)

    async def wait(self) -> int:
        if self._popen.poll() is None:
            await _until_exit(self._popen)
        if self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()
        return self._popen.wait()

    def kill(self) -> None:
        self._popen.kill()

    def terminate(self) -> None:
        self._popen.terminate()


async def _until_exit(popen: subprocess.Popen[bytes]) -> None:
    """By pidfd where there is one: no thread, no SIGCHLD handler that fights with the user's."""
    import asyncio

    loop = asyncio.get_running_loop()
    if not hasattr(os, "pidfd_open"):
        await loop.run_in_executor(None, popen.wait)
        return
    pidfd = os.pidfd_open(popen.pid)
    exited = asyncio.Event()
    loop.add_reader(pidfd, exited.set)
    try:
        await exited.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def spawn_python(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> RealProcess:
    """Starts `python -P -m <arguments>` with our package importable, whatever the directory.

    Ctrl-C reaches the whole process group: SIGINT stays blocked in the child until it ignores it
    (`ignore_interrupts`), since only the JobManager decides what it means."""
    root = str(Path(flowjob.__path__[0]).parent)
    inherited = dict(os.environ if environment is None else environment)
    paths = [root, *filter(None, inherited.get("PYTHONPATH", "").split(os.pathsep))]
    inherited["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        popen = subprocess.Popen(
            [sys.executable, "-P", "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=2,
            env=inherited,
            pass_fds=pass_fds,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return RealProcess(popen)


def spawn_taskmanager() -> RealProcess:
    """A TaskManager that waits for its settings on standard input (see taskmanager_process)."""
    return spawn_python(["flowjob.runtime.taskmanager", "--owned"])


def spawn_zygote(preload: Sequence[str] = ()) -> tuple[RealProcess, socket.socket]:
    """A fork server and our end of its channel. `preload`: what its slots will need besides, see zygote.import_all."""
    ours, theirs = socket.socketpair()
    arguments = ["flowjob.runtime.real.zygote", str(theirs.fileno()), str(os.getpid()), *preload]
    process = spawn_python(arguments, environment=zygote_environment(), pass_fds=[theirs.fileno()])
    theirs.close()
    return process, ours


def zygote_environment() -> dict[str, str]:
    """One thread per numeric library: a slot is one core's worth, and a fork server must have no
    threads. What `malloc` is told holds unless somebody has set it."""
    fixed = dict.fromkeys(_NUMERIC_THREADS, "1") | {
        "JE_ARROW_MALLOC_CONF": "background_thread:false"
    }
    return {**_KEPT_MEMORY, **os.environ, **fixed}


def ignore_interrupts() -> None:
    """Called first in every child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def die_with_parent(parent: int, name: str) -> None:
    """SIGKILL for this process as soon as `parent` is gone; `name` is shown by ps and top."""
    if LINUX:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def exit_reason(status: int) -> str:
    """Continues a sentence: `was killed by signal 9 (SIGKILL)`. `status` is negative for a
    signal."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = f" ({signal.Signals(-status).name})"
    except ValueError:
        name = ""
    return f"was killed by signal {-status}{name}"
