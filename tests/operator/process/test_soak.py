"""Memory of the operator over hours of virtual time: jobs and pods that come and go leave nothing behind."""

from __future__ import annotations

import asyncio
import gc

import pytest

from flowjob_operator.core import actions
from flowjob_operator.core.observed import Observed
from flowjob_operator.process.cluster import kinds
from tests.operator.process.fake_api import FakeApi
from tests.operator.process.harness import Operator, Scripted, a_job, a_pod, all_is_well, play

HOURS = 3
JOBS = 10
GROWTH = 2000
"""Objects of Python, in an hour in which a hundred of Kubernetes come and go"""


def talkative(observed: Observed) -> actions.Outcome:
    """Says something new every minute, as a job that is broken does."""
    message = f"it is {observed.now:%H:%M} and {observed.job.metadata.name} is broken"
    said = actions.EmitEvent(type=actions.EventType.WARNING, reason="Broken", message=message)
    return actions.Outcome(
        status=all_is_well(observed).status.model_copy(update={"diagnosis": message}),
        actions=(said,),
    )


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_memory_stays_flat_while_jobs_and_pods_come_and_go() -> None:
    async def scenario() -> None:
        api = FakeApi(kept_requests=0)
        operator = Operator(api, Scripted(talkative))
        sizes = []
        async with operator.living():
            for minute in range(60 * HOURS):
                name = f"job-{minute % JOBS}"
                if api.has(kinds.FLOWJOBS, "a", name):
                    api.take(kinds.FLOWJOBS, "a", name)
                    api.take(kinds.PODS, "a", f"{name}-tm-0")
                else:
                    api.put(kinds.FLOWJOBS, a_job(name))
                    api.put(kinds.PODS, a_pod(f"{name}-tm-0", job=name, podIP="10.0.0.1"))
                await asyncio.sleep(60)
                # What the fakes remember is not the operator's.
                operator.decisions.seen.clear()
                for place in [p for p in api.objects if p[0] == "events"]:
                    del api.objects[place]
                if minute % 60 == 59:
                    gc.collect()
                    sizes.append(len(gc.get_objects()))
        assert sizes[-1] - sizes[1] < GROWTH, sizes
        assert len(operator.parts.queue.keys()) <= JOBS
        assert len(operator.parts.mirror.names(kinds.PODS)) <= JOBS

    play(scenario)
