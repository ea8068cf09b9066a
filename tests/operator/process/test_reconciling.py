"""A look at an object: what is written before what is done, what a killed operator leaves, and who delays whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowjob.cluster.control_api import JobManagerView
from flowjob_operator.core import actions
from flowjob_operator.core.actions import FINALIZER
from flowjob_operator.core.observed import Observed
from flowjob_operator.core.repairing import ensure_identity
from flowjob_operator.core.revision import Beginning, Revision
from flowjob_operator.core.turn import Turn
from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.api import Unreachable
from flowjob_operator.resources.flowjob_status import (
    FlowJobStatus,
    Operation,
    OperationType,
    Phase,
    Revisions,
)
from tests.operator.process.fake_api import FakeApi, Request, error, terminating
from tests.operator.process.harness import (
    Operator,
    Scripted,
    a_job,
    a_pod,
    a_snapshot,
    all_is_well,
    play,
    status_of,
)


def starting(observed: Observed) -> actions.Outcome:
    """A first start as the real decisions make one, but for everything that could be in its way."""
    job, status = observed.job, observed.job.status
    spec = job.spec
    if status.revisions is None:
        operation = Operation(
            id=f"{job.metadata.uid}.1",
            type=OperationType.START,
            step="Deploying",
            generation=1,
            started_at=observed.now,
        )
        changed = {
            "phase": Phase.STARTING,
            "operation": operation,
            "revisions": Revisions(target=1),
        }
        status = status.model_copy(update=changed)
    revision = Revision(number=1, base=1, template=1, written=spec, spec=spec)
    done = [c for c in observed.children if c.kind == "StatefulSet"]
    if done and observed.identity is not None:
        changed = {"phase": Phase.RUNNING, "operation": None, "revisions": Revisions(current=1)}
        return actions.Outcome(status=status.model_copy(update=changed))
    return actions.Outcome(
        status=status,
        actions=(
            actions.EnsureIdentity(),
            actions.SaveRevision(revision=revision),
            actions.ApplyRevision(number=1, restore=Beginning(), task_managers=1),
            actions.EmitEvent(
                type=actions.EventType.NORMAL, reason="Starting", message="it starts"
            ),
        ),
        look_again_after=1.0,
    )


WANTED = (
    (kinds.DEPLOYMENTS, "flights-jm-1"),
    (kinds.STATEFUL_SETS, "flights-tm"),
    (kinds.SERVICES, "flights-jm"),
    (kinds.SERVICES, "flights-tm"),
    (kinds.CONFIGMAPS, "flights-file-1"),
    (kinds.REVISIONS, "flights-1"),
    (kinds.SECRETS, "flights-identity"),
)


def test_a_job_is_started() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, Scripted(starting)).living():
            await asyncio.sleep(5)
        assert status_of(api).phase == Phase.RUNNING
        assert [api.has(kind, "a", name) for kind, name in WANTED] == [True] * len(WANTED)
        events = [o for (plural, *_), o in api.objects.items() if plural == "events"]
        assert [event["reason"] for event in events] == ["Starting"]

    play(scenario)


def test_the_status_is_written_before_anything_is_done() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, Scripted(starting)).living():
            await asyncio.sleep(5)
        of_job = [
            str(r) for r in api.requests if r.namespace == "a" and r.verb not in ("get", "list")
        ]
        first = next(r for r in of_job if "leases" not in r)
        assert first == "status flowjobs a/flights"

    play(scenario)


def test_nothing_is_done_when_the_status_cannot_be_written() -> None:
    async def scenario() -> None:
        api = FakeApi(before=lambda r: error(500, "InternalError") if r.verb == "status" else None)
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, Scripted(starting)).living():
            await asyncio.sleep(30)
        assert not any(api.has(kind, "a", name) for kind, name in WANTED)

    play(scenario)


def mutations(api: FakeApi) -> list[Request]:
    return [r for r in api.requests if r.verb not in ("get", "list")]


def count_of_steps() -> int:
    counted = 0

    async def scenario() -> None:
        nonlocal counted
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, Scripted(starting)).living():
            await asyncio.sleep(5)
        counted = len(mutations(api))

    play(scenario)
    return counted


@pytest.mark.parametrize("answer_was_lost", [False, True])
def test_an_operator_that_dies_at_any_request_is_continued_by_the_next(
    answer_was_lost: bool,
) -> None:
    for step in range(1, count_of_steps() + 1):

        async def scenario(step: int = step) -> None:
            api = FakeApi()
            api.put(kinds.FLOWJOBS, a_job())
            dead = asyncio.Event()

            def kill(request: Request) -> BaseException | float | None:
                if dead.is_set():
                    return 1e9  # nothing comes from the dead
                if request.verb not in ("get", "list") and len(mutations(api)) >= step:
                    dead.set()
                    return 1e9
                return None

            if answer_was_lost:
                api.after = kill
            else:
                api.before = kill
            first = Operator(api, Scripted(starting), identity="first")
            async with first.living():
                await asyncio.wait_for(dead.wait(), 60)
            api.before = api.after = lambda _: None
            second = Operator(api, Scripted(starting), identity="second")
            async with second.living():
                await asyncio.sleep(25)
            assert status_of(api).phase == Phase.RUNNING, step
            assert all(api.has(kind, "a", name) for kind, name in WANTED), step
            names = [name for (plural, _, name) in api.objects if plural == "controllerrevisions"]
            assert names == ["flights-1"]

        play(scenario)


def test_a_status_that_somebody_else_wrote_meanwhile_is_not_overwritten() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        done = False

        def intrude(request: Request) -> None:
            nonlocal done
            if request.verb == "status" and not done:
                done = True
                found = api.of(kinds.FLOWJOBS, "a", "flights")
                api.put(kinds.FLOWJOBS, {**found, "status": {"phase": "Failed", "diagnosis": "x"}})

        api.before = intrude
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(3)
        assert [seen.job.status.phase for seen in operator.decisions.seen][:2] == [
            None,
            Phase.FAILED,
        ]
        assert status_of(api).diagnosis == "x"

    play(scenario)


def test_a_deposed_leaders_late_status_is_a_conflict_and_it_does_nothing() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        stalled, resumed = asyncio.Event(), asyncio.Event()
        old = Operator(api, Scripted(starting), identity="old")
        write = api.write_status

        async def stall(*args: Any) -> Any:
            if not stalled.is_set():
                stalled.set()
                await resumed.wait()
            return await write(*args)

        api.write_status = stall  # type: ignore[method-assign]
        async with old.living():
            await stalled.wait()
            found = api.of(kinds.FLOWJOBS, "a", "flights")
            api.put(kinds.FLOWJOBS, {**found, "status": {"phase": "Running"}})  # by the new leader
            resumed.set()
            await asyncio.sleep(0.1)
            assert status_of(api).phase == Phase.RUNNING
            assert not any(api.has(kind, "a", name) for kind, name in WANTED)

    play(scenario)


def test_one_job_whose_requests_hang_delays_no_other() -> None:
    async def scenario() -> None:
        api = FakeApi()
        for n in range(100):
            api.put(kinds.FLOWJOBS, a_job(f"job-{n}"))
        bad = {f"job-{n}" for n in range(10)}

        def hang(request: Request) -> float | Exception | None:
            if request.verb == "status" and request.name in bad:
                return 50.0 if int(request.name[-1]) % 2 else Unreachable("no answer")
            return None

        api.before = hang
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(1)
            reached = {f"job-{n}" for n in range(100) if status_of(api, f"job-{n}").phase}
            assert reached == {f"job-{n}" for n in range(100)} - bad
            before = operator.decisions.times("job-50")
            api.put(
                kinds.FLOWJOBS,
                {
                    **api.of(kinds.FLOWJOBS, "a", "job-50"),
                    "spec": a_job()["spec"] | {"priorState": "Resume"},
                },
            )
            await asyncio.sleep(0.1)
            assert operator.decisions.times("job-50") == before + 1
            assert status_of(api, "job-50").observed_generation == 2

    play(scenario)


def test_its_own_writes_do_not_have_a_job_looked_at_again() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(30)
        assert operator.decisions.times("flights") == 1

    play(scenario)


def test_a_change_of_a_child_has_its_job_looked_at() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(1)
            api.put(kinds.PODS, a_pod("flights-tm-0"))
            await asyncio.sleep(0.1)
            assert [p.name for p in operator.decisions.seen[-1].pods] == ["flights-tm-0"]
            api.take(kinds.PODS, "a", "flights-tm-0")
            await asyncio.sleep(0.1)
            assert operator.decisions.seen[-1].pods == ()
        assert operator.decisions.times("flights") == 3

    play(scenario)


def test_defaults_of_a_namespace_have_all_its_jobs_looked_at() -> None:
    async def scenario() -> None:
        api = FakeApi()
        for name in ("one", "two"):
            api.put(kinds.FLOWJOBS, a_job(name))
        api.put(kinds.FLOWJOBS, a_job("other", namespace="b"))
        operator = Operator(api, settings={"defaults": {"taskManager.slots": 2}})
        async with operator.living():
            await asyncio.sleep(1)
            api.put(
                kinds.CONFIGMAPS,
                {
                    "metadata": {
                        "name": "flowjob-defaults",
                        "namespace": "a",
                        "labels": {"app.kubernetes.io/name": "flowjob"},
                    },
                    "data": {"checkpoints.interval": "30s"},
                },
            )
            await asyncio.sleep(0.1)
        looks = {name: operator.decisions.times(name) for name in ("one", "two", "other")}
        assert looks == {"one": 2, "two": 2, "other": 1}
        chart, namespace = operator.decisions.seen[-1].defaults
        assert chart.values == {"image": "flowjob-worker:1", "taskManager.slots": 2}
        assert namespace.values == {"checkpoints.interval": "30s"}

    play(scenario)


def test_what_is_gone_is_forgotten() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(1)
            uid = api.of(kinds.FLOWJOBS, "a", "flights")["metadata"]["uid"]
            operator.parts.remembered.refusals[uid] = "something was wrong"
            api.take(kinds.FLOWJOBS, "a", "flights")
            await asyncio.sleep(1)
            assert operator.parts.queue.keys() == []
            assert operator.parts.remembered.refusals == {}
            operator.parts.refresh()
            assert operator.parts.mirror.names(kinds.FLOWJOBS) == []
            assert (
                b'flowjob_operator_flowjobs{phase="Running"} 0.0' in operator.parts.metrics.text()
            )

    play(scenario)


def test_a_terminating_namespace_is_no_failure_and_decisions_know_of_it() -> None:
    async def scenario() -> None:
        def refuse(request: Request) -> Exception | None:
            makes = request.verb in ("create", "apply") and request.namespace == "a"
            return terminating("a") if makes and request.resource != "leases" else None

        api = FakeApi(before=refuse)
        api.put(kinds.FLOWJOBS, a_job())
        operator = Operator(api, Scripted(starting))
        async with operator.living():
            await asyncio.sleep(5)
        assert [seen.namespace_terminating for seen in operator.decisions.seen][:2] == [False, True]
        assert b"reconcile_errors_total{" not in operator.parts.metrics.text()

    play(scenario)


def test_a_namespace_that_is_made_again_is_looked_after_soon() -> None:
    def unless_it_ends(seen: Observed) -> actions.Outcome:
        nothing = actions.Outcome(status=seen.job.status)
        return nothing if seen.namespace_terminating else starting(seen)

    async def scenario() -> None:
        ends = [True]

        def refuse(request: Request) -> Exception | None:
            makes = request.verb in ("create", "apply") and request.namespace == "a"
            return terminating("a") if ends and makes and request.resource != "leases" else None

        api = FakeApi(before=refuse)
        api.put(kinds.FLOWJOBS, a_job())
        operator = Operator(api, Scripted(unless_it_ends))
        async with operator.living():
            await asyncio.sleep(5)
            assert operator.decisions.seen[-1].namespace_terminating
            ends.clear()
            api.take(kinds.FLOWJOBS, "a", "flights")
            await asyncio.sleep(1)
            api.put(kinds.FLOWJOBS, a_job())
            await asyncio.sleep(120)
        assert not operator.decisions.seen[-1].namespace_terminating
        assert status_of(api).phase == Phase.RUNNING

    play(scenario)


def test_a_job_that_goes_asks_afresh_whether_its_namespace_does() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.NAMESPACES, {"metadata": {"name": "a", "namespace": ""}})
        job = a_job()
        job["metadata"]["finalizers"] = [FINALIZER]
        job["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
        api.put(kinds.FLOWJOBS, job)
        operator = Operator(api)
        operator.parts.remembered.ending.put("a", True)
        async with operator.living():
            await asyncio.sleep(2)
        assert not operator.decisions.seen[-1].namespace_terminating

    play(scenario)


def test_a_revision_that_another_job_has_left_behind_is_named_and_not_waited_for() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        owner = [{"kind": "FlowJob", "name": "flights", "uid": "of-one-before"}]
        labels = {"flowjob.dev/job": "flights"}
        about = {"name": "flights-1", "namespace": "a", "labels": labels, "ownerReferences": owner}
        api.put(kinds.REVISIONS, {"metadata": about, "data": {}})
        operator = Operator(api, Scripted(starting))
        async with operator.living():
            await asyncio.sleep(30)
        assert (
            "a ControllerRevision flights-1 that another FlowJob"
            in operator.decisions.seen[-1].refusal
        )
        assert api.counts()["create controllerrevisions"] == 0

    play(scenario)


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (error(422, "Invalid", "spec.template: Required value"), "spec.template: Required value"),
        (error(403, "Forbidden", "exceeded quota: team"), "exceeded quota: team"),
    ],
)
def test_an_object_that_is_refused_is_told_by_an_event(refusal: Exception, says: str) -> None:
    async def scenario() -> None:
        api = FakeApi(
            before=lambda r: refusal if r.verb == "apply" and r.resource == "statefulsets" else None
        )
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, Scripted(starting)).living():
            await asyncio.sleep(40)
        events = [o for (plural, *_), o in api.objects.items() if plural == "events"]
        told = [event for event in events if event["reason"] == "ActionFailed"]
        assert [event["message"] for event in told] == [f"ApplyRevision: {says}"]
        assert told[0]["involvedObject"]["name"] == "flights"

    play(scenario)


WRONG_FIELD = 'strict decoding error: unknown field "spec.nodeSelectr"'
WRONG_PATCH = "failed to create typed patch object (a/flights-tm; apps/v1, Kind=StatefulSet): .x"
APPLY_SET = "apply statefulsets"
NO_DRY_RUN = 'admission webhook "injector" does not support dry run'


@pytest.mark.parametrize(
    ("request_", "refusal", "problems"),
    [
        ("create pods", error(400, "BadRequest", WRONG_FIELD), 2),
        ("create pods", error(403, "Forbidden", 'violates PodSecurity "restricted"'), 2),
        ("apply statefulsets", error(500, "", WRONG_PATCH), 1),
        ("apply statefulsets", error(422, "Invalid", "updates are forbidden"), 1),
        ("create pods", error(400, "BadRequest", NO_DRY_RUN), 0),
    ],
)
def test_what_the_api_server_would_refuse_is_known_before_anything_is_changed(
    request_: str, refusal: Exception, problems: int
) -> None:
    def trying(observed: Observed) -> actions.Outcome:
        spec = observed.job.spec
        revision = Revision(number=1, base=1, template=1, written=spec, spec=spec)
        todo = () if observed.dry_run else (actions.DryRun(revision=revision),)
        return actions.Outcome(status=observed.job.status, actions=todo, look_again_after=1.0)

    async def scenario() -> None:
        api = FakeApi(before=lambda r: refusal if f"{r.verb} {r.resource}" == request_ else None)
        api.put(kinds.FLOWJOBS, a_job())
        operator = Operator(api, Scripted(trying))
        async with operator.living():
            await asyncio.sleep(10)
        answer = operator.decisions.seen[-1].dry_run
        assert answer is not None
        assert len(answer.problems) == problems
        assert all(str(refusal).partition(": ")[2] in problem for problem in answer.problems)
        made = {plural for plural, namespace, _ in api.objects if namespace == "a"}
        assert made <= {"flowjobs", "leases", "events"}

    play(scenario)


def test_decisions_know_what_was_refused_until_it_is_taken() -> None:
    async def scenario() -> None:
        refusals: list[Exception] = [error(500, "", WRONG_PATCH)]
        api = FakeApi(
            before=lambda r: (
                refusals[0] if refusals and f"{r.verb} {r.resource}" == APPLY_SET else None
            )
        )
        api.put(kinds.FLOWJOBS, a_job())
        operator = Operator(api, Scripted(starting))
        async with operator.living():
            await asyncio.sleep(600)
            seen = operator.decisions.seen
            assert seen[0].refusal == ""
            assert {each.refusal for each in seen[1:]} == {WRONG_PATCH}
            assert len(seen) < 15, "with pauses that grow"
            refusals.clear()
            await asyncio.sleep(150)
            assert seen[-1].refusal == ""
        assert status_of(api).phase == Phase.RUNNING

    play(scenario)


def test_a_secret_that_somebody_deletes_is_made_again_when_a_pod_waits_for_it() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, Scripted(_renewing)).living():
            await asyncio.sleep(5)
            first = status_of(api).identity
            api.take(kinds.SECRETS, "a", "flights-identity")
            api.put(kinds.PODS, a_pod("flights-tm-0", phase="Running"))
            await asyncio.sleep(60)
            assert not api.has(kinds.SECRETS, "a", "flights-identity"), "nobody misses it yet"
            waiting = [{"name": "flowjob", "state": {"waiting": {"reason": "ContainerCreating"}}}]
            status = {"phase": "Pending", "containerStatuses": waiting}
            api.put(kinds.PODS, a_pod("flights-tm-0", **status))
            await asyncio.sleep(5)
            assert api.has(kinds.SECRETS, "a", "flights-identity")
            second = status_of(api).identity
            await asyncio.sleep(90)
        assert first is not None
        assert second is not None
        assert second.serial != first.serial
        assert second.authority == first.authority is not None
        assert status_of(api).identity == second, "once"

    play(scenario)


@pytest.mark.parametrize("ended", [False, True])
def test_once_a_taskmanager_has_ended_its_jobmanager_is_asked_every_second(ended: bool) -> None:
    """A job that ends takes its TaskManagers with it: they are not to be started again and again."""

    async def scenario() -> None:
        api = FakeApi()
        job = api.put(kinds.FLOWJOBS, a_job())
        running = {"phase": "Running", "job": {"state": "Running"}}
        api.put(kinds.FLOWJOBS, {**job, "status": running})
        manager = a_pod("flights-jm-1-x", component="jobmanager", podIP="10.0.0.1")
        api.put(kinds.PODS, manager)
        over = {"name": "flowjob", "lastState": {"terminated": {"reason": "Completed"}}}
        fine = {"name": "flowjob", "ready": True}
        api.put(kinds.PODS, a_pod("flights-tm-0", containerStatuses=[over if ended else fine]))
        operator = Operator(api, Scripted())
        view = JobManagerView(uid=job["metadata"]["uid"], revision=1, state="Running")
        operator.managers.views["flights"] = view
        async with operator.living():
            await asyncio.sleep(15)
        assert operator.managers.looks >= 10 if ended else operator.managers.looks <= 3

    play(scenario)


def _renewing(observed: Observed) -> actions.Outcome:
    """The identity only, as the real decisions keep it."""
    turn = Turn(observed, observed.job.spec, observed.job.status)
    ensure_identity(turn)
    turn.look_again(1.0)
    return turn.outcome()


def test_a_busy_server_is_left_alone_for_as_long_as_it_wants() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        busy = error(429, "TooManyRequests")
        busy.retry_after = 20.0
        times: list[float] = []

        def refuse(request: Request) -> Exception | None:
            if request.verb != "status":
                return None
            times.append(asyncio.get_running_loop().time())
            return busy if len(times) < 3 else None

        api.before = refuse
        async with Operator(api).living():
            await asyncio.sleep(100)
        assert times[1] - times[0] >= 20
        assert times[2] - times[1] >= 20

    play(scenario)


def test_an_object_that_cannot_be_read_says_so_and_harms_nobody() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job("odd", job={"state": "Invented"}))
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api).living():
            await asyncio.sleep(5)
        assert status_of(api).phase == Phase.RUNNING
        events = [o for (plural, *_), o in api.objects.items() if plural == "events"]
        assert [event["reason"] for event in events] == ["Unreadable"]
        assert "job.state" in events[0]["message"]

    play(scenario)


def test_a_dry_run_changes_nothing() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        operator = Operator(api, Scripted(starting), settings={"dry_run": True})
        async with operator.living():
            await asyncio.sleep(5)
        assert operator.decisions.times("flights") == 1
        touched = {str(r) for r in mutations(api) if "leases" not in str(r) and r.namespace == "a"}
        assert touched == set()

    play(scenario)


def test_a_pre_flight_is_told_what_holds_now_though_an_earlier_one_had_its_name() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        left = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"job.json": "of an earlier one"}}
        about = {"name": "flights-preflight-1", "namespace": "a"}
        api.put(kinds.CONFIGMAPS, {**left, "metadata": about})

        def decide(observed: Observed) -> actions.Outcome:
            spec = observed.job.spec
            revision = Revision(number=1, base=1, template=1, written=spec, spec=spec)
            restore = Beginning(prior_state="Resume")
            start = actions.StartPreflight(revision=revision, restore=restore, deadline=60.0)
            return actions.Outcome(status=all_is_well(observed).status, actions=(start,))

        async with Operator(api, Scripted(decide)).living():
            await asyncio.sleep(5)
        assert api.has(kinds.JOBS, "a", "flights-preflight-1")
        file = api.of(kinds.CONFIGMAPS, "a", "flights-preflight-1")["data"]["job.json"]
        assert '"priorState":"Resume"' in file.replace(" ", "")

    play(scenario)


def test_a_snapshot_is_looked_at_when_its_job_has_something_to_say() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        asked = {**a_snapshot(), "status": {"operationId": "id", "phase": "InProgress"}}
        api.put(kinds.FLOWSNAPSHOTS, asked)
        operator = Operator(api)
        async with operator.living():
            await asyncio.sleep(1)
            looks = len(operator.decisions.snapshots_seen)
            operator.parts.routing.job_manager(("a", "flights"))
            await asyncio.sleep(0.1)
        assert len(operator.decisions.snapshots_seen) == looks + 1
        seen = operator.decisions.snapshots_seen[-1]
        assert seen.job is not None
        assert seen.job.metadata.name == "flights"
        assert [user.metadata.name for user in seen.users] == ["flights"]

    play(scenario)


def test_a_finalizer_is_put_on_and_taken_off_with_the_version_that_was_seen() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())

        def decide(observed: Observed) -> actions.Outcome:
            there = observed.job.metadata.finalizers
            going = observed.job.metadata.deletion_timestamp is not None
            act: tuple[actions.Action, ...] = ()
            if going and there:
                act = (actions.RemoveFinalizer(),)
            elif not there:
                act = (actions.AddFinalizer(),)
            return actions.Outcome(status=FlowJobStatus(phase=Phase.RUNNING), actions=act)

        async with Operator(api, Scripted(decide)).living():
            await asyncio.sleep(1)
            assert api.of(kinds.FLOWJOBS, "a", "flights")["metadata"]["finalizers"] == [
                "flowjob.dev/state"
            ]
            await api.delete(kinds.FLOWJOBS, "a", "flights")
            await asyncio.sleep(1)
        assert not api.has(kinds.FLOWJOBS, "a", "flights")

    play(scenario)


def test_what_is_deleted_must_still_be_the_one_that_was_seen() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        old = api.put(kinds.PODS, a_pod("flights-tm-0"))["metadata"]["uid"]

        def decide(observed: Observed) -> actions.Outcome:
            return actions.Outcome(
                status=all_is_well(observed).status,
                actions=(actions.DeletePod(name="flights-tm-0", uid=old),),
            )

        def made_anew(request: Request) -> None:
            if (
                request.verb == "delete"
                and api.of(kinds.PODS, "a", "flights-tm-0")["metadata"]["uid"] == old
            ):
                api.take(kinds.PODS, "a", "flights-tm-0")
                api.put(kinds.PODS, a_pod("flights-tm-0"))

        api.before = made_anew
        async with Operator(api, Scripted(decide)).living():
            await asyncio.sleep(5)
        assert api.has(kinds.PODS, "a", "flights-tm-0")

    play(scenario)


def test_the_secret_of_a_job_is_written_and_never_read() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, Scripted(starting)).living():
            await asyncio.sleep(5)
        touched = {r.verb for r in api.requests if r.resource == "secrets" and r.namespace == "a"}
        assert touched == {"replace", "create"}
        assert not any(r.verb == "list" for r in api.requests if r.resource == "secrets")

    play(scenario)


def test_killing_by_an_exception_that_nobody_expects_is_one_keys_failure_only() -> None:
    async def scenario() -> None:
        api = FakeApi()
        api.put(kinds.FLOWJOBS, a_job("broken"))
        api.put(kinds.FLOWJOBS, a_job())

        def decide(observed: Observed) -> actions.Outcome:
            if observed.job.metadata.name == "broken":
                raise KeyError("a defect")
            return all_is_well(observed)

        operator = Operator(api, Scripted(decide))
        async with operator.living():
            await asyncio.sleep(10)
        assert status_of(api).phase == Phase.RUNNING
        assert b'cause="Defect"' in operator.parts.metrics.text()
        assert operator.died is None

    play(scenario)
