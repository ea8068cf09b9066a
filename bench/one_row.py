"""The smallest job, for the startup benchmark: one row through one exchange, printed.

A script like a user's, run by `flowjob run`."""

import flowjob as fj

job = fj.Job("one_row")
rows = job.read(fj.from_rows([{"word": "first"}]))
job.write(rows.key_by("word").agg(seen=fj.count()), fj.print_())
