"""Freezes the process by forking it: the kernel keeps the memory as it was, page by page, while the stream goes on.

The child does one piece of work and leaves with os._exit; the parent reads its answer from a pipe and reaps it. The
child has the parent's memory and nothing else of it: inherited descriptors are closed, or peers would not notice when
the parent hangs up. It must not know what the work is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import struct
import time
import traceback
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

from flowjob.runtime.real.processes import die_with_parent, exit_reason, ignore_interrupts

_HEAD = struct.Struct("<?Q")
"""Whether the work succeeded, and how many bytes follow."""

_READ = 1 << 16

YIELDS = 5
"""How much nicer than the stream the child is. Where both want a core, the stream gets three times as much."""

_log = logging.getLogger("flowjob.freezer")


class ForkFreezer:
    """See env.Freezer. To be called in the thread that runs the loop, which must be the main one: the child is tied to
    the life of the thread that forked it. `directory` must exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def freeze(self, work: Callable[[Path], bytes], *, deadline: float) -> Awaitable[bytes]:
        loop = asyncio.get_running_loop()
        parent = os.getpid()
        receiving, sending = os.pipe()
        try:
            pid = _fork()
        except BaseException:
            os.close(receiving)
            os.close(sending)
            raise
        if pid == 0:
            _work_and_exit(work, self._directory, sending, parent)
        os.close(sending)
        return _Copy(loop, pid, receiving, deadline).answer

    def spent(self) -> float:
        return time.thread_time()


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns when there are other threads: a lock they hold stays locked in the child. It takes none but the
        # allocators', which the C libraries set free themselves.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


class _Copy:
    """The child, seen from the parent. Everything happens in callbacks, so that no cancelled task can leave it behind:
    once `answer` is done, in whatever way, the child is gone and reaped."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pid: int, pipe: int, deadline: float
    ) -> None:
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self._loop = loop
        self._pid = pid
        self._pipe = pipe
        self._received = bytearray()
        self._reaped = False
        os.set_blocking(pipe, False)
        loop.add_reader(pipe, self._read)
        self._timer = loop.call_later(deadline, self._time_out, deadline)
        self.answer.add_done_callback(self._clean_up)

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, _READ)
        except BlockingIOError:
            return
        self._received += data
        if not data and not self.answer.done():
            # Its memory is gone before its descriptors are: this does not wait.
            self._judge(self._reap())

    def _judge(self, status: int) -> None:
        received = self._received
        head, body = received[: _HEAD.size], bytes(received[_HEAD.size :])
        succeeded, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (False, -1)
        if len(body) != length:
            self._fail(f"the frozen copy {exit_reason(status)}")
        elif succeeded:
            self.answer.set_result(body)
        else:
            text = body.decode(errors="replace")
            line = text.rstrip().rsplit("\n", 1)[-1]
            if text.rstrip() != line:
                _log.error("in a frozen copy of the process:\n%s", text)
            self._fail(line)

    def _time_out(self, deadline: float) -> None:
        if not self.answer.done():
            text = f"the frozen copy of the process was not done after {deadline:g} s"
            self.answer.set_exception(TimeoutError(text))

    def _fail(self, text: str) -> None:
        self.answer.set_exception(OSError(text))

    def _clean_up(self, answer: asyncio.Future[bytes]) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        if not self._reaped:
            os.kill(self._pid, signal.SIGKILL)
            self._reap()

    def _reap(self) -> int:
        """Its exit status, as in subprocess."""
        self._reaped = True
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)


def _work_and_exit(
    work: Callable[[Path], bytes], directory: Path, pipe: int, parent: int
) -> NoReturn:
    """The child's whole life."""
    status = 1
    try:
        # A collection would touch, and so copy, every object there is.
        gc.disable()
        signal.set_wakeup_fd(-1)  # or our signals would wake the parent's loop
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ignore_interrupts()
        os.nice(YIELDS)
        die_with_parent(parent, "flowjob-copy")
        os.closerange(3, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        try:
            succeeded, answer = True, work(directory)
        except OSError as error:  # the machine's: a full disk is told in a line
            succeeded, answer = False, "".join(traceback.format_exception_only(error)).encode()
        except BaseException:  # noqa: BLE001 - the parent raises it
            succeeded, answer = False, traceback.format_exc().encode()
        left = memoryview(_HEAD.pack(succeeded, len(answer)) + answer)
        with contextlib.suppress(BrokenPipeError):
            while left:
                left = left[os.write(pipe, left) :]
        status = 0
    finally:
        os._exit(status)
