"""When a schedule is due: cron's five fields in UTC, `@hourly` and its kin, `@every 6h`.

Pure; what cron's fields mean is the library's business. A day that some months do not have is due in the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from cronsim import CronSim, CronSimError

from flowjob_operator.resources.fields import seconds

_NAMES = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
    }
)
_EVERY = "@every "
_INSTANT = timedelta(seconds=1)


def last_due(schedule: str, now: datetime, anchor: datetime) -> datetime | None:
    """The newest time that is not after `now`; `@every` counts from `anchor`. None: never so far. ValueError: that is
    no schedule."""
    if schedule.startswith(_EVERY):
        step = _step(schedule)
        passed = (now - anchor) // step
        return anchor + passed * step if passed > 0 else None
    begun = now.astimezone(UTC).replace(microsecond=0)
    return _first(schedule, begun + _INSTANT, backwards=True)


def next_due(schedule: str, now: datetime, anchor: datetime) -> datetime | None:
    """The first time after `now`; None: there is none. ValueError: that is no schedule."""
    if schedule.startswith(_EVERY):
        step = _step(schedule)
        return anchor + max(1, (now - anchor) // step + 1) * step
    return _first(schedule, now.astimezone(UTC), backwards=False)


def _step(schedule: str) -> timedelta:
    step = timedelta(seconds=seconds(schedule.removeprefix(_EVERY)))
    if step < timedelta(minutes=1):
        raise ValueError(f"`{schedule}`: at most every minute")
    return step


def _first(schedule: str, start: datetime, *, backwards: bool) -> datetime | None:
    try:
        return next(CronSim(_NAMES.get(schedule, schedule), start, reverse=backwards), None)
    except CronSimError as error:
        raise ValueError(f"`{schedule}` is no schedule: {error}") from None
