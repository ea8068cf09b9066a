"""`flowjob`, but a TaskManager that is silent for two seconds is given up. For tests that cannot wait for 30."""

from __future__ import annotations

import functools

from flowjob.cli.main import main
from flowjob.runtime import minicluster
from flowjob.runtime.jobmanager.request import JobRequest

INTERVAL, TIMEOUT = 0.2, 2.0

if __name__ == "__main__":
    quick = functools.partial(JobRequest, heartbeat_interval=INTERVAL, heartbeat_timeout=TIMEOUT)
    minicluster.JobRequest = quick  # type: ignore[misc,assignment]
    main()
