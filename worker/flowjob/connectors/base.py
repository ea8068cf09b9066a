"""What a source and a sink are: a declaration (plain data, part of the job), and readers and writers that do the I/O.

A source's splits are discovered in the JobManager by its enumerator and read in slots by split readers. Event time,
watermarks, idleness and the malformed-row policy are handled once for all sources by runtime/operators/source.py:
readers only deliver rows and what they could not read. Everything here must stay picklable by reference."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal

import msgspec
import pyarrow as pa

from flowjob.plan.types import Mode, StreamType
from flowjob.watermarks import EventTime

if TYPE_CHECKING:
    # Only type checkers need the default: a source of no declared row type.
    from typing_extensions import TypeVar

    from flowjob.core.commits import CommitPermit
    from flowjob.runtime.batch import Batch, Int64s
    from flowjob.runtime.env import Env

    T_co = TypeVar("T_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    T_co = TypeVar("T_co", covariant=True)

Position = dict[str, Any]
"""How far a split has been read: msgpack-able, made by the reader, given back to it after a restore."""

OnBadRow = Literal["fail", "skip", "divert"]

BAD_ROWS = "bad_rows"
"""Tag of the side output that gets diverted rows."""

BAD_ROW_TYPE = StreamType(
    pa.schema(
        [
            pa.field("location", pa.string(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
        ]
    )
)


class Split(msgspec.Struct, frozen=True):
    """A part of a source that one subtask reads alone. `data` is msgpack-able and the connector's own."""

    id: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What an enumerator found since the last call. `complete`: nothing more will ever come."""

    splits: tuple[Split, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Left:
    """What is not read yet; None: that cannot be told, which is not nothing."""

    rows: int | None = None
    bytes: int | None = None


class SplitEnumerator(ABC):
    """Finds splits; runs in the JobManager."""

    interval: float | None = None
    """Seconds between calls of `discover` after the first one; None: it is called once."""

    @abstractmethod
    async def discover(self) -> Discovery:
        """New splits, in the order in which they should be read."""

    async def close(self) -> None:
        """Release resources."""


class Assignment(Enum):
    """How splits reach subtasks."""

    PULL = "pull"  # each idle subtask takes the next one
    DEAL = "deal"  # the i-th split goes to subtask i % parallelism, all at once


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read. `location` is for a person, e.g. `file.csv:17`."""

    location: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """What one `read` gave: rows in the source's (projected) schema, and the rows that could not be read.

    timestamps  int64[n] µs UTC when the connector itself stamps rows; else the declared event-time column rules
    watermark   µs UTC: the connector itself says how far event time has come after these rows
    """

    columns: pa.RecordBatch
    timestamps: Int64s | None = None
    bad: tuple[BadRow, ...] = ()
    watermark: int | None = None


class SplitReader(ABC):
    """Reads one split in a slot.

    immediate  `read` never waits: the task calls it in line, without a task of its own for each read"""

    immediate: bool = False

    @abstractmethod
    async def read(self) -> Read | None:
        """The next rows (at most the `batch_rows` it was made with; may be none), or None at the end of the split.

        May wait for data; cancellation must leave the position unharmed. A generator-like reader that never waits must
        not be awaited into doing so: it returns at once."""

    @abstractmethod
    def position(self) -> Position:
        """Where the next `read` continues, exactly after the rows given so far."""

    async def close(self) -> None:
        """Release resources; called once."""


@dataclass(frozen=True, kw_only=True)
class Source(ABC, Generic[T_co]):
    """A source of rows of type T: its declaration. Subclasses are frozen dataclasses.

    on_bad_row  what becomes of a row that cannot be read. Columns that the job does not use are not looked at, unless
                `bad_rows` is read: then every column must be as declared
    """

    event_time: EventTime | None = None
    on_bad_row: OnBadRow = "fail"

    @property
    @abstractmethod
    def name(self) -> str:
        """Short, for graphs and messages: `csv data/*.csv`."""

    @property
    @abstractmethod
    def type(self) -> StreamType:
        """What the rows are, after projection."""

    @property
    @abstractmethod
    def bounded(self) -> bool: ...

    @property
    def assignment(self) -> Assignment:
        return Assignment.PULL

    @property
    def max_parallelism(self) -> int | None:
        """Set when more subtasks than this make no sense (a socket: 1)."""
        return None

    def project(self, columns: tuple[str, ...]) -> Source | None:
        """The same source reading only `columns` (of its schema, in schema order), or None when it cannot. The
        event-time column is read anyhow when it is declared by name."""
        return None

    def left(self, split: Split, position: Position | None) -> Left:
        """What of a split is behind `position` (None: all of it). Opens nothing: it is asked often, of splits that are
        being read and of those that wait."""
        return Left()

    @abstractmethod
    def enumerator(self, env: Env) -> SplitEnumerator: ...

    @abstractmethod
    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        """A reader for `split`, from `position` when given. Opens nothing yet: the first `read` does."""


@dataclass(frozen=True, slots=True)
class SinkContext:
    """Where a writer runs. `report` sends bytes to whoever watches the job (the CLI, a preview); `run_id` is new for
    each run, so that names of files made from it never meet those of an earlier one; a run that is continued from its
    latest checkpoint, by whatever process, keeps it."""

    env: Env
    type: StreamType
    run_id: str
    subtask: int
    parallelism: int
    report: Callable[[bytes], Awaitable[None] | None] = field(default=lambda _: None)
    attempt: int = 1
    """Which deployment of this subtask in the run this is; names made of run, attempt, subtask and a number are never
    used twice. Other subtasks may be in an attempt of another number that goes on: what they stage is theirs."""

    operator: str = ""
    """The sink's identity in the job: two sinks of one job never have the same."""

    commits: bool = False
    """Whether `prepare` and `commit` will be called: the job takes snapshots."""


class SinkWriter(ABC):
    """Writes one subtask's rows."""

    def restore(self, pending: list[bytes]) -> None:
        """Before `open`, in a job that continues from a snapshot: all that was prepared by any writer of the sink and
        not known to be committed then. It will be committed by somebody: do not clean it up."""

    async def open(self) -> None:
        """Called once, before any data."""

    @abstractmethod
    def write(self, batch: Batch) -> Awaitable[None] | None:
        """Takes a batch; an awaitable when it must wait (that is how a slow sink holds the job back)."""

    def next_timer(self) -> int | None:
        """Wall time (µs UTC) at which `on_time` should be called (rolling by age, flushing)."""
        return None

    async def on_time(self, now: int) -> None: ...

    async def prepare(self, checkpoint: int) -> list[bytes]:
        """A barrier: everything written so far becomes durable, and stays invisible. What is returned goes into the
        snapshot and comes back to `commit` of this or another writer of the sink. A writer that cannot do this returns
        nothing, and what it writes is then visible at least once."""
        return []

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        """Make visible what was prepared, in the order of preparation. Idempotent: after a failure it is called again
        with the same ones, by a writer that may know nothing of them. Raise when something prepared is lost."""

    async def finish(self) -> None:
        """The input has ended well. Where snapshots are taken, `prepare` and `commit` follow, and what was written
        becomes visible by them; else (`SinkContext.commits` is False) make everything written visible now. What earlier
        attempts staged is swept once more: theirs may have gone on for a while beside this one."""

    async def close(self) -> None:
        """Release resources; called once, also after a failure (then without `finish`)."""


@dataclass(frozen=True, kw_only=True)
class Sink(ABC):
    """A sink's declaration. Subclasses are frozen dataclasses."""

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    def accepts(self) -> frozenset[Mode]:
        return frozenset({Mode.APPEND})

    @property
    def parallelism(self) -> int | None:
        """Set when it only works with so many writers (a socket: 1)."""
        return None

    @property
    def keeps_state(self) -> bool:
        """Whether snapshots hold something of it: what is written and not yet visible. Else it needs no identity."""
        return True

    def check(self, type: StreamType) -> None:
        """Raise PlanError when rows of this type cannot be written."""

    @abstractmethod
    def writer(self, context: SinkContext) -> SinkWriter: ...
