"""Unneeded columns are neither read nor shipped, and senders aggregate first."""

from datetime import timedelta

import flowjob as fj
from tests.plan.jobs.rows import flights

job = fj.Job("hourly")
delays = (
    flights(job)
    .key_by("origin")
    .window(fj.tumbling(timedelta(hours=1)))
    .agg(departures=fj.count(), worst=fj.max("delay"))
)
job.write(delays, fj.discard())
