"""A directory of files as a sink: each subtask writes its own, and starts a new one by rows, bytes or age.

Files appear whole or not at all (part_file.py). Encoding and disk happen on a worker thread, in order, behind a bounded
queue. Where the job takes snapshots, a file that is complete stays hidden until the snapshot it belongs to is
committed: each row is then visible exactly once. Else it appears when it is complete: at least once."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.connectors.files.encoders import Encoding
from flowjob.connectors.files.local_place import LocalPlace
from flowjob.connectors.files.part_file import PartFile
from flowjob.connectors.files.staged import Place, Staged
from flowjob.connectors.leftovers import Leftovers
from flowjob.errors import JobFailed, PlanError
from flowjob.plan.types import StreamType
from flowjob.watermarks import micros

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from flowjob.core.commits import CommitPermit
    from flowjob.runtime.batch import Batch

QUEUE_BYTES = 16 << 20
"""How much may wait for the disk before the job is held back."""

ROLL = None
"""A command in the queue: finish the current file."""


@dataclass(frozen=True, slots=True)
class Roll:
    """When a file is finished and the next one begun; None: not by that."""

    rows: int | None = None
    bytes: int | None = 128 << 20
    age: timedelta | None = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class FileSink(Sink):
    """Files `part-<run>-<sink>-<attempt>-<subtask>-<number><ending>` in `directory`, which may be
    `s3://bucket/prefix`. `<sink>` is made of the sink's identity: several may share a directory."""

    directory: str
    encoding: Encoding
    roll: Roll = field(default_factory=Roll)

    @property
    def name(self) -> str:
        return f"{self.encoding.name} {self.directory}"

    def check(self, type: StreamType) -> None:
        if type.schema is None:
            raise PlanError(
                f"{self.name} writes columns, but the rows of this stream are arbitrary objects. "
                "Say what the last function returns, with an annotation or returns=…"
            )

    def writer(self, context: SinkContext) -> SinkWriter:
        return FileWriter(self, context)


class FileWriter(SinkWriter):
    """See the module."""

    def __init__(self, sink: FileSink, context: SinkContext) -> None:
        assert context.type.schema is not None
        names = context.type.columns
        self._sink = sink
        self._env = context.env
        self._schema = pa.schema([f for f in context.type.schema if f.name in names])
        self._run = file_prefix(context.run_id, context.operator)
        self._prefix = f"{self._run}{context.attempt}-{context.subtask:04d}-"
        self._leftovers = Leftovers.of(context)
        self._commits = context.commits
        self._place = _place(sink.directory, context.env.directory)
        self._staged: list[Staged] = []
        self._pending: frozenset[str] = frozenset()
        self._number = 0
        self._part: PartFile | None = None
        self._queue: deque[pa.RecordBatch | None] = deque()
        self._queued_bytes = 0
        self._work: asyncio.Future[None] | None = None

    async def open(self) -> None:
        try:
            self._number = await self._env.run_blocking(self._prepare_place)
        except OSError as error:
            # No defect, hence no traceback: the directory is a file, or may not be written to.
            raise JobFailed(f"{self._sink.name}: cannot write there: {error}") from error

    def write(self, batch: Batch) -> Awaitable[None] | None:
        self._put(
            batch.columns.cast(self._schema)
            if batch.columns.schema != self._schema
            else batch.columns
        )
        return self._wait(QUEUE_BYTES) if self._must_wait() else None

    def next_timer(self) -> int | None:
        if self._part is None or self._sink.roll.age is None:
            return None
        return self._part.opened_at + micros(self._sink.roll.age)

    async def on_time(self, now: int) -> None:
        due = self.next_timer()
        if due is not None and due <= now:
            self._put(ROLL)
            await self._wait(0)

    def restore(self, pending: list[bytes]) -> None:
        self._pending = frozenset(Staged.decode(data).name for data in pending)

    async def prepare(self, checkpoint: int) -> list[bytes]:
        self._put(ROLL)
        await self._wait(0)
        staged, self._staged = self._staged, []
        return [s.encode() for s in staged]

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        for data in committables:
            await self._env.run_blocking(self._place.publish, Staged.decode(data))

    async def finish(self) -> None:
        self._put(ROLL)
        await self._wait(0)
        await self._env.run_blocking(self._sweep)

    async def close(self) -> None:
        self._queue.clear()
        if self._work is not None:
            # A thread may be writing; the file is its own until it is done.
            await asyncio.gather(self._work, return_exceptions=True)
        if self._part is not None:
            await self._env.run_blocking(self._part.abandon)
            self._part = None
        for staged in self._staged:  # in no snapshot: nobody will commit them
            await self._env.run_blocking(self._place.discard, staged.name, staged)

    # -- the queue

    def _put(self, command: pa.RecordBatch | None) -> None:
        self._queue.append(command)
        self._queued_bytes += command.nbytes if command is not None else 0
        if self._work is None or (self._work.done() and self._work.exception() is None):
            self._work = asyncio.ensure_future(self._drain())

    def _must_wait(self) -> bool:
        assert self._work is not None
        return self._queued_bytes > QUEUE_BYTES or self._work.done()

    async def _wait(self, until: int) -> None:
        """Until no more than `until` bytes are queued (0: all commands are done); raises what went wrong."""
        while self._work is not None:
            if self._work.done():
                self._work.result()
                return
            if until and self._queued_bytes <= until:
                return
            await asyncio.shield(self._work)

    async def _drain(self) -> None:
        while self._queue:
            commands = list(self._queue)
            self._queue.clear()
            self._queued_bytes = 0
            await self._env.run_blocking(self._carry_out, commands, self._env.clock.wall())

    # -- on a worker thread

    def _carry_out(self, commands: list[pa.RecordBatch | None], now: int) -> None:
        for command in commands:
            if command is None:
                self._finish_part()
            else:
                self._append(command, now)

    def _append(self, batch: pa.RecordBatch, now: int) -> None:
        roll = self._sink.roll
        while batch.num_rows:
            part = self._part or self._open_part(now)
            room = batch.num_rows if roll.rows is None else roll.rows - part.rows
            part.write(batch.slice(0, room))
            batch = batch.slice(min(room, batch.num_rows))
            full = roll.rows is not None and part.rows >= roll.rows
            if full or (roll.bytes is not None and part.size() >= roll.bytes):
                self._finish_part()

    def _prepare_place(self) -> int:
        number = self._place.prepare(self._prefix)
        self._sweep()
        return number

    def _sweep(self) -> None:
        """When it opens, and again when all is written: tasks of a JobManager that was overtaken may have staged files
        since then, which nobody would remove after the job's end."""
        if self._leftovers is not None:
            self._place.sweep(self._run, self._leftovers, self._pending)

    def _open_part(self, now: int) -> PartFile:
        name = f"{self._prefix}{self._number:05d}{self._sink.encoding.ending}"
        self._number += 1
        self._part = PartFile.open(self._place, name, self._sink.encoding, self._schema, now)
        return self._part

    def _finish_part(self) -> None:
        if self._part is not None:
            staged = self._part.seal()
            self._part = None
            if self._commits:
                self._staged.append(staged)
            else:
                self._place.publish(staged)


def file_prefix(run_id: str, operator: str) -> str:
    """What names of a sink's files begin with in one run. Never that of another sink: what one removes is its own."""
    return f"part-{run_id}-{zlib.crc32(operator.encode()):08x}-"


def _place(directory: str, scratch: Path) -> Place:
    if directory.startswith("s3://"):
        from flowjob.connectors.files.s3_place import S3Place

        return S3Place(directory, scratch / "staged")
    return LocalPlace(directory)
