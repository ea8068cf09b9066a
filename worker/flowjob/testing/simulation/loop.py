"""The event loop of a simulated cluster: many processes, each with its own queue and its own notion of now.

Inside a process callbacks run in the order of asyncio; between processes the seed chooses. A process that has used up
simulated CPU is busy until its time has come, and one that is dead never runs again. Nothing waits: when nobody can
run, time jumps to the next timer. It must not know networks, jobs or faults."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random  # noqa: TID251 - the seed's own generator
import sys
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVarTuple

Ts = TypeVarTuple("Ts")

Complain = Callable[[str, BaseException | None], None]

_PRUNE_EVERY = 256
"""Tasks started between two looks for finished ones to forget."""


class Stuck(RuntimeError):
    """The simulated world goes on for ever, or stands still."""


class Lane:
    """One process as the loop sees it: what it has to run, and when.

    number    orders processes; part of nothing but messages
    spent     CPU seconds used since its turn began: its clock is so much ahead of the loop's
    steps     callbacks run so far; `stop_at` calls `on_stop` in place of the one with that number
    coarse    its timers are whole milliseconds, as uvloop's are: they may be early
    """

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.ready: deque[asyncio.Handle] = deque()
        self.alive = True
        self.busy_until = 0.0
        self.busy = False
        self.listed = False
        self.spent = 0.0
        self.steps = 0
        self.stop_at = -1
        self.on_stop: Callable[[], None] = lambda: None
        self.coarse = False
        self.tasks: list[SimTask] = []

    def living_tasks(self) -> list[SimTask]:
        """In the order in which they were started."""
        return [t for t in self.tasks if not t.done()]


class SimTask(asyncio.Task[Any]):
    """Hashed by its number, so that sets of tasks have the same order in every process."""

    def __init__(self, coro: Coroutine[Any, Any, Any], number: int, **more: Any) -> None:
        self.number = number
        super().__init__(coro, **more)

    def __hash__(self) -> int:
        return self.number


class SimFuture(asyncio.Future[Any]):
    """See SimTask."""

    def __init__(self, number: int, **more: Any) -> None:
        self.number = number
        super().__init__(**more)

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.AbstractEventLoop):
    """`run` drives everything; the world itself (deliveries, faults) runs in lane 0, which is never busy."""

    def __init__(self, chance: random.Random, complain: Complain) -> None:
        self.now = 0.0
        self.steps = 0
        self.fingerprint = 0
        self.world = Lane("world", 0)
        self.current = self.world
        self.closed = False
        self._draw = chance.random
        self._complain = complain
        self._runnable: list[Lane] = []
        self._timers: list[tuple[float, int, Lane, asyncio.Handle | None]] = []
        self._count = 0

    # -- what the simulated world asks

    def run(self, done: Callable[[], bool], *, until: float, max_steps: int) -> None:
        """Runs until `done()`. Raises Stuck at virtual time `until`, after `max_steps`, or when nothing can happen."""
        events._set_running_loop(self)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._close_generator)
        try:
            while not done():
                self._fire_due()
                if self._runnable:
                    self._turn(self._pick())
                elif not self._timers:
                    raise Stuck("nothing can happen any more: everybody waits for somebody else")
                else:
                    self.now = max(self.now, self._timers[0][0])
                if self.now > until:
                    raise Stuck(f"still not over after {until:g} virtual seconds")
                if self.steps > max_steps:
                    raise Stuck(f"still not over after {max_steps} steps: something spins")
        finally:
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(None)

    def post(self, lane: Lane, callback: Callable[..., object], *args: Any) -> None:
        """Runs `callback` as a callback of that process, behind what it has to do already."""
        self._enqueue(lane, asyncio.Handle(callback, args, self))

    def post_at(
        self, when: float, lane: Lane, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self)
        self._push(when, lane, handle)
        return handle

    def halt(self, lane: Lane) -> None:
        """The process is no more: what it had to do is never done."""
        lane.alive = False
        lane.ready.clear()

    def keep_busy(self, lane: Lane, seconds: float) -> None:
        """The process runs nothing for so long (SIGSTOP, a long garbage collection, a slow machine)."""
        until = self.now + seconds
        if until > lane.busy_until:
            lane.busy_until = until
            if lane.listed:
                lane.listed = False
                self._runnable.remove(lane)
            lane.busy = True
            self._push(until, lane, None)

    def discard(self, lanes: list[Lane]) -> None:
        """After the world's end: lets go of what processes have left, whatever they try on their way out."""
        self.closed = True
        events._set_running_loop(self)
        try:
            for lane in lanes:
                for task in lane.tasks:
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    if not task.done():
                        _close(task.get_coro())
        finally:
            events._set_running_loop(None)
        for lane in lanes:
            lane.tasks.clear()
            lane.ready.clear()
        self._timers.clear()
        self._runnable.clear()

    # -- turns

    def _pick(self) -> Lane:
        runnable = self._runnable
        at = int(self._draw() * len(runnable)) if len(runnable) > 1 else 0
        last = runnable.pop()
        if at == len(runnable):
            lane = last
        else:
            lane, runnable[at] = runnable[at], last
        lane.listed = False
        return lane

    def _turn(self, lane: Lane) -> None:
        """What was ready at its beginning runs, as in one iteration of asyncio's loop."""
        ready = lane.ready
        self.current = lane
        lane.spent = 0.0
        for _ in range(len(ready)):
            if not ready:  # it has been killed by what it did itself
                break
            handle = ready.popleft()
            if handle._cancelled:
                continue
            lane.steps += 1
            self.steps += 1
            if lane.steps == lane.stop_at:
                lane.on_stop()
            if not lane.alive:
                break
            handle._run()
        self.fingerprint = (
            self.fingerprint * 31
            + lane.number * 7
            + lane.steps
            + int((self.now + lane.spent) * 1e7)
        ) & 0xFFFFFFFFFFFF
        self.current = self.world
        if not lane.alive:
            return
        if lane.spent > 0 and lane is not self.world:
            spent, lane.spent = lane.spent, 0.0
            self.keep_busy(lane, spent)
        self._list(lane)

    def _list(self, lane: Lane) -> None:
        if lane.ready and lane.alive and not lane.listed and not lane.busy:
            lane.listed = True
            self._runnable.append(lane)

    def _enqueue(self, lane: Lane, handle: asyncio.Handle) -> None:
        if lane.alive and not self.closed:
            lane.ready.append(handle)
            if not lane.listed and not lane.busy and lane is not self.current:
                lane.listed = True
                self._runnable.append(lane)

    def _push(self, when: float, lane: Lane, handle: asyncio.Handle | None) -> None:
        if lane.alive and not self.closed:
            self._count += 1
            heapq.heappush(self._timers, (when, self._count, lane, handle))

    def _fire_due(self) -> None:
        timers, now = self._timers, self.now
        while timers and timers[0][0] <= now:
            when, _, lane, handle = heapq.heappop(timers)
            if handle is None:
                if when >= lane.busy_until:
                    lane.busy = False
                    self._list(lane)
            elif not handle._cancelled:
                self._enqueue(lane, handle)
        # Lane 0 is "current" between turns and would not be listed by _enqueue.
        self._list(self.world)

    # -- asyncio's side

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.closed

    def is_closed(self) -> bool:
        return self.closed

    def time(self) -> float:
        return self.now + self.current.spent

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(self.current, handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        if self.current.coarse:
            delay = round(delay * 1000) / 1000
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._push(when, self.current, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Its entry goes when its time has come."""

    def create_future(self) -> asyncio.Future[Any]:
        self._count += 1
        return SimFuture(self._count, loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> SimTask:
        lane = self.current
        self._count += 1
        label = f"{lane.name}/{name or getattr(coro, '__qualname__', 'task')}"
        task = SimTask(coro, self._count, loop=self, name=label, context=context)
        lane.tasks.append(task)
        if len(lane.tasks) % _PRUNE_EVERY == 0 and not self.closed:
            lane.tasks = lane.living_tasks()
        return task

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What asyncio would only log: an exception that nobody handles."""
        if not self.closed:
            self._complain(f"{self.current.name}: {context['message']}", context.get("exception"))

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self.closed and self.current.alive:
            self.create_task(generator.aclose())


class _Discarded(BaseException):
    """Thrown into what is left when a world is over."""


def _close(coroutine: Any) -> None:
    """Ends a suspended coroutine although it may await on its way out; its effects go nowhere by now."""
    for _ in range(100):
        try:
            coroutine.throw(_Discarded)
        except BaseException:  # noqa: BLE001 - it has ended, as it should; nobody is left to care how
            return
    coroutine.close()
