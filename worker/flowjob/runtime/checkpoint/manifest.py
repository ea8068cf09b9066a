"""What a snapshot consists of, as data: a task's acknowledgement, and the manifest that lists all of them.

Both travel (msgpack on the control plane, JSON in the store), so fields are only ever added, with defaults. It must
not know how parts are encoded (state_files.py) nor where objects are (storage/paths.py)."""

from __future__ import annotations

from typing import Any

import msgspec

from flowjob.core.job_events import TaskId
from flowjob.plan.stored_layout import StateLayout

FORMAT = 1
"""Version of the snapshot format, docs/snapshot-format.md. Every later version must read it."""


class Block(msgspec.Struct, frozen=True, array_like=True):
    """One record batch of a part, so that readers of some rows get only these bytes, checked.

    offset   of its encapsulated IPC message in the part's Arrow file
    length   bytes of the message, body included
    crc32    zlib.crc32 of those bytes
    first_group, last_group   of its first and last row; -1 when not keyed
    """

    offset: int
    length: int
    crc32: int
    rows: int
    first_group: int = -1
    last_group: int = -1


class PartEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One section of one operator of one subtask: an Arrow IPC file, alone in an object or a slice of one.

    object       name relative to the snapshot's own directory (`../../shared/…` is allowed for shared files)
    inline       the bytes themselves, where an object would not be worth it; `object` is then empty
    length       bytes of the Arrow file from `offset`
    crc32        zlib.crc32 of those bytes
    first_group, last_group   the key groups the writer owned (inclusive); -1 when not keyed
    blocks       the record batches in order, when there are several; with them comes
    schema       the Arrow schema of the file, as an IPC message
    """

    section: str
    distribution: str
    rows: int
    length: int
    crc32: int
    object: str = ""
    offset: int = 0
    inline: bytes | None = None
    first_group: int = -1
    last_group: int = -1
    meta: dict[str, Any] = {}
    blocks: list[Block] = []
    schema: bytes = b""


class OperatorState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one operator of one subtask has in the snapshot.

    committables   what a sink has prepared: each is committed exactly once after the snapshot is
    """

    uid: str
    name: str
    kind: str
    parts: list[PartEntry] = []
    committables: list[bytes] = []


class SnapshotFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a snapshot cost a task, in milliseconds and bytes.

    alignment_ms  from the first barrier to the last
    sync_ms       the task stood still
    async_ms      from then until everything was stored
    """

    alignment_ms: float = 0.0
    sync_ms: float = 0.0
    async_ms: float = 0.0
    bytes: int = 0
    in_flight_bytes: int = 0


class TaskSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task's acknowledgement.

    ended      all its input had ended: nothing would be given after this snapshot
    in_flight  data that an unaligned barrier overtook, by channel (runtime/checkpoint/in_flight.py)
    """

    task: TaskId
    operators: list[OperatorState] = []
    ended: bool = False
    in_flight: list[PartEntry] = []
    figures: SnapshotFigures = SnapshotFigures()


class VertexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A vertex of the job graph at the time; edges refer to it."""

    id: int
    name: str
    parallelism: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot. It counts only once the job's log says so (checkpoints), or by itself (savepoints). All its fields
    are always written.

    id        the checkpoint id; restored jobs count on from it
    kind      `checkpoint` or `savepoint`
    created   µs since the epoch, UTC
    operators what every operator's state depends on: plan.state_layout.state_layouts(job graph)
    """

    format: int = FORMAT
    id: int
    kind: str
    job: str
    run_id: str
    created: int
    max_parallelism: int
    vertices: list[VertexEntry]
    tasks: list[TaskSnapshot]
    drained: bool = False
    explain: str = ""
    operators: list[StateLayout] = []
