"""What an operator is: a synchronous, resumable transformation of data and time.

Operators are generators so that one input batch may give any number of output batches without buffering them:
the task (runtime/task.py) pulls, and stops pulling while outputs have no credit. An operator must not know channels,
other operators or the event loop. The base class does nothing, so each operator overrides only what it means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from flowjob.core.commits import CommitPermit
from flowjob.core.elements import Barrier, Watermark
from flowjob.runtime.batch import Data
from flowjob.runtime.env import Env

if TYPE_CHECKING:
    from flowjob.runtime.checkpoint.sections import RestoredState, Section
    from flowjob.runtime.state.backend import StateBackend


class Form(Enum):
    """How an operator wants its input and gives its output; the task converts where forms differ."""

    COLUMNS = "columns"
    ROWS = "rows"


class Pause(Enum):
    """Yielded by an operator in the middle of a batch: other work may run now, resume me after."""

    PAUSE = "pause"


PAUSE = Pause.PAUSE


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Data for a side output, named by its tag ("late", "bad_rows", or the user's)."""

    tag: str
    data: Data


Output = Data | Side | Watermark | Pause | Awaitable[None]
"""What an operator may yield. A Watermark only from one that `makes_watermarks`. An awaitable (a sink's write) is
awaited before the operator is resumed."""


@dataclass(slots=True)
class OperatorMetrics:
    """Counters of one operator of one subtask. Plain ints: read by the reporter, written by the operator."""

    rows_in: int = 0
    rows_out: int = 0
    late_rows: int = 0
    bad_rows: int = 0
    extra: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OperatorContext:
    """What an operator learns about its place. `key_groups` is the range this subtask owns."""

    env: Env
    name: str
    uid: str | None
    subtask: int
    parallelism: int
    max_parallelism: int
    metrics: OperatorMetrics = field(default_factory=OperatorMetrics)
    batch_rows: int = 16_384
    """The most rows an output batch should have."""

    run_id: str = "run"
    """New for each run of the job; sinks name their files by it."""

    attempt: int = 1
    """Which deployment of the run this is."""

    commits: bool = False
    """Whether the job takes snapshots: sinks then make visible what they wrote only when they are told to."""

    report: Callable[[bytes], Awaitable[None] | None] = field(default=lambda _: None)
    """Sends bytes to whoever watches the job: a preview, the CLI."""

    state_backend: StateBackend | None = None
    """Where keyed state is kept; None: in memory."""

    @property
    def key_groups(self) -> range:
        """Groups g with g * parallelism // max_parallelism == subtask."""
        p, m, s = self.parallelism, self.max_parallelism, self.subtask
        return range(-(-s * m // p), -(-(s + 1) * m // p))


class Operator:
    """One node of a chain. Life: open, restore, then process / on_watermark / on_time in any order, on_end, close. At a
    barrier: flush, prepare, snapshot."""

    takes: Form = Form.COLUMNS
    gives: Form = Form.COLUMNS
    makes_watermarks: bool = False
    """True: incoming watermarks are not forwarded; the operator yields its own."""

    def open(self, context: OperatorContext) -> None:
        """Called once, before any data. Allocate here, not in the constructor."""

    def process(self, data: Data, port: int) -> Iterable[Output]:
        """Data from input `port` (0, or 1 for the second input of a connected operator)."""
        raise NotImplementedError

    def on_watermark(self, watermark: int) -> Iterable[Output]:
        """Event time has reached `watermark` (µs UTC, monotone); what is yielded precedes it downstream."""
        return ()

    def next_timer(self) -> int | None:
        """The wall time (µs UTC) at which `on_time` wants to be called, or None."""
        return None

    def on_time(self, now: int) -> Iterable[Output]:
        """Wall time `now` (µs UTC) has reached `next_timer()`."""
        return ()

    def flush(self) -> Iterable[Output]:
        """Give what is held back for batching; called before every watermark, barrier and end."""
        return ()

    def on_end(self) -> Iterable[Output]:
        """All inputs have ended, after the last watermark."""
        return ()

    # -- snapshots

    def prepare(self, barrier: Barrier) -> Iterable[Output]:
        """After `flush`, before `snapshot`: what must be waited for so that nothing of the epoch is only in flight.
        Yields awaitables; sinks make what they wrote durable here, and then have `committables`."""
        return ()

    def committables(self) -> list[bytes]:
        """What the last `prepare` made ready to become visible; handed out once."""
        return []

    def commit(self, committables: list[bytes], permit: CommitPermit) -> Awaitable[None] | None:
        """Makes visible what was prepared by this or another subtask, now or in an earlier life: idempotent."""
        return None

    @property
    def state_bytes(self) -> int:
        """About how much memory `snapshot` has to read. Little is read in line, much in a frozen copy."""
        return 0

    @property
    def state_is_words(self) -> bool:
        """Whether all state is columns of fixed width, so that what it costs to describe it is known beforehand."""
        return False

    def snapshot(self) -> Iterable[Section]:
        """The state as of now, after `flush` and `prepare`. Changes nothing; may be called in a frozen copy of the
        process, where it has neither threads nor event loop, and may take its time."""
        return ()

    def restore(self, state: RestoredState) -> None:
        """Takes over the state of a snapshot; after `open`, before anything else, at most once. Rows are of key groups
        of this subtask, possibly of several former ones."""

    async def close(self) -> None:
        """Release resources; called once, also after a failure."""


Emitted = Iterator[Output]
"""The usual return annotation of a generator method."""
