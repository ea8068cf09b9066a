"""What the factories of all sources share: a row type from a Schema class or an Arrow schema, and event time.

Here so that every connector takes the same words with the same meaning. It must not know any connector."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flowjob.errors import PlanError, TypeMismatch, UnknownColumn
from flowjob.plan.types import StreamType
from flowjob.plan.where import caller
from flowjob.watermarks import EventTime

if TYPE_CHECKING:
    from flowjob.connectors.base import OnBadRow, Source

NO_DELAY = timedelta(0)
IDLE_AFTER = timedelta(seconds=30)
"""After how long a silent split stops holding time back, unless the job says otherwise."""


def row_type(schema: Any) -> StreamType:
    """The stream type that a Schema class, a pyarrow.Schema or a StreamType declares."""
    if isinstance(schema, StreamType):
        return schema
    if isinstance(schema, pa.Schema):
        return StreamType(schema)
    if isinstance(schema, type):
        from flowjob.schema import arrow_schema

        return StreamType(arrow_schema(schema), schema)
    raise TypeMismatch(
        f"the row type of a source is a Schema class or a pyarrow.Schema, got {schema!r}",
        where=caller(),
    )


def event_time(
    column: str | None,
    *,
    max_delay: timedelta = NO_DELAY,
    idle_after: timedelta | None = IDLE_AFTER,
    watermark_every: int | None = None,
) -> EventTime | None:
    """The declaration from the words of a factory, or None when there is no event time."""
    if column is None:
        if max_delay != NO_DELAY or watermark_every is not None:
            raise PlanError(
                'max_delay and watermark_every need event time: name its column with event_time="…"'
            )
        return None
    return EventTime(column, max_delay, idle_after, watermark_every)


def check_event_time(schema: pa.Schema, column: str | None) -> None:
    """Raise when `column` cannot be the event time of such rows; None passes."""
    if column is None:
        return
    if column not in schema.names:
        raise UnknownColumn(column, schema.names, where=caller())
    kind = schema.field(column).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or kind == pa.int64()):
        raise TypeMismatch(
            f"event time `{column}` is {kind}; it must be a datetime, a date or an int of µs UTC",
            where=caller(),
        )


def check_on_bad_row(policy: OnBadRow) -> OnBadRow:
    """The policy itself, refused when it is none."""
    if policy not in ("fail", "skip", "divert"):
        raise PlanError(f'on_bad_row is "fail", "skip" or "divert", not {policy!r}', where=caller())
    return policy


def needed(source: Source, columns: tuple[str, ...]) -> tuple[str, ...]:
    """What a projection to `columns` must read: the event time too, and at least one column, because Arrow batches
    without any forget how many rows they have."""
    event_time = source.event_time
    if event_time is not None and event_time.column is not None:
        columns = (*columns, event_time.column)
    return columns or (source.type.columns[0],)


def projected(schema: pa.Schema, columns: tuple[str, ...] | None) -> pa.Schema:
    """The fields of `columns` in schema order; all of them for None."""
    if columns is None:
        return schema
    return pa.schema([f for f in schema if f.name in set(columns)], metadata=schema.metadata)
