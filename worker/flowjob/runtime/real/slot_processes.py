"""Slot processes for a TaskManager, forked by its zygote: a runtime.slot_launcher.SlotLauncher.

Owns the zygote, the pipes that slots print to and the sockets they are controlled by."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Awaitable
from pathlib import Path

from flowjob.runtime.outbox import cancel_all
from flowjob.runtime.real.control import FramedConnection
from flowjob.runtime.real.processes import RealProcess, exit_reason, spawn_zygote
from flowjob.runtime.real.scratch import remove
from flowjob.runtime.real.zygote_protocol import (
    ChildExited,
    Forked,
    ForkRefused,
    ForkRequest,
    Reply,
    ReplyReader,
    SignalRequest,
    Warm,
    send,
)
from flowjob.runtime.slot_launcher import OnOutput

MAX_LINE = 16_384
"""Longer lines are cut into pieces of this many bytes."""

_AFTER_EXIT = 1.0
"""Seconds given to output still in the pipes; a grandchild may hold them open for ever."""


class ForkedSlot:
    """See slot_launcher.SlotProcess."""

    def __init__(
        self, zygote: _ZygoteClient, pid: int, control: FramedConnection, directory: Path
    ) -> None:
        self._zygote = zygote
        self._directory = directory
        self._pid = pid
        self._control = control
        self._exit: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._readers: list[asyncio.Future[None]] = []

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def control(self) -> FramedConnection:
        return self._control

    def exited(self, reason: str) -> None:
        if not self._exit.done():
            self._exit.set_result(reason)

    def read_output(self, stdout: int, stderr: int, on_output: OnOutput) -> None:
        """Starts reading both pipes, which it owns from here on."""
        for stream, descriptor in (("stdout", stdout), ("stderr", stderr)):
            self._readers.append(asyncio.ensure_future(_read_lines(descriptor, stream, on_output)))

    async def wait(self) -> str:
        reason = await self._exit
        await asyncio.wait(self._readers, timeout=_AFTER_EXIT)
        await cancel_all(self._readers)
        await self._control.close()
        remove(self._directory)
        return reason

    def kill(self) -> None:
        self._zygote.signal(self._pid, signal.SIGKILL)

    def dump_stacks(self) -> None:
        self._zygote.signal(self._pid, signal.SIGUSR1)


class _ZygoteClient:
    """One zygote process and the slots it has forked."""

    def __init__(self, process: RealProcess, channel: socket.socket) -> None:
        self.process = process
        self.slots: dict[int, ForkedSlot] = {}
        self._early_exits: dict[int, str] = {}
        self._channel = channel
        self._reader = ReplyReader()
        self._forks: deque[asyncio.Future[int]] = deque()
        self.lost: str | None = None
        self.warm = asyncio.Event()
        """Or lost: there is nothing to wait for"""
        self.watcher: asyncio.Task[None] | None = None

    def watch(self) -> None:
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel, self._on_readable)
        self.watcher = asyncio.ensure_future(self._watch_exit())

    async def fork(self, request: ForkRequest, descriptors: list[int]) -> int:
        """The pid. Raises OSError."""
        if self.lost is not None:
            raise OSError(self.lost)
        forked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._forks.append(forked)
        send(self._channel, request, descriptors)
        return await forked

    def adopt(self, slot: ForkedSlot) -> None:
        self.slots[slot.pid] = slot
        if slot.pid in self._early_exits:
            slot.exited(self._early_exits.pop(slot.pid))

    def signal(self, pid: int, number: int) -> None:
        if self.lost is None:
            with contextlib.suppress(OSError):
                send(self._channel, SignalRequest(pid, number))

    def _on_readable(self) -> None:
        try:
            data = self._channel.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._channel)
        for reply in self._reader.feed(data):
            self._on_reply(reply)

    def _on_reply(self, reply: Reply) -> None:
        match reply:
            case Forked(pid):
                self._answer(pid)
            case ForkRefused(reason):
                self._answer(OSError(reason))
            case ChildExited(pid, status):
                slot = self.slots.pop(pid, None)
                if slot is None:
                    self._early_exits[pid] = exit_reason(status)
                else:
                    slot.exited(exit_reason(status))
            case Warm():
                self.warm.set()

    def _answer(self, answer: int | OSError) -> None:
        forked = self._forks.popleft()
        if forked.done():
            return
        if isinstance(answer, int):
            forked.set_result(answer)
        else:
            forked.set_exception(answer)

    async def _watch_exit(self) -> None:
        status = await self.process.wait()
        loop = asyncio.get_running_loop()
        if loop.remove_reader(self._channel):
            self._on_readable()  # what it said last
            loop.remove_reader(self._channel)
        self._channel.close()
        self.lost = f"its fork server (pid {self.process.pid}) {exit_reason(status)}"
        self.warm.set()
        while self._forks:
            self._answer(OSError(self.lost))
        for slot in self.slots.values():
            slot.exited(f"ended because {self.lost}")
        self.slots.clear()


class ForkingLauncher:
    """See slot_launcher.SlotLauncher. Takes an already started zygote; starts another when that one is lost.

    identity  directory of the certificates that slots exchange rows with; None: they do so in the clear"""

    def __init__(
        self,
        directory: Path,
        started: tuple[RealProcess, socket.socket] | None = None,
        identity: str | None = None,
    ) -> None:
        self._directory = directory
        self._identity = identity
        self._started = started
        self._count = 0
        self._zygote: _ZygoteClient | None = None
        self._closed = False

    async def warm(self, within: float) -> None:
        """Returns when slots can be started in milliseconds, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._living_zygote().warm.wait(), within)

    async def start(self, name: str, on_output: OnOutput) -> ForkedSlot:
        zygote = self._living_zygote()
        ours, theirs = socket.socketpair()
        out_reader, out_writer = os.pipe()
        err_reader, err_writer = os.pipe()
        self._count += 1
        directory = self._directory / f"{name}-{self._count}"
        directory.mkdir(parents=True)
        given = [theirs.fileno(), out_writer, err_writer]
        try:
            pid = await zygote.fork(ForkRequest(name, str(directory), self._identity), given)
        except BaseException:
            remove(directory)
            ours.close()
            os.close(out_reader)
            os.close(err_reader)
            raise
        finally:
            theirs.close()
            os.close(out_writer)
            os.close(err_writer)
        slot = ForkedSlot(zygote, pid, await FramedConnection.over(ours), directory)
        slot.read_output(out_reader, err_reader, on_output)
        zygote.adopt(slot)
        return slot

    async def close(self) -> None:
        self._closed = True
        if self._started is not None:
            self._zygote = self._wrap(self._started)
        zygote = self._zygote
        if zygote is None:
            return
        for pid in zygote.slots:
            zygote.signal(pid, signal.SIGKILL)
        zygote.process.kill()
        if zygote.watcher is not None:
            await zygote.watcher

    def _living_zygote(self) -> _ZygoteClient:
        if self._closed:
            raise OSError("the TaskManager is stopping")
        if self._zygote is None or self._zygote.lost is not None:
            self._zygote = self._wrap(self._started or spawn_zygote())
        return self._zygote

    def _wrap(self, started: tuple[RealProcess, socket.socket]) -> _ZygoteClient:
        self._started = None
        client = _ZygoteClient(*started)
        client.watch()
        return client


def _read_lines(descriptor: int, stream: str, on_output: OnOutput) -> Awaitable[None]:
    return _LineReader(descriptor, stream, on_output).run()


class _LineReader:
    """Gives whole lines, as many at a time as there are; reads no further while they are being taken."""

    def __init__(self, descriptor: int, stream: str, on_output: OnOutput) -> None:
        self._descriptor = descriptor
        self._stream = stream
        self._on_output = on_output
        self._rest = b""

    async def run(self) -> None:
        os.set_blocking(self._descriptor, False)
        try:
            while data := await self._some():
                await self._give(self._rest + data)
            if self._rest:
                await self._on_output(self._stream, [_text(self._rest)])
        finally:
            os.close(self._descriptor)

    async def _some(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self._descriptor, 65_536)
            except BlockingIOError:
                readable = asyncio.Event()
                loop.add_reader(self._descriptor, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self._descriptor)

    async def _give(self, data: bytes) -> None:
        *whole, self._rest = data.split(b"\n")
        lines = [_text(piece) for line in whole for piece in _pieces(line)]
        while len(self._rest) > MAX_LINE:
            lines.append(_text(self._rest[:MAX_LINE]))
            self._rest = self._rest[MAX_LINE:]
        if lines:
            await self._on_output(self._stream, lines)


def _pieces(line: bytes) -> list[bytes]:
    return [line[i : i + MAX_LINE] for i in range(0, len(line), MAX_LINE)] or [b""]


def _text(line: bytes) -> str:
    return line.decode(errors="replace")
