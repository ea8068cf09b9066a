"""`python -m bench.service_load.service`: the service as its Deployment starts it, but for where JobManagers are found.

There is no headless Service's name to look up here: each FlowJob's JobManager has a port of this machine."""

from __future__ import annotations

import os
import sys

from bench.service_load.pieces import MANAGERS
from flowjob.cluster.identity import JobId
from flowjob_api.running import main


async def addresses(job: JobId) -> list[str]:
    ports, number = os.environ[MANAGERS].split(","), int(job.name.rpartition("-")[2])
    if number >= len(ports):
        raise OSError("no JobManager here")
    return [f"127.0.0.1:{ports[number]}"]


if __name__ == "__main__":
    sys.exit(main(addresses))
