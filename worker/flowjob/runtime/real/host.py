"""Runs a JobManager to its end from ordinary synchronous code: loop, signals, scratch directory.

In a process that already has a running loop (a notebook) it runs in a thread beside it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

from flowjob.runtime.env import Env, OwnedProcess
from flowjob.runtime.jobmanager.cluster import Cluster
from flowjob.runtime.jobmanager.request import JobResult
from flowjob.runtime.real.env import real_env
from flowjob.runtime.real.processes import RealProcess, spawn_taskmanager
from flowjob.runtime.real.scratch import remove, run_directory


class Runs(Protocol):
    """A JobManager, or what is around one."""

    async def run(self, cluster: Cluster) -> JobResult: ...
    def cancel(self, reason: str) -> None: ...


Manage = Callable[[Env], tuple[Runs, Cluster]]


def start_ahead(taskmanagers: int = 1) -> list[RealProcess]:
    """TaskManagers that import what they need while the caller does; give them to run_local as `started`."""
    return [spawn_taskmanager() for _ in range(taskmanagers)]


def run_on_this_machine(manage: Manage, started: Sequence[OwnedProcess] = ()) -> JobResult:
    """Runs what `manage` makes. SIGINT and SIGTERM cancel the job, a second one kills it. `started` are ended also
    when `manage` raises."""
    directory = run_directory()
    try:
        manager, cluster = manage(real_env(directory))
    except BaseException:
        for process in started:
            process.kill()
        remove(directory)
        raise
    try:
        if _loop_is_running():
            return _in_a_thread(manager, cluster)
        return _here(manager, cluster)
    finally:
        remove(directory)


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _here(manager: Runs, cluster: Cluster) -> JobResult:
    with asyncio.Runner() as runner, _signals_cancel(runner.get_loop(), manager):
        return runner.run(manager.run(cluster))


@contextlib.contextmanager
def _signals_cancel(loop: asyncio.AbstractEventLoop, manager: Runs) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in handled]
    for number in handled:
        loop.add_signal_handler(number, manager.cancel, f"got {number.name}")
    try:
        yield
    finally:
        for number, handler in zip(handled, before):
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _in_a_thread(manager: Runs, cluster: Cluster) -> JobResult:
    result: Future[JobResult] = Future()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> JobResult:
        loops.append(asyncio.get_running_loop())
        return await manager.run(cluster)

    def work() -> None:
        try:
            result.set_result(asyncio.run(main()))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            result.set_exception(error)

    thread = threading.Thread(target=work, name="flowjob-jobmanager", daemon=True)
    thread.start()
    while True:
        try:
            return result.result()
        except KeyboardInterrupt:
            if result.done() or not loops:
                raise
            loops[0].call_soon_threadsafe(manager.cancel, "got SIGINT")
