"""What an operator puts into a snapshot and gets back from one: named tables with a rule for rescaling.

Why here: operators know what their state means, the snapshot format knows how it is stored and who gets which part
after a rescale; this is all they know of each other. It must not know files, stores or tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

HASH_COLUMN = "__hash"
"""uint64, the last column of a KEYED section's file: hash64 of the row's key."""

MADE_AT_ONCE = 1 << 16
"""Rows that are made for a table."""


class Distribution(Enum):
    """Who gets a section's rows when it is restored."""

    KEYED = "keyed"  # each row goes to the subtask that owns its key group; rows of a group stay in order
    SPLIT = "split"  # rows are dealt out evenly, each to one subtask
    UNION = "union"  # every subtask gets all rows of all subtasks
    BROADCAST = "broadcast"  # all subtasks wrote the same: every one gets the rows of one of them


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that are made when they are stored, some at a time: much state need not be in memory twice.

    schema  without dictionaries
    count   how many there are
    take    the rows of these numbers, in this order
    """

    schema: pa.Schema
    count: int
    take: Callable[[Int64s], pa.RecordBatch]

    def table(self) -> pa.Table:
        """All of them."""
        starts = range(0, self.count, MADE_AT_ONCE)
        pieces = [self.take(np.arange(s, min(s + MADE_AT_ONCE, self.count))) for s in starts]
        return pa.Table.from_batches(pieces, self.schema)


@dataclass(frozen=True, slots=True)
class Section:
    """One table of an operator's state.

    name     unique within the operator; part of the snapshot format, so it never changes its meaning
    rows     may share the operator's buffers; `Rows` only if KEYED, and only until the operator goes on
    hashes   uint64[rows], hash64 of each row's key; KEYED only
    meta     msgpack-able scalars that belong to this subtask's rows as a whole (a watermark, a counter)
    """

    name: str
    distribution: Distribution
    rows: pa.Table | Rows
    hashes: UInt64s | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> pa.Table:
        """The rows, all at once."""
        return self.rows.table() if isinstance(self.rows, Rows) else self.rows


@dataclass(frozen=True, slots=True)
class Part:
    """What one former subtask wrote into a section, as far as it concerns this one.

    groups   the key groups of this part that are this subtask's now; empty but for KEYED. A part comes even when it
             has no rows, because its meta may matter: KEYED to the owners of its groups, SPLIT to one subtask
    """

    table: pa.Table
    meta: Mapping[str, Any]
    groups: range = range(0)


@dataclass(frozen=True, slots=True)
class RestoredState:
    """An operator's state from a snapshot: the parts of each section, by former subtask."""

    sections: Mapping[str, Sequence[Part]]

    def parts(self, name: str) -> Sequence[Part]:
        """Of section `name`; none when the snapshot has no such section."""
        return self.sections.get(name, ())
