"""`python -m bench.service_load.job FOLDER RATE`: a job that runs, and answers for several FlowJobs.

It is the real one: its answers, its certificates, and what both cost the machine. FOLDER has an identity for each of
them, the environment a port. RATE rows a second flow, 0: as many as can."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import flowjob as fj
from bench.service_load.pieces import MANAGERS
from flowjob.cluster.identity import API_CLIENTS
from flowjob.cluster.job_details import LiveJob
from flowjob.errors import JobCancelled
from flowjob.runtime.minicluster import run_local
from flowjob.runtime.real.details_api import DetailsApi
from flowjob.runtime.real.internal_api import ApiServer
from flowjob.runtime.real.tls import api_ssl_context


class Row(fj.Schema):
    """Of the job."""

    key: int
    value: int


class _Answering:
    """What ApiServer needs of an InternalApi, for reading only."""

    def __init__(self, live: LiveJob) -> None:
        self.details = DetailsApi(live.details)


def program(rate: float) -> fj.Job:
    job = fj.Job("orders")
    columns = {"key": fj.values.ints(0, 9999), "value": fj.values.ints(0, 99)}
    made = fj.datagen(Row, columns, splits=2, **({"rate": rate} if rate else {}))
    job.write(job.read(made).key_by("key").agg(rows=fj.count()), fj.discard())
    return job


def main(folder: Path, rate: float) -> None:
    async def serve(live: LiveJob) -> None:
        servers = []
        for number, port in enumerate(os.environ[MANAGERS].split(",")):
            identity = folder / f"manager-{number}"
            answering: Any = _Answering(live)
            server = ApiServer(answering, lambda at=identity: api_ssl_context(at, API_CLIENTS))
            await server.listen("127.0.0.1", int(port))
            servers.append(server)
        sys.stdout.write("listens\n")
        sys.stdout.flush()
        await live.ended()
        await asyncio.gather(*(server.close() for server in servers))

    kept = fj.Checkpoints(location=str(folder / "checkpoints"))
    with contextlib.suppress(JobCancelled):  # as it is told to in the end
        run_local(program(rate), parallelism=2, checkpoints=kept, serve=serve)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
