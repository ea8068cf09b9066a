"""Who owns what an operator makes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowjob_operator.core.actions import FINALIZER, Outcome, SnapshotOutcome, StartStorageJob
from flowjob_operator.core.observed import Observed, SnapshotObserved
from flowjob_operator.core.revision import Revision
from flowjob_operator.process.cluster import kinds
from flowjob_operator.resources.flowjob_status import Code
from flowjob_operator.resources.flowsnapshot import StorageAccess
from tests.operator.process.fake_api import FakeApi
from tests.operator.process.harness import Operator, Scripted, a_job, a_snapshot, play


def disposing(seen: Observed) -> Outcome:
    spec = seen.job.spec
    revision = Revision(
        number=1,
        base=1,
        template=1,
        generation=1,
        written=spec,
        spec=spec,
        code=Code(image=spec.image),
    )
    action = StartStorageJob(
        name="flights-discard",
        command="dispose",
        job="flights",
        job_uid=seen.job.metadata.uid,
        revision=revision,
    )
    return Outcome(status=seen.job.status, actions=(action,))


@pytest.mark.parametrize("goes", [True, False])
def test_work_for_an_object_that_goes_belongs_to_nobody_because_it_would_go_first(
    goes: bool,
) -> None:
    async def scenario() -> None:
        api = FakeApi()
        job: dict[str, Any] = a_job()
        job["metadata"]["finalizers"] = [FINALIZER]
        if goes:
            job["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
        api.put(kinds.FLOWJOBS, job)
        async with Operator(api, Scripted(disposing)).living():
            await asyncio.sleep(5)
        made = api.of(kinds.JOBS, "a", "flights-discard")
        assert bool(made["metadata"].get("ownerReferences")) != goes

    play(scenario)


def test_work_on_the_data_of_a_snapshot_that_goes_is_seen_though_nobody_owns_it() -> None:
    """Else it would be begun for ever, and the object would never go."""
    access = StorageAccess.model_validate({"image": "flowjob-worker:1"})
    action = StartStorageJob(
        name="before-dispose", command="dispose", path="s3://bucket/x", access=access
    )

    def disposing_of_it(seen: SnapshotObserved) -> SnapshotOutcome:
        actions = () if seen.storage_runs else (action,)
        return SnapshotOutcome(status=seen.snapshot.status, actions=actions, look_again_after=2.0)

    async def scenario() -> None:
        api, script = FakeApi(), Scripted(snapshot=disposing_of_it)
        snapshot: dict[str, Any] = a_snapshot()
        snapshot["metadata"]["finalizers"] = [FINALIZER]
        snapshot["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
        api.put(kinds.FLOWSNAPSHOTS, snapshot)
        async with Operator(api, script).living():
            await asyncio.sleep(10)
        assert not api.of(kinds.JOBS, "a", "before-dispose")["metadata"].get("ownerReferences")
        assert [run.name for run in script.snapshots_seen[-1].storage_runs] == ["before-dispose"]

    play(scenario)
