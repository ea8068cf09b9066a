"""The simulated world: one seed's chance, its hosts and processes, what is cut off from what, and what was noted.

Everything else in this package acts through it. It must not know jobs, nor what processes do."""

from __future__ import annotations

import contextvars
import random  # noqa: TID251 - seeded: the only chance there is
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from flowjob.testing.simulation.loop import SimLoop
from flowjob.testing.simulation.process import SimProcess

T = TypeVar("T")

_current: contextvars.ContextVar[World] = contextvars.ContextVar("flowjob_simulated_world")


def current_world() -> World:
    """The world that the caller is simulated in: for user functions of simulated jobs. Raises LookupError outside."""
    return _current.get()


@dataclass(frozen=True, slots=True)
class Physics:
    """How the world behaves in one seed. Times in seconds, sizes in bytes.

    latency      of one message between hosts, the median; `jitter` times as much at worst, rarely
    cpu          a process uses for one look at its clock, on average. Never 0: who waits for a time that a coarse
                 timer came too early for would look for ever
    chunk        bytes that arrive at once, at most; `crumbs`: how often it is a handful instead
    window       in flight per connection and direction; a sender that is ahead of it has to wait
    blocking     one call of run_blocking
    coarse       slots' timers are whole milliseconds, as uvloop's are
    """

    latency: float = 0.0002
    jitter: float = 20.0
    cpu: float = 0.00005
    chunk: int = 65_536
    crumbs: float = 0.1
    window: int = 65_536
    blocking: float = 0.001
    coarse: bool = True


@dataclass(frozen=True, slots=True)
class StoreHabits:
    """What object stores do to their clients: the most seconds that half an operation takes, and how often one fails
    without effect (`failing`), fails after it took effect (`lying`), or lists what was a moment ago (`stale`)."""

    latency: float = 0.005
    failing: float = 0.0
    lying: float = 0.0
    stale: float = 0.0


@dataclass
class World:
    """`notes` are (virtual seconds, who, what) when `tracing`; `complaints` are exceptions that nobody handled."""

    seed: int
    directory: Path
    physics: Physics = field(default_factory=Physics)
    tracing: bool = False

    def __post_init__(self) -> None:
        self.notes: list[tuple[float, str, str]] = []
        self.complaints: list[str] = []
        self.processes: list[SimProcess] = []
        self.living = 0
        self.listeners: dict[tuple[str, int], Any] = {}
        self.holding: dict[Any, None] = {}
        self.plans: dict[tuple[str, int], Any] = {}
        self.happened: dict[str, int] = {}
        self.ledger: Any = None
        self.storage: Any = None
        self._cuts: set[frozenset[str]] = set()
        self._streams: dict[str, random.Random] = {}
        self._last_port = 40_000
        self._slow: list[tuple[float, float]] = []
        self.loop = SimLoop(self.chance("order"), self._complain)  # type: ignore[abstract]

    def run(self, done: Callable[[], bool], *, until: float, max_steps: int) -> None:
        """Lets time pass. Raises loop.Stuck."""
        self.loop.run(done, until=until, max_steps=max_steps)

    def inside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls it where `current_world` is this one: so does everything that it starts."""
        context = contextvars.copy_context()
        context.run(_current.set, self)
        return context.run(function, *arguments)

    def end(self) -> None:
        """The world is over: lets go of everything in it."""
        self.loop.discard([*self.processes, self.loop.world])
        self.listeners.clear()
        self.holding.clear()

    # -- chance and notes

    def chance(self, purpose: str) -> random.Random:
        """Chance of its own for each purpose, so that one more draw here does not change everything elsewhere."""
        stream = self._streams.get(purpose)
        if stream is None:
            stream = self._streams[purpose] = random.Random(f"{self.seed}:{purpose}")
        return stream

    def note(self, who: str, what: str) -> None:
        if self.tracing:
            self.notes.append((self.loop.time(), who, what))

    def count(self, what: str) -> int:
        """How often this has been counted, this time included."""
        self.happened[what] = self.happened.get(what, 0) + 1
        return self.happened[what]

    def _complain(self, message: str, error: BaseException | None) -> None:
        text = message if error is None else f"{message}: {type(error).__name__}: {error}"
        self.complaints.append(text)
        self.note("loop", text)

    # -- processes

    def add_process(self, name: str, host: str, parent: SimProcess | None = None) -> SimProcess:
        number = len(self.processes) + 1
        process = SimProcess(self, name, number, host, parent)
        process.coarse = self.physics.coarse and name.startswith("slot")
        self.admit(process)
        return process

    def admit(self, process: SimProcess) -> None:
        self.processes.append(process)
        self.living += 1

    def is_over(self) -> bool:
        """No process lives."""
        return self.living == 0

    def free_port(self) -> int:
        self._last_port += 1
        return self._last_port

    # -- the network's shape

    def cut(self, one: str, other: str) -> None:
        """Nothing gets from one host to the other, in both directions, until `heal`."""
        self._cuts.add(frozenset((one, other)))
        self.note("network", f"cut between {one} and {other}")

    def heal(self, one: str, other: str) -> None:
        """What was held back arrives after all, as TCP sends again."""
        self._cuts.discard(frozenset((one, other)))
        self.note("network", f"healed between {one} and {other}")
        for link in list(self.holding):
            link.release()

    def is_cut(self, one: str, other: str) -> bool:
        return bool(self._cuts) and frozenset((one, other)) in self._cuts

    def latency(self) -> float:
        """Of one message: mostly near the median, now and then far off."""
        chance = self.chance("latency")
        median = self.physics.latency
        if chance.random() < 0.02:
            delay = median * self.physics.jitter * chance.random()
            self.held_up(delay)
            return delay
        return median * (0.5 + chance.random())

    # -- what is slow by nature

    def held_up(self, seconds: float) -> None:
        """From now on something takes unusually long: that is nobody's fault."""
        begin, end = self.loop.now, self.loop.now + seconds
        if self._slow and begin <= self._slow[-1][1]:
            begin, last = self._slow.pop()
            end = max(end, last)
        self._slow.append((begin, end))

    def unhindered(self, begin: float, end: float) -> float:
        """Seconds between two moments while nothing was held up."""
        slow = (min(end, last) - max(begin, first) for first, last in self._slow)
        return end - begin - sum(seconds for seconds in slow if seconds > 0.0)
