"""What most golden jobs read: readings of sensors, made up but always the same.

Rows of a key are spread over time unevenly: several in a minute, then none for long, some of them late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import flowjob as fj
from flowjob.column_types import decimal
from tests.golden.golden import Golden

START = datetime(2024, 1, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
DAY = timedelta(days=1)


COUNT = 100


class Reading(fj.Schema):
    sensor: str
    number: int
    value: int
    price: Annotated[Decimal, decimal(9, 2)] | None
    level: float | None
    at: datetime


def readings(count: int = COUNT, *, first: int = 0) -> list[Reading]:
    """In order of `number`, `at` disordered by up to ten minutes, a little more now and then."""
    return [
        Reading(
            sensor=f"s{n * n // 5 % 7}",
            number=n,
            value=n * 37 % 23 - 7,
            price=None if n % 6 == 0 else Decimal(n * 17 % 1000) / 100,
            level=None if n % 11 == 3 else n * 0.37 - 5,
            at=START + 2 * n * MINUTE - (n * 7 % 5) * 2 * MINUTE - (n % 29 == 28) * HOUR,
        )
        for n in range(first, first + count)
    ]


def read(
    job: fj.Job, name: str = "readings", count: int = COUNT, **options: Any
) -> fj.Stream[Reading]:
    """In one total order, time pinned to the rows: whatever becomes of batches, the same rows are late."""
    options = {"watermark_every": 5, "max_delay": 10 * MINUTE, **options}
    return job.read(fj.from_rows(readings(count), Reading, event_time="at", **options)).named(name)


def spread(job: fj.Job, name: str = "spread", count: int = COUNT) -> fj.Stream[Reading]:
    """In three splits, which several subtasks read: no order, and no row is late."""
    return read(job, name, count, splits=3, max_delay=30 * DAY)


def golden(name: str, program: Callable[[fj.Job], Any], **more: Any) -> Golden:
    """A job that a function of it writes down."""

    def build(directory: Path) -> fj.Job:
        job = fj.Job(name)
        program(job)
        return job

    return Golden(name, build, **more)
