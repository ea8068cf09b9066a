"""datetimes of user code and the engine's microseconds.

A naive datetime is read as UTC, as Arrow's are. Exact: floats of seconds would lose microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - what naive ones are measured from
_LATEST = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def micros_of(at: datetime) -> int:
    """µs since the epoch. TypeError for what is no datetime."""
    try:
        since = at - EPOCH
    except TypeError:
        if not isinstance(at, datetime):
            raise TypeError(f"a time must be a datetime, got {type(at).__name__}: {at!r}") from None
        since = at - _NAIVE_EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def datetime_of(micros: int) -> datetime:
    """In UTC; times that a datetime cannot hold become its first or last one."""
    try:
        return EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return _LATEST if micros > 0 else _EARLIEST
