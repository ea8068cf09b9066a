"""Who owns what an operator makes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowjob_operator.core.actions import (
    FINALIZER,
    Action,
    CreateSnapshot,
    Outcome,
    SaveRevision,
    SnapshotOutcome,
    StartPreflight,
    StartStorageJob,
)
from flowjob_operator.core.observed import Observed, SnapshotObserved
from flowjob_operator.core.revision import Beginning, Revision
from flowjob_operator.process.cluster import kinds
from flowjob_operator.resources.flowjob_status import Code
from flowjob_operator.resources.flowsnapshot import FlowSnapshotSpec, StorageAccess
from tests.operator.process.fake_api import FakeApi
from tests.operator.process.harness import Operator, Scripted, a_job, a_snapshot, play


def revision_of(seen: Observed) -> Revision:
    spec = seen.job.spec
    return Revision(
        number=1,
        base=1,
        template=1,
        generation=1,
        written=spec,
        spec=spec,
        code=Code(image=spec.image),
    )


def disposing(seen: Observed) -> Outcome:
    action = StartStorageJob(
        name="flights-discard",
        command="dispose",
        job="flights",
        job_uid=seen.job.metadata.uid,
        revision=revision_of(seen),
    )
    return Outcome(status=seen.job.status, actions=(action,))


def trying(seen: Observed) -> Outcome:
    action = StartPreflight(revision=revision_of(seen), restore=Beginning(), deadline=60.0)
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


@pytest.mark.parametrize("goes", [True, False])
@pytest.mark.parametrize(
    ("decision", "name"), [(disposing, "flights-discard"), (trying, "flights-preflight-1")]
)
def test_what_a_short_job_reads_and_what_guards_its_pod_comes_before_it_and_goes_with_it(
    decision: Any, name: str, goes: bool
) -> None:
    """Also where nobody else owns it, because what it was made for goes."""

    async def scenario() -> None:
        api = FakeApi()
        job: dict[str, Any] = a_job()
        job["metadata"]["finalizers"] = [FINALIZER]
        if goes:
            job["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
        api.put(kinds.FLOWJOBS, job)
        async with Operator(api, Scripted(decision)).living():
            await asyncio.sleep(5)
        uid = api.of(kinds.JOBS, "a", name)["metadata"]["uid"]
        for kind in (kinds.CONFIGMAPS, kinds.NETWORK_POLICIES):
            (owner,) = api.of(kind, "a", name)["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["uid"]) == ("Job", uid)
        made = [str(request) for request in api.requests if request.name == name]
        first = made.index(f"create jobs a/{name}")
        assert f"apply networkpolicies a/{name}" in made[:first]
        assert f"apply configmaps a/{name}" in made[:first]

    play(scenario)


def test_short_jobs_get_where_the_platform_lets_jobs_go() -> None:
    egress = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]

    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        settings = {"platform": {"egress": egress}}
        async with Operator(api, Scripted(trying), settings=settings).living():
            await asyncio.sleep(5)
        policy = api.of(kinds.NETWORK_POLICIES, "a", "flights-preflight-1")
        assert policy["spec"]["egress"] == egress

    play(scenario)


VOLUME = {"name": "state", "persistentVolumeClaim": {"claimName": "state"}}
TEMPLATE = {
    "podTemplate": {
        "spec": {
            "volumes": [VOLUME],
            "containers": [
                {"name": "flowjob", "volumeMounts": [{"name": "state", "mountPath": "/state"}]}
            ],
        }
    }
}


def volumes_of_disposal(storage: str, path: str, access: dict[str, str] | None) -> list[Any]:
    """Of a snapshot of a job that keeps its state in `storage`, of which a volume is mounted."""
    found: list[Any] = []

    def saving(seen: Observed) -> Outcome:
        return Outcome(status=seen.job.status, actions=(SaveRevision(revision=revision_of(seen)),))

    def disposing_of_it(seen: SnapshotObserved) -> SnapshotOutcome:
        if seen.job is None or seen.storage_runs:
            return SnapshotOutcome(status=seen.snapshot.status)
        action: Action = StartStorageJob(
            name="before-dispose",
            command="dispose",
            path=path,
            job="flights",
            job_uid=seen.job.metadata.uid,
            access=None if access is None else StorageAccess.of(access),
        )
        return SnapshotOutcome(status=seen.snapshot.status, actions=(action,), look_again_after=2.0)

    async def scenario() -> None:
        api = FakeApi()
        checkpoints = {"storage": storage}
        job = a_job(checkpoints=checkpoints, jobManager=TEMPLATE, taskManager=TEMPLATE)
        api.put(kinds.FLOWJOBS, job)
        async with Operator(api, Scripted(saving, disposing_of_it)).living():
            await asyncio.sleep(5)
            api.put(kinds.FLOWSNAPSHOTS, a_snapshot())
            await asyncio.sleep(5)
        made = api.of(kinds.JOBS, "a", "before-dispose")
        found.extend(made["spec"]["template"]["spec"]["volumes"])

    play(scenario)
    return found


@pytest.mark.parametrize("access", [None, {"image": "flowjob-worker:1"}])
@pytest.mark.parametrize("place", ["/state/flowjob", "/state/imported"])
def test_work_on_a_snapshot_in_a_directory_mounts_the_volumes_of_its_job(
    place: str, access: dict[str, str] | None
) -> None:
    assert VOLUME in volumes_of_disposal("file:///state/flowjob", f"file://{place}/x", access)


def test_work_on_a_snapshot_that_lies_where_no_revision_stores_is_done_as_the_snapshot_says() -> (
    None
):
    moved = {"endpoint": "http://old:9000", "image": "flowjob-worker:1"}
    assert VOLUME not in volumes_of_disposal("s3://bucket/x", "s3://bucket/x/s", moved)
    assert VOLUME not in volumes_of_disposal("s3://bucket/x", "s3://other/s", moved)
    assert VOLUME in volumes_of_disposal("s3://bucket/x", "s3://other/s", None)


def test_what_the_operator_makes_and_git_does_not_know_is_not_pruned() -> None:
    def creating(seen: Observed) -> Outcome:
        spec = FlowSnapshotSpec.of({"jobRef": {"name": "flights"}})
        action = CreateSnapshot(name="by-clock", spec=spec, made_by="Schedule")
        return Outcome(status=seen.job.status, actions=(action,))

    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, Scripted(creating)).living():
            await asyncio.sleep(5)
        notes = api.of(kinds.FLOWSNAPSHOTS, "a", "by-clock")["metadata"]["annotations"]
        assert notes["argocd.argoproj.io/sync-options"] == "Prune=false"
        assert notes["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"

    play(scenario)


def labels_of_what_is_made(**settings: Any) -> dict[str, str]:
    def creating(seen: Observed) -> Outcome:
        spec = FlowSnapshotSpec.of({"jobRef": {"name": "flights"}})
        action = CreateSnapshot(name="by-clock", spec=spec, made_by="Schedule")
        return Outcome(status=seen.job.status, actions=(action,))

    found: dict[str, str] = {}

    async def scenario() -> None:
        api = FakeApi()
        job = a_job()
        job["metadata"]["labels"]["app.kubernetes.io/instance"] = "git"
        api.put(kinds.FLOWJOBS, job)
        async with Operator(api, Scripted(creating), settings=settings).living():
            await asyncio.sleep(5)
        found.update(api.of(kinds.FLOWSNAPSHOTS, "a", "by-clock")["metadata"]["labels"])

    play(scenario)
    return found


def test_what_the_operator_makes_has_those_labels_of_its_job_that_it_selects_by() -> None:
    assert "app.kubernetes.io/instance" not in labels_of_what_is_made()
    found = labels_of_what_is_made(label_selector="team=x")
    assert found["team"] == "x"
    assert "app.kubernetes.io/instance" not in found


def test_the_revisions_of_its_job_are_seen_with_a_snapshot() -> None:
    def saving(seen: Observed) -> Outcome:
        return Outcome(status=seen.job.status, actions=(SaveRevision(revision=revision_of(seen)),))

    async def scenario() -> None:
        api, script = FakeApi(), Scripted(saving)
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, script).living():
            await asyncio.sleep(5)
            api.put(kinds.FLOWSNAPSHOTS, a_snapshot())
            await asyncio.sleep(5)
        (revision,) = script.snapshots_seen[-1].revisions
        assert revision.spec.checkpoints.storage == "s3://bucket/x"

    play(scenario)
