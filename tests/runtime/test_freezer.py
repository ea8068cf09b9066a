"""Freezing by fork: the copy sees the memory of the moment, and nothing of it is left behind in any case."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from flowjob.runtime.real import freezer as module
from flowjob.runtime.real.freezer import ForkFreezer

LOOPS: dict[str, Callable[[Any], Any]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}
LONG = 60.0


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    return LOOPS[request.param]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    uvloop.run(asyncio.sleep(0))  # it keeps a pipe of its own from the first time on
    before = _descriptors(), _children()
    yield
    assert (_descriptors(), _children()) == before


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def _children() -> set[int]:
    """Those that nobody has waited for included. Servers of other tests in this process may be among them."""
    return {child.pid for child in psutil.Process().children()}


def test_the_copy_sees_the_memory_as_it_was_and_writes_files(run: Any, tmp_path: Path) -> None:
    state = {"count": 1}

    def work(directory: Path) -> bytes:
        (directory / "state").write_text(str(state))
        return b"done %d" % state["count"]

    async def scenario() -> None:
        frozen = ForkFreezer(tmp_path).freeze(work, deadline=LONG)
        state["count"] = 2
        assert await frozen == b"done 1"
        assert (tmp_path / "state").read_text() == "{'count': 1}"

    run(scenario())


def test_the_copy_lets_the_stream_go_first(run: Any, tmp_path: Path) -> None:
    niceness = os.nice(0)

    async def scenario() -> None:
        answer = await ForkFreezer(tmp_path).freeze(
            lambda _: str(os.nice(0)).encode(), deadline=LONG
        )
        assert int(answer) == min(niceness + module.YIELDS, 19)

    run(scenario())


def test_a_large_answer_comes_whole(run: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        answer = await ForkFreezer(tmp_path).freeze(lambda _: b"x" * 3_000_000, deadline=LONG)
        assert answer == b"x" * 3_000_000

    run(scenario())


def test_several_copies_at_a_time_answer_each_for_itself(run: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        freezer = ForkFreezer(tmp_path)
        frozen = [freezer.freeze(lambda _, n=n: b"%d" % n, deadline=LONG) for n in range(5)]
        assert await asyncio.gather(*frozen) == [b"0", b"1", b"2", b"3", b"4"]

    run(scenario())


def test_a_failure_in_the_copy_is_told_in_a_line_and_logged_whole(
    run: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Path) -> bytes:
        raise ValueError("this state can't be told")

    async def scenario() -> None:
        with pytest.raises(OSError, match=r"^ValueError: this state can't be told$"):
            await ForkFreezer(tmp_path).freeze(fails, deadline=LONG)

    run(scenario())
    assert "in fails" in caplog.text


def test_a_disk_that_is_full_is_told_in_a_line(
    run: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(directory: Path) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))

    async def scenario() -> None:
        with pytest.raises(OSError, match=r"^OSError: \[Errno 28\] No space left on device: '/"):
            await ForkFreezer(tmp_path).freeze(full, deadline=LONG)

    run(scenario())
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "was killed by signal 9"),
        (lambda _: os._exit(7), "exited with status 7"),
    ],
)
def test_a_copy_that_dies_says_how(run: Any, tmp_path: Path, end: Any, reason: str) -> None:
    async def scenario() -> None:
        with pytest.raises(OSError, match=reason):
            await ForkFreezer(tmp_path).freeze(end, deadline=LONG)

    run(scenario())


def test_a_copy_that_takes_too_long_is_killed(run: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(TimeoutError, match=r"not done after 0.05 s"):
            await ForkFreezer(tmp_path).freeze(_for_ever, deadline=0.05)

    run(scenario())


@pytest.mark.parametrize("turns", [0, 3])
def test_a_copy_that_nobody_waits_for_any_more_is_killed(
    run: Any, tmp_path: Path, turns: int
) -> None:
    async def scenario() -> None:
        async def wait() -> None:
            await frozen

        frozen = ForkFreezer(tmp_path).freeze(_for_ever, deadline=LONG)
        waiting = asyncio.ensure_future(wait())
        for _ in range(turns):
            await asyncio.sleep(0)
        (waiting if turns else asyncio.ensure_future(frozen)).cancel()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0)

    run(scenario())


def test_the_copy_holds_no_connection_open(run: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        frozen = asyncio.ensure_future(ForkFreezer(tmp_path).freeze(_for_ever, deadline=LONG))
        ours.close()
        theirs.settimeout(20)
        assert theirs.recv(1) == b""
        theirs.close()
        frozen.cancel()
        await asyncio.sleep(0)

    run(scenario())


def test_a_fork_that_is_refused_is_an_os_error(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    async def scenario() -> None:
        monkeypatch.setattr(module, "_fork", refuse)
        with pytest.raises(OSError, match="allocate"):
            await ForkFreezer(tmp_path).freeze(lambda _: b"", deadline=LONG)

    run(scenario())


def test_other_threads_do_not_disturb_it(run: Any, tmp_path: Path) -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=_allocate, args=(stop,)) for _ in range(3)]

    async def scenario() -> None:
        for _ in range(10):
            assert await ForkFreezer(tmp_path).freeze(lambda _: b"ok", deadline=LONG) == b"ok"

    for thread in threads:
        thread.start()
    try:
        run(scenario())
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _allocate(stop: threading.Event) -> None:
    while not stop.is_set():
        [bytes(1000) for _ in range(100)]


def _for_ever(_: Path) -> bytes:
    time.sleep(3600)
    return b""
