"""Delays at the airports of New York City in 2013: departures per airport and hour of event time.

336,776 flights are read as a stream of files, one per month. Flights with impossible values leave by a side stream.
Run it with `make run`, or `flowjob run examples/flights/flights.py -p 2`."""

from datetime import datetime, timedelta

import flowjob as fj


class Flight(fj.Schema):
    """The columns that the job reads. Times of day are local, so event time is the hour in UTC."""

    time_hour: datetime  # the hour of the scheduled departure
    origin: str
    carrier: str
    flight: int
    dep_time: int | None  # hhmm; a cancelled flight has none
    dep_delay: float | None  # minutes; negative when it left early
    air_time: float | None  # minutes; none when cancelled or diverted
    distance: float  # miles


class Args(fj.Args):
    source: str = "data/flights/*.csv"
    out: str = "out/flights"


# A file is in the order of local days and, within one, of actual departures: 22 h 53 min is the largest disorder.
DISORDER = timedelta(days=1)

# No airliner averages 600 mph, leaves half an hour early, or flies to the next airport of the same city.
MILES_PER_HOUR = fj.col("distance") / (fj.col("air_time") / 60)
IMPOSSIBLE = (
    (MILES_PER_HOUR > 600)
    | (fj.col("dep_delay") < -30)
    | (fj.col("dep_delay") > 24 * 60)
    | (fj.col("distance") < 50)
).fill_null(False)


def departures(flights: fj.Stream[Flight]) -> fj.Stream[Flight]:
    """Flights that left, with believable values."""
    return flights.filter(fj.col("dep_time").is_not_null() & ~IMPOSSIBLE)


def impossible(flights: fj.Stream[Flight]) -> fj.Stream[Flight]:
    """Flights with values that cannot be."""
    return flights.filter(IMPOSSIBLE).select(
        "time_hour", "carrier", "flight", "origin", "dep_delay", "distance", mph=MILES_PER_HOUR
    )


def hourly(departed: fj.Stream[Flight]) -> fj.Stream:
    """Per airport and hour: departures, mean and maximum delay in minutes."""
    return (
        departed.key_by("origin")
        .window(fj.tumbling(timedelta(hours=1)))
        .agg(departures=fj.count(), mean_delay=fj.mean("dep_delay"), worst=fj.max("dep_delay"))
    )


def by_airport(hours: fj.Stream) -> fj.Stream:
    """The whole year (a window of ten holds it), out of the results per hour."""
    return (
        hours.filter(fj.col("departures") >= 5)
        .key_by("origin")
        .window(fj.tumbling(timedelta(days=3650)))
        .agg(
            hours=fj.count(),
            departures=fj.sum("departures"),
            worst_delay=fj.max("worst"),
            worst_hour=fj.max_by("window_start", by="mean_delay"),
            mean_delay_then=fj.max("mean_delay"),
        )
        .drop("window_start", "window_end")
    )


def job(args: Args) -> fj.Job:
    job = fj.Job("flights")
    flights = job.read(
        fj.files.csv(
            args.source, Flight, event_time="time_hour", max_delay=DISORDER, on_bad_row="divert"
        )
    )
    hours = hourly(departures(flights)).named("hourly")
    suspects = impossible(flights)
    job.write(hours, fj.files.parquet(f"{args.out}/hourly"))
    job.write(hours.late, fj.files.jsonl(f"{args.out}/late"))
    job.write(suspects, fj.files.jsonl(f"{args.out}/impossible"))
    job.write(flights.bad_rows, fj.files.jsonl(f"{args.out}/rejected"))

    terrible = hours.filter((fj.col("mean_delay") > 180) & (fj.col("departures") >= 5))
    job.write(suspects, fj.show("flights with impossible values"))
    job.write(terrible, fj.show("hours with a mean delay of more than three hours"))
    job.write(by_airport(hours), fj.show("the year by airport"))
    return job
