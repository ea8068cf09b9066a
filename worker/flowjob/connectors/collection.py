"""Rows that are already here: Schema rows, dicts, an Arrow table, or any objects. For tests and small tables.

The rows are part of the job and are rebuilt with it in every process, so keep them small. Conversion to columns happens
when the job is built: a row that does not fit is refused there."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, overload

import msgspec
import pyarrow as pa

from flowjob.connectors.base import (
    Left,
    Position,
    Read,
    Source,
    Split,
    SplitEnumerator,
    SplitReader,
)
from flowjob.connectors.formats.required import missing
from flowjob.connectors.known_splits import KnownSplits
from flowjob.connectors.options import (
    IDLE_AFTER,
    NO_DELAY,
    check_event_time,
    event_time,
    needed,
    projected,
    row_type,
)
from flowjob.errors import TypeMismatch
from flowjob.plan.types import OBJECT_WIRE_SCHEMA, OBJECTS, StreamType
from flowjob.plan.where import caller

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from flowjob.runtime.env import Env

    Row = TypeVar("Row", default=Any)


@overload
def collection(
    rows: Iterable[Any],
    schema: type[Row],
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    splits: int = 1,
) -> Source[Row]: ...


@overload
def collection(
    rows: Iterable[Row],
    schema: None = None,
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    splits: int = 1,
) -> Source[Row]: ...


@overload
def collection(
    rows: Any,
    schema: Any = None,
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    splits: int = 1,
) -> Source[Any]: ...


def collection(
    rows: Any,
    schema: Any = None,
    *,
    event_time: str | None = None,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
    splits: int = 1,
) -> Source[Any]:
    """A bounded source of the given rows.

    rows    Schema instances, dicts, a pyarrow Table or RecordBatch; other objects make an object stream
    schema  a Schema class or Arrow schema; may be left out for Schema rows, tables and dicts (then inferred)
    splits  into how many consecutive parts the rows are cut; more than one lets several subtasks read,
            and the order between the parts is then lost
    """
    type_, table = _columns_of(rows, schema)
    check_event_time(table.schema, event_time)
    if splits < 1:
        raise ValueError(f"splits counts parts, from 1; got {splits}")
    return CollectionSource(
        declared=type_,
        table=table,
        splits=splits,
        event_time=_event_time(event_time, max_delay, idle_after, watermark_every),
    )


from_rows = collection
"""The same, under the name that reads best with Schema rows."""


def _event_time(
    column: str | None, delay: timedelta, idle: timedelta | None, every: int | None
) -> Any:
    return event_time(column, max_delay=delay, idle_after=idle, watermark_every=every)


def _columns_of(rows: Any, schema: Any) -> tuple[StreamType, pa.Table]:
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, pa.Table):
        if schema is None:
            return StreamType(rows.schema), rows
        type_ = row_type(schema)
        return type_, _fitted(rows, type_.schema)
    values: Sequence[Any] = list(rows)
    if schema is None and values and isinstance(values[0], msgspec.Struct):
        schema = type(values[0])
    if schema is None and values and isinstance(values[0], dict):
        table = pa.Table.from_pylist(values)
        return StreamType(table.schema), table
    if schema is None:
        pickled = [pickle.dumps(v, protocol=5) for v in values]
        return OBJECTS, pa.table([pa.array(pickled, pa.binary())], schema=OBJECT_WIRE_SCHEMA)
    type_ = row_type(schema)
    assert type_.schema is not None
    return type_, _table_of(values, type_.schema)


def _table_of(values: Sequence[Any], schema: pa.Schema) -> pa.Table:
    dicts = [_plain(v) for v in values]
    for at, row in enumerate(dicts):
        if not isinstance(row, dict):
            raise TypeMismatch(
                f"row {at} is {values[at]!r}; with a schema, rows are instances of it or dicts",
                where=caller(),
            )
    arrays = []
    for field in schema:
        column = [row.get(field.name) for row in dicts]
        try:
            array = pa.array(column, field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise TypeMismatch(
                f"column `{field.name}` ({field.type}): {error}", where=caller()
            ) from None
        if (path := missing(array, field)) is not None:
            at = next((i for i, v in enumerate(column) if v is None), 0)
            raise TypeMismatch(f"row {at} has no `{path}`: {values[at]!r}", where=caller())
        arrays.append(array)
    return pa.table(arrays, schema=schema)


def _plain(value: Any) -> Any:
    """Schema instances as dicts by column name and enum members as their values: what Arrow understands."""
    if isinstance(value, msgspec.Struct):
        from flowjob.schema import columns_of

        columns = columns_of(type(value))  # type: ignore[arg-type]
        return {c.name: _plain(getattr(value, c.attribute)) for c in columns}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    return value


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    missing = [n for n in schema.names if n not in table.schema.names]
    if missing:
        raise TypeMismatch(f"the table lacks {missing}; it has {table.schema.names}")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise TypeMismatch(f"the table does not fit its schema: {error}") from None


@dataclass(frozen=True, kw_only=True, eq=False)
class CollectionSource(Source):
    """See `collection`."""

    declared: StreamType
    table: pa.Table
    splits: int = 1
    columns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return "collection"

    @property
    def type(self) -> StreamType:
        if self.columns is None or self.declared.schema is None:
            return self.declared
        return StreamType(projected(self.declared.schema, self.columns))

    @property
    def bounded(self) -> bool:
        return True

    @property
    def max_parallelism(self) -> int | None:
        return self.splits

    def project(self, columns: tuple[str, ...]) -> CollectionSource | None:
        if self.declared.is_objects:
            return None
        return replace(self, columns=needed(self, columns))

    def left(self, split: Split, position: Position | None) -> Left:
        given = (position or {}).get("rows", 0)
        return Left(rows=split.data["stop"] - split.data["start"] - given)

    def enumerator(self, env: Env) -> SplitEnumerator:
        size, n = self.table.num_rows, self.splits
        bounds = [size * i // n for i in range(n + 1)]
        return KnownSplits(
            tuple(Split(f"rows-{i}", {"start": bounds[i], "stop": bounds[i + 1]}) for i in range(n))
        )

    def reader(
        self, env: Env, split: Split, position: Position | None, batch_rows: int
    ) -> SplitReader:
        schema = self.type.schema or OBJECT_WIRE_SCHEMA
        part = self.table.select(schema.names)
        rows = part.slice(split.data["start"], split.data["stop"] - split.data["start"])
        return TableReader(rows, batch_rows, (position or {}).get("rows", 0))


class TableReader(SplitReader):
    """Slices of a table in memory; never waits."""

    immediate = True

    def __init__(self, table: pa.Table, batch_rows: int, given: int) -> None:
        self._table = table
        self._batch_rows = batch_rows
        self._given = given

    async def read(self) -> Read | None:
        if self._given >= self._table.num_rows:
            return None
        part = self._table.slice(self._given, self._batch_rows)
        self._given += part.num_rows
        columns = [c.combine_chunks() for c in part.columns]
        return Read(pa.RecordBatch.from_arrays(columns, schema=self._table.schema))

    def position(self) -> Position:
        return {"rows": self._given}
