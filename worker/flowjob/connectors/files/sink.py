"""A directory of files as a sink: each subtask writes its own, and starts a new one by rows, bytes or age.

Files appear whole or not at all (part_file.py). Encoding and disk happen on a worker thread (write_queue.py). Where the
job takes snapshots, a file that is complete stays hidden until the snapshot it belongs to is committed: each row is
then visible exactly once. Else it appears when it is complete: at least once."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from flowjob.connectors.base import Sink, SinkContext, SinkWriter
from flowjob.connectors.files.encoders import Encoding
from flowjob.connectors.files.local_place import LocalPlace
from flowjob.connectors.files.part_file import PartFile
from flowjob.connectors.files.staged import Place, Staged
from flowjob.connectors.files.write_queue import (
    HELD_BYTES,
    QUEUE_BYTES,
    Command,
    WriteQueue,
    joined,
)
from flowjob.connectors.leftovers import Leftovers
from flowjob.errors import JobFailed, PlanError
from flowjob.plan.types import StreamType
from flowjob.watermarks import micros

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from flowjob.core.commits import CommitPermit
    from flowjob.runtime.batch import Batch


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
        self._queue = WriteQueue(context.env, self._carry_out)

    async def open(self) -> None:
        try:
            self._number = await self._env.run_blocking(self._prepare_place)
        except OSError as error:
            # No defect, hence no traceback: the directory is a file, or may not be written to.
            raise JobFailed(f"{self._sink.name}: cannot write there: {error}") from error

    def write(self, batch: Batch) -> Awaitable[None] | None:
        self._queue.put(
            batch.columns.cast(self._schema)
            if batch.columns.schema != self._schema
            else batch.columns
        )
        return self._queue.wait(QUEUE_BYTES) if self._queue.is_full else None

    def next_timer(self) -> int | None:
        times = [t for t in (self._roll_due(), self._queue.due) if t is not None]
        return min(times, default=None)

    async def on_time(self, now: int) -> None:
        rolls, held = self._roll_due(), self._queue.due
        if rolls is not None and rolls <= now:
            self._queue.roll()
            await self._queue.wait(0)
        elif held is not None and held <= now:
            self._queue.flush()

    def _roll_due(self) -> int | None:
        if self._part is None or self._sink.roll.age is None:
            return None
        return self._part.opened_at + micros(self._sink.roll.age)

    def restore(self, pending: list[bytes]) -> None:
        self._pending = frozenset(Staged.decode(data).name for data in pending)

    async def prepare(self, checkpoint: int) -> list[bytes]:
        self._queue.roll()
        await self._queue.wait(0)
        staged, self._staged = self._staged, []
        return [s.encode() for s in staged]

    async def commit(self, committables: list[bytes], permit: CommitPermit) -> None:
        for data in committables:
            await self._env.run_blocking(self._place.publish, Staged.decode(data))

    async def finish(self) -> None:
        self._queue.roll()
        await self._queue.wait(0)
        await self._env.run_blocking(self._sweep)

    async def close(self) -> None:
        await self._queue.abandon()  # the file is the thread's own until that is done
        if self._part is not None:
            await self._env.run_blocking(self._part.abandon)
            self._part = None
        for staged in self._staged:  # in no snapshot: nobody will commit them
            await self._env.run_blocking(self._place.discard, staged.name, staged)

    # -- on a worker thread

    def _carry_out(self, commands: list[Command], now: int) -> None:
        most = HELD_BYTES if self._sink.roll.bytes is None else self._sink.roll.bytes
        for command in joined(commands, min(HELD_BYTES, most)):
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
