"""Stateless operators share a chain; neighbouring projections become one."""

import flowjob as fj
from tests.plan.jobs.rows import flights

job = fj.Job("expressions")
early = (
    flights(job)
    .filter(fj.col("delay") < 0)
    .with_columns(early=-fj.col("delay"), unused=fj.col("fare") * 2)
    .select("origin", twice=fj.col("early") * 2)
)
job.write(early, fj.discard())
