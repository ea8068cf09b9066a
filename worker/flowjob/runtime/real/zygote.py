"""The fork server: imports everything once, then forks a slot process per request in milliseconds.

It stays single-threaded and without an event loop, so that forking is safe; it knows no messages of the control plane,
only file descriptors, pids and signals. When its TaskManager goes away it dies, and its slots with it (each is tied
to it by PR_SET_PDEATHSIG, and to the TaskManager by its control socket)."""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from flowjob.runtime.real.processes import LINUX, die_with_parent, ignore_interrupts
from flowjob.runtime.real.zygote_protocol import (
    ChildExited,
    Forked,
    ForkRefused,
    ForkRequest,
    SignalRequest,
    Warm,
    receive,
    send,
)

PRELOADED = (
    "uvloop",
    "pyarrow",
    "pyarrow.compute",
    "pyarrow.ipc",
    "numpy",
    "cloudpickle",
    "flowjob.runtime.real.slot_process",
    "flowjob.runtime.slot_tasks",
    "flowjob.plan",
    "flowjob.plan.explain",
    "flowjob.entrypoint",
    "flowjob.stream",
    "flowjob.expressions",
    "flowjob.aggregates",
    "flowjob.windows",
    "flowjob.files",
)

PRELOADED_WHEN_IDLE = tuple(
    f"flowjob.runtime.operators.{name}"
    for name in (
        "row_functions",
        "project",
        "filter",
        "sink",
        "window_aggregate",
        "local_window_aggregate",
        "running_aggregate",
        "keyed_process",
        "window_apply",
    )
)
"""What most slots need. A request does not wait for them: the slot then imports what it needs itself."""


class Zygote:
    """Serves one TaskManager over `channel` until it closes, and imports `when_idle` before it waits."""

    def __init__(self, channel: socket.socket, when_idle: Iterable[str] = ()) -> None:
        self._channel = channel
        self._when_idle = deque(when_idle)
        self._children: dict[int, str] = {}
        self._wake_reader, self._wake_writer = os.pipe()

    def serve(self) -> None:
        """Returns when the TaskManager is gone; all children are dead then."""
        for end in (self._wake_reader, self._wake_writer):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes poll through the wakeup descriptor
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        poller.register(self._wake_reader, select.POLLIN)
        try:
            if not self._when_idle:
                send(self._channel, Warm())
            while True:
                ready = poller.poll(0 if self._when_idle else None)
                if ready and not self._serve_once(ready):
                    return
                if not ready:
                    import_all([self._when_idle.popleft()])
                    if not self._when_idle:
                        freeze()
                        send(self._channel, Warm())
        finally:
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)

    def _serve_once(self, ready: list[tuple[int, int]]) -> bool:
        descriptors = [d for d, _ in ready]
        if self._wake_reader in descriptors:
            os.read(self._wake_reader, 4096)
            self._reap()
        if self._channel.fileno() not in descriptors:
            return True
        request, passed = receive(self._channel)
        match request:
            case ForkRequest():
                self._fork(request, passed)
            case SignalRequest(pid=pid, signal=number) if pid in self._children:
                os.kill(pid, number)  # not reaped yet, so the pid is still its own
            case None:
                return False
        return True

    def _fork(self, request: ForkRequest, passed: list[int]) -> None:
        """`passed`: the slot's control socket and the write ends of its stdout and stderr."""
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            for descriptor in passed:
                os.close(descriptor)
            send(self._channel, ForkRefused(str(error)))
            return
        if pid == 0:
            self._become_slot(zygote, request, passed)
        for descriptor in passed:
            os.close(descriptor)
        self._children[pid] = request.name
        send(self._channel, Forked(pid))

    def _become_slot(self, zygote: int, request: ForkRequest, passed: list[int]) -> None:
        status = 1
        try:
            die_with_parent(zygote, request.name)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._channel.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)
            control, stdout, stderr = passed
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (stdout, 1), (stderr, 2)):
                os.dup2(source, target)
                os.close(source)
            from flowjob.runtime.real.slot_process import run_slot

            status = run_slot(control, Path(request.directory), request.identity)
        except BaseException:  # noqa: BLE001 - the last frame of this process: print and end
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except OSError:
                    pass
            os._exit(status)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._children.pop(pid, None) is not None:
                send(self._channel, ChildExited(pid, os.waitstatus_to_exitcode(status)))


def import_all(modules: Iterable[str]) -> None:
    """Modules, or functions in them that read what slots will need (`module:function`). One that fails is printed: a
    slot that needs it fails with the same message, where it can be told."""
    for name in modules:
        module, _, function = name.partition(":")
        try:
            imported = importlib.import_module(module)
            if function:
                getattr(imported, function)()
        except Exception:  # noqa: BLE001 - see above
            traceback.print_exc()


def freeze() -> None:
    """Moves what was imported out of the garbage collector's sight: its pages stay shared with all slots. A slot
    collects its own garbage (see slot_process)."""
    gc.collect()
    gc.freeze()


def threads() -> int:
    """Threads of this process, also those Python does not know; 1 where it can't be told."""
    return len(os.listdir("/proc/self/task")) if LINUX else 1


def main() -> None:
    ignore_interrupts()
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    die_with_parent(int(sys.argv[2]), "flowjob-zygote")
    gc.disable()  # imports leave little garbage, and looking for it takes a tenth of their time
    import_all(PRELOADED)
    gc.freeze()
    if threads() > 1:
        print(  # noqa: T201 - goes to the TaskManager's stderr
            f"flowjob: the fork server has {threads()} threads; slots may hang. Set the thread count of the "
            "numeric library that starts them at import to 1.",
            file=sys.stderr,
        )
    try:
        Zygote(channel, [*PRELOADED_WHEN_IDLE, *sys.argv[3:]]).serve()
    except OSError:
        pass  # the TaskManager went away in the middle of a message
    os._exit(0)


if __name__ == "__main__":
    main()
