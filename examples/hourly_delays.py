"""Windows over files: departures and delays per airport and hour, late and unreadable rows kept apart.

The shortest complete job; examples/flights is the same on real data. `flowjob run examples/hourly_delays.py` with
CSV files under data/delays, columns origin, carrier, scheduled, delay."""

from datetime import datetime, timedelta

import flowjob as fj


class Flight(fj.Schema):
    origin: str
    carrier: str
    scheduled: datetime
    delay: float | None  # minutes


class Args(fj.Args):
    source: str = "data/delays/*.csv"
    out: str = "out/delays"


def hourly(flights: fj.Stream[Flight]) -> fj.Stream:
    return (
        flights.key_by("origin")
        .window(fj.tumbling(timedelta(hours=1)), allowed_lateness=timedelta(hours=2))
        .agg(departures=fj.count(), mean_delay=fj.mean("delay"), worst=fj.max("delay"))
    )


def job(args: Args) -> fj.Job:
    job = fj.Job("hourly_delays")
    flights = job.read(
        fj.files.csv(
            args.source,
            Flight,
            event_time="scheduled",
            max_delay=timedelta(minutes=30),
            on_bad_row="divert",
        )
    )
    delays = hourly(flights)
    job.write(delays, fj.files.parquet(f"{args.out}/hourly"))
    job.write(delays.late, fj.files.jsonl(f"{args.out}/late"))
    job.write(flights.bad_rows, fj.files.jsonl(f"{args.out}/rejected"))
    job.write(delays, fj.show("delays per hour"))
    return job
