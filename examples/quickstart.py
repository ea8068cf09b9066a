"""The program of the README: departures and mean delay per airport and day.

`make run` has fetched its data; then `flowjob run examples/quickstart.py -p 2`."""

from datetime import datetime, timedelta

import flowjob as fj


class Flight(fj.Schema):
    origin: str
    time_hour: datetime
    dep_delay: float | None  # minutes; none when cancelled


def daily(flights: fj.Stream[Flight]) -> fj.Stream:
    day = fj.tumbling(timedelta(days=1))
    return (
        flights.key_by("origin")
        .window(day, allowed_lateness=timedelta(hours=2))
        .agg(departures=fj.count("dep_delay"), mean_delay=fj.mean("dep_delay"))
    )


job = fj.Job("daily")
files = fj.files.csv(
    "data/flights/*.csv", Flight, event_time="time_hour", max_delay=timedelta(days=1)
)
days = daily(job.read(files))
job.write(days, fj.files.parquet("out/daily"))
job.write(days.late, fj.files.jsonl("out/late"))
job.write(days.filter(fj.col("mean_delay") > 60), fj.show("bad days"))
