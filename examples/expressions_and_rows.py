"""Expressions and rows, freely mixed: columns where that says it, plain Python where it does not.

Only `map` runs Python per row; everything else works on whole columns.
`flowjob run examples/expressions_and_rows.py`"""

from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import flowjob as fj


class Flight(fj.Schema):
    origin: str
    scheduled: datetime
    delay: float | None


class Tagged(fj.Schema):
    origin: str
    tag: str
    day: date
    early: float


class Scored(fj.Schema):
    tag: str
    score: float


def tagged(flight: Any) -> Tagged:
    """Any Python: one row in, one row out."""
    return Tagged(
        flight.origin, f"{flight.origin.lower()}-{flight.day:%j}", flight.day, flight.early
    )


def scored(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Any library that takes columns: one batch in, one out."""
    score = pc.log1p(batch.column("early"))
    return pa.RecordBatch.from_arrays([batch.column("tag"), score], ["tag", "score"])


def scores(flights: fj.Stream[Flight]) -> fj.Stream[Scored]:
    fast = (
        flights.filter(fj.col("delay") < 0)
        .with_columns(day=fj.col("scheduled").dt.date(), early=-fj.col("delay"))
        .select("origin", "day", "early")
    )
    return fast.map(tagged, returns=Tagged).map_batches(scored, returns=Scored)


FLIGHTS = [
    Flight("JFK", datetime.fromisoformat("2013-01-01T10:00Z"), -5.0),
    Flight("LGA", datetime.fromisoformat("2013-01-01T10:20Z"), 12.0),
    Flight("EWR", datetime.fromisoformat("2013-02-01T11:00Z"), -1.0),
    Flight("EWR", datetime.fromisoformat("2013-02-01T11:30Z"), None),
]

job = fj.Job("expressions_and_rows")
job.write(scores(job.read(fj.from_rows(FLIGHTS))), fj.show("scores"))
