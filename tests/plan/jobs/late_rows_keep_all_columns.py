"""Where late rows are read, rows cross the exchange whole and one by one."""

from datetime import timedelta

import flowjob as fj
from tests.plan.jobs.rows import flights

job = fj.Job("late")
delays = (
    flights(job)
    .key_by("origin")
    .window(fj.tumbling(timedelta(hours=1)), allowed_lateness=timedelta(hours=2))
    .agg(departures=fj.count())
)
job.write(delays, fj.discard())
job.write(delays.late, fj.print_())
