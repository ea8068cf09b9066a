"""/metrics of a JobManager: of a running job every figure that it knows, of one that does not lead only that."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import flowjob as fj
from flowjob.cluster.job_details import LiveJob, LogQuery
from flowjob.cluster.metrics import Family, text_of
from flowjob.errors import JobCancelled
from flowjob.plan.compile import compile_job
from flowjob.runtime.minicluster import run_local
from flowjob.runtime.observing.exposition import families_of
from tests.runtime.observing.test_live_jobs import endless, reported, until
from tests.telemetry.table import of_jobmanager


def test_one_that_does_not_lead_tells_nothing_of_the_job() -> None:
    clock = SimpleNamespace(wall=lambda: 0)
    host: Any = SimpleNamespace(manager=None, observer=None, env=SimpleNamespace(clock=clock))
    (leads,) = families_of(host, None, per_subtask=False)
    assert (leads.name, leads.samples) == ("flowjob_leader", {(): 0.0})


@pytest.mark.processes
@pytest.mark.parametrize("per_subtask", [False, True])
def test_a_running_job_tells_what_it_knows(tmp_path: Path, per_subtask: bool) -> None:
    seen: dict[str, Family] = {}

    async def serve(live: LiveJob) -> None:
        await until(live.details, "checkpoint")
        await reported(live.details)
        while (await live.details.graph()).vertices[-1].latency is None:
            await live.details.logs(LogQuery(after=10_000, wait=0.1))
        host: Any = live.host  # type: ignore[attr-defined]
        families = families_of(host, host.view(), per_subtask=per_subtask)
        seen.update({family.name: family for family in families})
        host.manager.cancel("enough")

    checkpoints = fj.Checkpoints(interval=timedelta(seconds=0.5), location=tmp_path)
    with pytest.raises(JobCancelled):
        run_local(
            endless(),
            parallelism=2,
            serve=serve,
            checkpoints=checkpoints,
            run={"latency_interval": 0.05},
        )
    assert seen.keys() == {family.name for family in of_jobmanager()}
    unknown = {name for name, family in seen.items() if not (family.samples or family.histograms)}
    assert unknown == {"flowjob_source_lag_rows", "flowjob_source_lag_bytes"}
    (way,) = seen["flowjob_latency_seconds"].histograms
    assert way == tuple(v.name for v in compile_job(endless(), parallelism=2).vertices)
    rows_in = seen["flowjob_vertex_rows_in"].samples
    assert len(rows_in) == (4 if per_subtask else 2)
    assert seen["flowjob_checkpoint_duration_seconds"].samples[()] > 0
    assert all(value > 0 for value in seen["flowjob_vertex_state_bytes"].samples.values())
    text_of(list(seen.values()))
