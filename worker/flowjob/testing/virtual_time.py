"""Virtual time: an event loop that never waits. When nothing can run, it jumps to the next timer.

Everything that sleeps on the loop takes no real time and happens in one fixed order, so a test of minutes runs in
milliseconds and always the same way. Real I/O cannot be awaited in it: waiting with no timer is a deadlock, and
said so."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from flowjob.runtime.env import Clock, Env, Freezer

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Every coroutine waits for another one, and no timer is set."""


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, moves the loop's clock on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.turns = 0
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []

    def select(self, timeout: float | None = None) -> Any:
        self.turns += 1
        ready = super().select(0)
        if self._wake(self.turns) or ready:
            return ready
        if timeout is None:
            if self.waiting and self._wake(min(turn for turn, _ in self.waiting)):
                return []  # nothing else would ever happen
            raise Deadlock(
                "nothing can run and no timer is set: the job waits for something for ever"
            )
        if timeout > 0:
            self.now += timeout
        return []

    def _wake(self, turn: int) -> bool:
        """Whoever waits for this turn; whether there is anybody."""
        due = [f for at, f in self.waiting if at <= turn and not f.done()]
        self.waiting = [(at, f) for at, f in self.waiting if at > turn and not f.done()]
        for future in due:
            future.set_result(None)
        return bool(due)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time."""

    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    @property
    def turns(self) -> int:
        """How often the loop has gone round."""
        return self._virtual.turns

    def after_turns(self, turns: int) -> asyncio.Future[None]:
        """Done when the loop has gone round so often, or nothing else can happen. Time may pass meanwhile."""
        done: asyncio.Future[None] = self.create_future()
        self._virtual.waiting.append((self.turns + turns, done))
        return done


class MockClock:
    """Env.clock over a virtual loop. Wall time begins at `start`; monotonic time at a far-off number, so that mixing
    the two, or either with event time, fails at once."""

    def __init__(self, start: datetime = datetime(2020, 1, 1, tzinfo=UTC)) -> None:
        self._start = int(start.timestamp() * 1_000_000)

    def wall(self) -> int:
        return self._start + round(asyncio.get_running_loop().time() * 1e6)

    def monotonic(self) -> float:
        return 7_000_000.0 + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)  # noqa: TID251 - this is the clock


async def run_inline(function: Callable[..., T], *args: Any) -> T:
    """`Env.run_blocking` without threads."""
    return function(*args)


class InlineFreezer:
    """`Env.freezer` without a fork: nothing else runs meanwhile, so the process is as good as frozen."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._spent = 0.0

    def freeze(self, work: Callable[[Path], bytes], *, deadline: float) -> Awaitable[bytes]:
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        try:
            result.set_result(work(self._directory))
        except Exception as error:  # noqa: BLE001 - a copy that dies says no more than this
            result.set_exception(OSError(f"{type(error).__name__}: {error}"))
        return result

    def spent(self) -> float:
        """As if everything took long, so that copies are made."""
        self._spent += 1.0
        return self._spent


def env_of_one_process(
    directory: Path, *, clock: Clock | None = None, freezer: Freezer | None = None
) -> Env:
    """The world of tasks that are all in this process. `clock`: a MockClock unless given."""
    missing: Any = None  # nothing in one process may need them
    return Env(
        clock=clock or MockClock(),
        network=missing,
        control=missing,
        launcher=missing,
        random=missing,
        directory=directory,
        run_blocking=run_inline,
        freezer=freezer,
    )


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end in virtual time, and cancels what it leaves behind."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        _cancel_all(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    gathered: Awaitable[Any] = asyncio.gather(*left, return_exceptions=True) if left else _nothing()
    loop.run_until_complete(gathered)


async def _nothing() -> None:
    return None
