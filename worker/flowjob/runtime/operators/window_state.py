"""Windows as rows of a snapshot: one row per key and window (or pane), and how such rows are read back.

Columns: the key's, the window's bounds, what the operator keeps beside them (`__…`), the aggregates' state.
It must not know how an operator keeps its windows, or when they fire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from flowjob.core.elements import MIN_TIME
from flowjob.errors import StateMismatch
from flowjob.kernels.keys import encode_keys
from flowjob.plan.stored_state import key_fields
from flowjob.plan.types import HIDDEN_PREFIX, KeyField
from flowjob.runtime.accumulators.base import Bools, is_run, picked
from flowjob.runtime.batch import Int64s
from flowjob.runtime.checkpoint.sections import Distribution, Part, Rows, Section, UInt64s
from flowjob.runtime.operators.window_contents import Contents
from flowjob.windows import WINDOW_TIME

WINDOWS, PANES, SESSIONS, KEYS = "windows", "panes", "sessions", "keys"
"""Names of sections."""

START, END = "window_start", "window_end"
PANE_START, PANE_END = "pane_start", "pane_end"
ARRIVAL, CHANGED = "__arrival", "__changed"

_COMBINED: Mapping[str, Any] = {
    "passed": min,
    "due": min,
    "watermark": min,
    "early_at": min,
    "arrived": max,
    "timed": max,
}


def combined(metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the parts of several subtasks say of themselves, for one that takes over all of them."""
    found: dict[str, Any] = {}
    for name, combine in _COMBINED.items():
        values = [meta[name] for meta in metas if meta.get(name) is not None]
        if values:
            found[name] = combine(values)
    return found


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one table of slots; `slots` is None where row i is slot i."""

    slots: Int64s | None
    columns: Callable[[Int64s, Int64s], Sequence[pa.Array]]
    contents: Contents | None


class Writing:
    """Collects the rows of one section; `own` are the columns between the key's and the contents'."""

    def __init__(
        self,
        name: str,
        keys: Sequence[KeyField],
        own: Sequence[pa.Field],
        contents: Contents | None = None,
    ) -> None:
        self.name = name
        state = [] if contents is None else contents.state_fields()
        self.schema = pa.schema([*key_fields(keys), *own, *state])
        self._pieces: list[_Piece] = []
        self._starts: list[int] = [0]
        self._hashes: list[UInt64s] = [np.empty(0, np.uint64)]

    def add(
        self,
        keys: Sequence[pa.Array],
        own: Sequence[pa.Array],
        contents: Contents | None,
        slots: Int64s,
        hashes: UInt64s | None = None,
    ) -> None:
        """Rows with what `contents` has in `slots`; `hashes` of their keys, if they are known."""
        columns = [*keys, *own]

        def taken(rows: Int64s, _: Int64s) -> list[pa.Array]:
            at = pa.array(rows)
            return [column.take(at) for column in columns]

        known = encode_keys(keys, len(slots)).hashes if hashes is None else hashes
        self.add_made(taken, contents, slots, known)

    def add_made(
        self,
        columns: Callable[[Int64s, Int64s], Sequence[pa.Array]],
        contents: Contents | None,
        slots: Int64s,
        hashes: UInt64s,
    ) -> None:
        """The same for many rows: `columns` makes the key's and the own ones of some, by numbers and slots, when they
        are stored."""
        if len(slots):
            self._hashes.append(hashes)
            same = slots[0] == 0 and is_run(slots)
            self._pieces.append(_Piece(None if same else slots, columns, contents))
            self._starts.append(self._starts[-1] + len(slots))

    def section(self, meta: Mapping[str, Any]) -> Section:
        """All of it."""
        rows = Rows(self.schema, self._starts[-1], self._take)
        return Section(self.name, Distribution.KEYED, rows, np.concatenate(self._hashes), meta)

    def _take(self, rows: Int64s) -> pa.RecordBatch:
        if len(self._pieces) == 1:
            return self._made(self._pieces[0], rows)
        if len(rows) and is_run(rows):
            return self._run(int(rows[0]), len(rows))
        places = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(places, kind="stable")
        bounds = np.searchsorted(places[order], np.arange(len(self._starts)))
        made = [
            self._made(piece, rows[order[low:high]] - start)
            for piece, start, (low, high) in zip(self._pieces, self._starts, pairwise(bounds))
            if low < high
        ]
        if not made:
            return pa.RecordBatch.from_pylist([], schema=self.schema)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_batches(made).take(pa.array(back))

    def _run(self, first: int, count: int) -> pa.RecordBatch:
        """Consecutive rows."""
        made = []
        for piece, (start, stop) in zip(self._pieces, pairwise(self._starts)):
            low, high = max(first, start), min(first + count, stop)
            if low < high:
                made.append(self._made(piece, np.arange(low - start, high - start)))
        return made[0] if len(made) == 1 else pa.concat_batches(made)

    def _made(self, piece: _Piece, rows: Int64s) -> pa.RecordBatch:
        slots = rows if piece.slots is None else piece.slots[rows]
        arrays = list(piece.columns(rows, slots))
        if piece.contents is not None:
            arrays += piece.contents.state(slots)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


class Reading:
    """The rows of a section's parts, one part after the other, with the columns of `schema`.

    Columns that begin with `__` may be missing (a person wrote the snapshot): they are null then."""

    def __init__(self, parts: Sequence[Part], schema: pa.Schema) -> None:
        self._keys = [n for n in schema.names if n.startswith("key.")]
        self._columns = {f.name: _column(f, parts) for f in schema}
        self.rows: int = sum(part.table.num_rows for part in parts)

    def __len__(self) -> int:
        return self.rows

    def column(self, name: str) -> pa.Array:
        """A whole column."""
        found = self._columns[name].combine_chunks()
        return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)

    def keys(self) -> list[pa.Array]:
        return [self.column(name) for name in self._keys]

    def ints(self, name: str, rows: Int64s | None = None, *, null: int = MIN_TIME) -> Int64s:
        """The rows (None: all) of a column of integers or times (µs), with `null` for nulls."""
        column = self.column(name)
        if column.type != pa.int64():
            column = column.view(pa.int64())
        values: Int64s = column.fill_null(null).to_numpy(zero_copy_only=False)
        return picked(values, rows)

    def flags(self, name: str, rows: Int64s | None = None) -> Bools:
        """The rows (None: all) of a column of bools; nulls are false."""
        values: Bools = self.column(name).fill_null(False).to_numpy(zero_copy_only=False)
        return picked(values, rows)

    def arrivals(self) -> Int64s:
        """The number of each row's first arrival; their order in the snapshot where it is not told."""
        if self._columns[ARRIVAL].null_count:
            return np.arange(self.rows)
        return self.ints(ARRIVAL)

    def load(self, contents: Contents, slots: Int64s, rows: Int64s | None = None) -> None:
        """`slots` of `contents`, empty so far, hold what the rows (None: all) say."""
        names = [field.name for field in contents.state_fields()]
        columns = [self._columns[name] for name in names]
        if rows is not None:
            columns = [column.take(pa.array(rows)) for column in columns]
        if not names:
            return
        for piece in pa.table(columns, names=names).to_batches():
            contents.load(slots[: len(piece)], piece.columns)
            slots = slots[len(piece) :]


def _column(field: pa.Field, parts: Sequence[Part]) -> pa.ChunkedArray:
    chunks: list[pa.Array] = []
    for part in parts:
        table = part.table
        if field.name in table.column_names:
            column = table.column(field.name)
            chunks += (column if column.type == field.type else _cast(column, field)).chunks
        elif field.name.startswith(HIDDEN_PREFIX):
            chunks.append(pa.nulls(table.num_rows, field.type))
        else:
            raise StateMismatch(
                f"the snapshot has no column `{field.name}` of the windows' state; it has "
                f"{', '.join(table.column_names)}. A window goes on only with the keys and aggregates it had"
            )
    return pa.chunked_array(chunks, field.type)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StateMismatch(
            f"the column `{field.name}` of the windows' state has type {column.type} in the snapshot, "
            f"which does not become {field.type}: {error}"
        ) from error


def times(values: Int64s, absent: int | None = None) -> pa.Array:
    """A column of times (µs); null where a value is `absent`."""
    empty = values == absent if absent is not None else None
    mask = empty if empty is not None and empty.any() else None
    return pa.array(np.ascontiguousarray(values), pa.int64(), mask=mask).view(WINDOW_TIME)


def time_fields(*names: str) -> list[pa.Field]:
    return [pa.field(name, WINDOW_TIME) for name in names]


def other_windows(operator: str) -> StateMismatch:
    """Bounds that the assigner would not give."""
    return StateMismatch(
        f"operator `{operator}`: the snapshot holds windows of another size, slide or offset than the job's. "
        "Windows of a new shape need a new name (`.named`), and begin empty"
    )
