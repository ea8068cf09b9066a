"""Departures and delays per airport and hour, of flights that are made up as they come.

It never ends, so that there is always something to see: stop it, rescale it, upgrade it, and no flight is lost."""

from datetime import UTC, datetime, timedelta

import flowjob as fj


class Args(fj.Args):
    """rate: flights per second; out: where results go."""

    rate: int = 2000
    out: str


def hourly(flights: fj.Stream) -> fj.Stream:
    return (
        flights.key_by("origin")
        .window(fj.tumbling(timedelta(hours=1)))
        .agg(departures=fj.count(), mean_delay=fj.mean("delay"), worst=fj.max("delay"))
    )


def job(args: Args) -> fj.Job:
    job = fj.Job("flights")
    columns = {
        "origin": fj.values.choice("JFK", "LGA", "EWR"),
        "departed": fj.values.timestamps(datetime(2013, 1, 1, tzinfo=UTC), timedelta(seconds=1)),
        "delay": fj.values.ints(-20, 300),
    }
    flights = job.read(fj.datagen(columns, rate=args.rate, event_time="departed"))
    job.write(hourly(flights), fj.files.jsonl(f"{args.out}/hourly"))
    return job
