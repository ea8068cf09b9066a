"""What the programs of this folder are about."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import flowjob as fj
from flowjob.column_types import decimal


class Flight(fj.Schema):
    origin: str
    carrier: str
    scheduled: datetime
    delay: float | None
    fare: Annotated[Decimal, decimal(10, 2)] | None


def flights(job: fj.Job) -> fj.Stream[Flight]:
    """An empty collection with event time."""
    return job.read(fj.collection([], Flight, event_time="scheduled"))
