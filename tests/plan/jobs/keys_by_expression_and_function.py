"""Keys that are no columns travel in hidden ones, evaluated once at the sender."""

import flowjob as fj
from tests.plan.jobs.rows import Flight, flights


def initial(flight: Flight) -> str:
    return flight.origin[0]


job = fj.Job("keys")
all_flights = flights(job)
by_letter = all_flights.key_by(letter=fj.col("origin").str.slice(0, 1)).agg(n=fj.count())
by_function = all_flights.key_by(initial).agg(mean=fj.mean("delay")).changelog()
job.write(by_letter, fj.discard())
job.write(by_function.named("by function"), fj.sinks.collect())
