"""Phases, conditions and the diagnosis: what people, `kubectl wait` and GitOps tools are told."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from flowjob.cluster.control_api import Checkpointing, JobManagerView
from flowjob_operator.core.diagnosis import diagnosis, of_pods
from flowjob_operator.core.observed import Container, Observed, Pod, Unreachable
from flowjob_operator.core.reconcile import reconcile
from flowjob_operator.core.turn import SPREAD
from flowjob_operator.resources.flowjob_status import FlowJobStatus, Phase
from tests.operator.core.test_crashes import lose_job_manager
from tests.operator.core.world import World, a_spec

LIMIT = "2Gi"


def running(**changes: Any) -> World:
    return World(a_spec(**changes)).settle(20)


def pod(**changes: Any) -> Pod:
    said: dict[str, Any] = {"name": "flights-tm-0", "uid": "1", "component": "taskmanager"}
    return Pod(**{**said, **changes})


def with_container(**changes: Any) -> Pod:
    said: dict[str, Any] = {"name": "flowjob", "image": "flowjob:2", "memory_limit": LIMIT}
    return pod(containers=(Container(**{**said, **changes}),))


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        (
            with_container(waiting="ImagePullBackOff", waiting_message="not found: flowjob:2"),
            "image flowjob:2 cannot be pulled: not found: flowjob:2",
        ),
        (
            with_container(waiting="CreateContainerConfigError", waiting_message='secret "s3"'),
            'pod flights-tm-0 cannot start: secret "s3"',
        ),
        (
            with_container(ended="OOMKilled", waiting="CrashLoopBackOff", exit_code=137),
            "pod flights-tm-0 ran out of memory (limit 2Gi): raise resources.limits.memory",
        ),
        (
            pod(unschedulable="0/3 nodes are available: 3 Insufficient memory."),
            "pod flights-tm-0 fits on no node: 0/3 nodes are available: 3 Insufficient memory",
        ),
        (
            with_container(ended="Error", exit_code=1, ended_message="Trace\nValueError: no"),
            "pod flights-tm-0 ended with status 1: ValueError: no",
        ),
        (
            pod(reason="Evicted", message="The node was low on resource: ephemeral-storage."),
            "pod flights-tm-0 was evicted: The node was low on resource: ephemeral-storage",
        ),
        (with_container(ready=True, ended="OOMKilled"), None),
        (with_container(ended="Completed"), None),
    ],
)
def test_pods_say_why_they_do_not_run(shown: Pod, says: str | None) -> None:
    assert of_pods([shown]) == says


def test_the_closest_cause_comes_first() -> None:
    ended = with_container(ended="Error", exit_code=1)
    pulling = with_container(waiting="ErrImagePull", waiting_message="no such host")
    assert (of_pods([ended, pulling]) or "").startswith("image")


def seen(**changes: Any) -> Observed:
    return dataclasses.replace(running().observe(), **changes)


def test_the_storages_refusal_says_what_to_check() -> None:
    error = "An error occurred (AccessDenied) when calling PutObject: 403"
    found = diagnosis(seen(), error, wants_to_run=True) or ""
    assert found.startswith("the storage refuses access")
    assert "secretRef" in found


def test_checkpoints_that_fail_are_said_though_the_job_runs() -> None:
    view = JobManagerView(
        uid="x",
        revision=1,
        state="Running",
        checkpoints=Checkpointing(failed_in_a_row=2, error="NoSuchBucket: flights"),
    )
    found = diagnosis(seen(jobmanager=view), None, wants_to_run=True) or ""
    assert found.startswith("checkpoints fail: there is no such bucket")


def test_a_quota_that_keeps_pods_from_being_made_is_said() -> None:
    world = running()
    observed = world.observe()
    children = tuple(
        dataclasses.replace(c, problem="exceeded quota: compute, requested memory=4Gi")
        for c in observed.children
    )
    found = diagnosis(dataclasses.replace(observed, children=children), None, wants_to_run=True)
    assert found == "pods cannot be made: exceeded quota: compute, requested memory=4Gi"


def test_nothing_is_said_when_nothing_is_wrong() -> None:
    assert running().status.diagnosis is None


def crash(world: World, times: int) -> None:
    process = world.processes["flights-jm-1-0"]
    process.restarts += times
    process.error = "ValueError: bad row"
    world.turn()


REFUSAL = 'StatefulSet.apps "flights-tm" is invalid: spec.template: Required value'


def test_what_the_api_server_refuses_is_said_until_it_is_taken() -> None:
    world = running()
    world.refusal = REFUSAL
    world.settle(2)
    assert world.status.diagnosis == f"the API server refuses: {REFUSAL}"
    assert world.condition("Stalled") == ("True", "ObjectsRefused")
    assert world.condition("Reconciling") == ("False", "ObjectsRefused")
    assert world.condition("Degraded") == ("True", "ObjectsRefused")
    assert world.condition("Ready") == ("True", "Running"), "what runs goes on"
    world.refusal = ""
    world.settle(2)
    assert world.condition("Stalled") == ("False", "Healthy")
    assert world.status.diagnosis is None


def test_a_first_spec_with_a_wrong_pod_template_is_stalled_and_tried_again() -> None:
    world = World(a_spec())
    world.dry_run_problems = ('pods of StatefulSet flights-tm: unknown field "spec.nodeSelectr"',)
    world.settle(40)
    assert "nodeSelectr" in (world.status.diagnosis or "")
    assert world.condition("Stalled") == ("True", "ObjectsRefused")
    world.dry_run_problems = ()
    world.settle(60)
    assert world.status.phase is Phase.RUNNING


def test_an_answer_of_the_jobmanager_that_makes_no_sense_is_said() -> None:
    seen = running().observe()
    unreadable = Unreachable(reason="restarts is -1", unreadable=True)
    outcome = reconcile(dataclasses.replace(seen, jobmanager=unreadable))
    assert outcome.status.diagnosis == "the JobManager cannot be followed: restarts is -1"


def test_a_job_that_runs_undisturbed_is_looked_at_when_something_happens_only() -> None:
    world = running().settle(60)
    assert world.status.operation is None
    calm = reconcile(world.observe()).look_again_after
    assert calm is None or calm > 20
    name = next(name for name, pod in world.pods.items() if pod.component == "taskmanager")
    world.pods[name] = dataclasses.replace(world.pods[name], ready=False)
    assert (reconcile(world.observe()).look_again_after or 60) <= 10


def test_routine_looks_at_jobs_whose_checkpoints_fall_together_do_not_fall_together() -> None:
    def routine(n: int) -> float:
        world = World(a_spec(), uid=f"uid-of-{n}").settle(60)
        found = reconcile(world.observe()).look_again_after
        assert found is not None
        return found

    looks = [routine(n) for n in range(50)]
    assert max(Counter(int(after) for after in looks).values()) < 15
    assert max(looks) - min(looks) < SPREAD


def test_a_crash_loop_is_not_ready_and_degraded_until_it_has_run_for_a_while() -> None:
    world = running()
    for _ in range(3):
        crash(world, 1)
        world.settle(2)
    assert world.condition("Ready") == ("False", "CrashLoop")
    assert world.condition("Degraded") == ("True", "CrashLoop")
    assert world.status.diagnosis == "ValueError: bad row"
    world.settle(130)
    assert world.condition("Ready") == ("True", "Running")
    assert world.status.diagnosis is None


def test_one_restart_is_no_crash_loop() -> None:
    world = running()
    crash(world, 1)
    assert world.condition("Ready") == ("True", "Running")
    assert world.condition("Degraded") == ("False", "Healthy")


def test_a_job_without_its_jobmanager_is_not_ready() -> None:
    world = running()
    world.reachable = False
    world.turn()
    assert world.condition("Ready") == ("False", "JobManagerUnreachable")
    assert world.status.phase is Phase.RUNNING
    world.reachable = True
    lose_job_manager(world)
    world.settle(20)
    assert world.condition("Ready") == ("True", "Running")


def test_the_time_of_a_condition_moves_with_its_status_only() -> None:
    world = running()
    since = {c.type: c.last_transition_time for c in world.status.conditions}
    world.edit(upgrade__mode="LastState")
    world.settle(10)
    assert {c.type: c.last_transition_time for c in world.status.conditions} == since
    assert {c.observed_generation for c in world.status.conditions} == {2}


def test_checkpoints_that_do_not_come_are_stale() -> None:
    world = running(checkpoints__interval="10s")
    assert world.condition("CheckpointFresh") == ("True", "Fresh")
    world.processes["flights-jm-1-0"].doing = "Deploying"
    world._run = lambda name, seconds: None  # type: ignore[method-assign]
    world.settle(90)
    assert world.condition("CheckpointFresh") == ("False", "Stale")


def test_without_checkpoints_freshness_is_unknown() -> None:
    world = running(checkpoints__interval="Off")
    assert world.condition("CheckpointFresh") == ("Unknown", "Off")


def test_while_something_is_done_it_is_reconciling() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.turn()
    assert world.condition("Reconciling")[0] == "True"
    assert world.condition("Progressing") == ("True", "Preflight")
    assert world.condition("Ready") == ("True", "Running"), "the old one runs on"
    world.settle(40)
    assert world.condition("Reconciling")[0] == "False"


def test_the_selector_and_width_for_autoscalers_are_there() -> None:
    world = running()
    assert world.status.selector is not None
    assert "app.kubernetes.io/component=taskmanager" in world.status.selector
    assert world.status.parallelism == 2
    assert world.status.task_managers is not None
    assert (world.status.task_managers.wanted, world.status.task_managers.ready) == (2, 2)


def test_the_status_survives_the_wire() -> None:
    world = running(deletionPolicy="Savepoint", snapshots__schedule="@hourly")
    world.edit(image="flowjob:2")
    for _ in range(30):
        outcome = world.turn()
        assert outcome is not None
        assert FlowJobStatus.of(outcome.status.wire()) == outcome.status
        world.pass_time(1)


# -- annotations


def test_pause_holds_everything_and_says_so() -> None:
    world = running()
    world.annotate(pause="true")
    world.edit(image="flowjob:2")
    world.objects.pop(("Service", "flights-jm"))
    world.settle(30)
    assert world.condition("Progressing") == ("False", "Paused")
    assert ("Service", "flights-jm") not in world.objects
    assert world.begun == [(1, None)]
    world.annotate()
    world.settle(30)
    assert len(world.begun) == 2


def test_a_paused_job_can_still_be_deleted() -> None:
    world = running(deletionPolicy="Savepoint")
    world.annotate(pause="true")
    world.delete()
    world.settle(40)
    assert world.job is None


def test_plan_only_says_what_would_happen_and_changes_nothing() -> None:
    world = running()
    world.annotate(plan_only="true")
    world.edit(image="flowjob:2", job__parallelism=5)
    before = set(world.saved), dict(world.objects)
    world.settle(15)
    plan = world.status.plan
    assert plan is not None
    assert plan.accepted is True
    assert plan.actions == ["Upgrade"]
    assert {c.field for c in plan.changes} == {"image", "job.parallelism"}
    assert plan.task_managers == 5
    assert (set(world.saved), dict(world.objects)) == before
    assert world.begun == [(1, None)]
    assert world.preflights == {}


def test_a_plan_that_could_not_be_carried_out_says_why() -> None:
    world = running()
    world.annotate(plan_only="true")
    world.preflight_problems["flowjob:2"] = "ImportError: no module named flights"
    world.edit(image="flowjob:2")
    world.settle(15)
    assert world.status.plan is not None
    assert world.status.plan.accepted is False
    assert world.status.plan.problems == ["ImportError: no module named flights"]
    del world.preflight_problems["flowjob:2"]
    world.edit(image="flowjob:3")
    world.settle(15)
    assert world.status.plan.accepted is True
    world.annotate()
    world.settle(30)
    assert len(world.begun) == 2


def test_while_planning_the_job_is_looked_after() -> None:
    world = running()
    world.annotate(plan_only="true")
    world.objects.pop(("Service", "flights-jm"))
    world.settle(3)
    assert ("Service", "flights-jm") in world.objects


def test_plan_only_does_not_hold_a_job_down_that_was_stopped_already() -> None:
    world = running()
    world.edit(image="flowjob:2")
    while world.status.operation is None or world.status.operation.step != "Stopping":
        world.settle(1)
    world.annotate(plan_only="true")
    world.edit(image="flowjob:3")
    world.turn()
    progress = next(c for c in world.status.conditions if c.type == "Progressing")
    assert progress.status.value == "True"
    assert "plan-only holds nothing that has begun: Upgrade goes on" in progress.message
    world.settle(40)
    assert world.condition("Ready") == ("True", "Running")
    assert world.status.operation is None
    assert world.saved[2].revision.spec.image == "flowjob:2"
    assert world.begun[-1][0] == 2, "the edit is only planned"
    assert world.status.plan is not None
    assert world.status.plan.actions == ["Upgrade"]
    assert [(c.old, c.new) for c in world.status.plan.changes] == [("flowjob:2", "flowjob:3")]
    world.annotate()
    world.settle(40)
    assert world.begun[-1][0] == 3


def test_plan_only_holds_what_has_not_touched_the_job_yet() -> None:
    world = running()
    world.edit(image="flowjob:2")
    world.settle(2)
    assert world.status.operation is not None
    world.annotate(plan_only="true")
    world.settle(60)
    assert world.begun == [(1, None)]
    assert world.processes["flights-jm-1-0"].doing == "Running"


def test_plan_only_plans_what_would_replace_a_revision_that_does_not_come_up() -> None:
    world = running(upgrade__preflight="Skip")
    world.bad_images.add("flowjob:2")
    world.edit(image="flowjob:2")
    world.settle(20)
    assert world.status.operation is not None
    assert world.status.operation.step == "Starting"
    world.annotate(plan_only="true")
    world.edit(image="flowjob:3")
    world.settle(15)
    assert world.status.plan is not None
    assert world.status.plan.accepted is True
    assert world.condition("Progressing") == ("True", "Starting")


def test_plan_only_does_not_hold_up_a_suspension() -> None:
    world = running()
    world.edit(job__state="Suspended")
    world.turn()
    world.annotate(plan_only="true")
    world.settle(30)
    assert world.status.phase is Phase.SUSPENDED
    assert not world.pods


def test_the_job_of_another_operator_is_left_alone_until_it_is_handed_over() -> None:
    world = running()
    observed = world.observe()
    other = dataclasses.replace(observed.operator, owner="elsewhere/flowjob")
    outcome = reconcile(dataclasses.replace(observed, operator=other))
    assert outcome.status == observed.job.status
    (event,) = outcome.actions
    assert event.reason == "OwnedByAnother"  # type: ignore[union-attr]
    about = observed.job.metadata.model_copy(
        update={"annotations": {"flowjob.dev/adopt": "elsewhere/flowjob"}}
    )
    handed = observed.job.model_copy(update={"metadata": about})
    outcome = reconcile(dataclasses.replace(observed, operator=other, job=handed))
    assert outcome.status.operator is not None
    assert outcome.status.operator.owner == "elsewhere/flowjob"


def test_nothing_is_made_in_a_namespace_that_goes() -> None:
    world = World(a_spec())
    world.namespace_terminating = True
    world.settle(10)
    assert not world.objects


def test_an_unfit_default_is_said_and_left_out() -> None:
    world = World(a_spec())
    bad = dataclasses.replace(
        world.defaults[0], values={"image": "flowjob:1", "checkpoints.interval": "often"}
    )
    world.defaults = (bad,)
    world.settle(20)
    assert world.status.phase is Phase.RUNNING
    assert "checkpoints.interval" in world.told("DefaultsInvalid")[0]


def test_a_job_without_an_image_waits_for_one_and_says_so() -> None:
    world = World(a_spec())
    world.defaults = ()
    world.settle(5)
    assert world.status.phase is Phase.PENDING
    assert world.condition("Stalled") == ("True", "SpecRefused")
    assert "image" in (world.status.diagnosis or "")
    world.edit(image="flowjob:1")
    world.settle(30)
    assert world.status.phase is Phase.RUNNING


def test_effective_settings_are_shown_with_their_source() -> None:
    world = running(checkpoints__interval="20s")
    values = world.status.effective
    assert (values["checkpoints.interval"].value, values["checkpoints.interval"].source.value) == (
        "20s",
        "Spec",
    )
    assert values["image"].source.value == "Chart"
    assert values["upgrade.slotsTimeout"].source.value == "BuiltIn"


def test_a_job_that_ended_keeps_its_jobmanager_for_an_hour() -> None:
    world = running()
    process = world.processes["flights-jm-1-0"]
    process.doing, process.ended_at = "Finished", world.now
    world.settle(5)
    assert ("Deployment", "flights-jm-1") in world.objects
    assert ("StatefulSet", "flights-tm") not in world.objects
    world.now += timedelta(hours=1)
    world.settle(5)
    assert ("Deployment", "flights-jm-1") not in world.objects
    assert world.status.phase is Phase.FINISHED


def test_a_tag_that_was_moved_is_recorded_and_said() -> None:
    world = running()
    first = Container(name="flowjob", ready=True, image="flowjob:1", image_id="sha256:aa")
    for name in list(world.pods):
        world.pods[name] = dataclasses.replace(world.pods[name], containers=(first,))
    world.settle(2)
    assert world.status.code is not None
    assert world.status.code.image_id == "sha256:aa"
    assert world.condition("Degraded") == ("False", "Healthy")
    moved = dataclasses.replace(first, image_id="sha256:bb")
    world.pods["flights-tm-0"] = dataclasses.replace(
        world.pods["flights-tm-0"], containers=(moved,)
    )
    world.settle(2)
    assert world.condition("Degraded") == ("True", "ImageDrift")


def test_a_start_that_the_jobmanager_refuses_is_a_failure_with_its_reason() -> None:
    world = World(a_spec())
    while "flights-jm-1-0" not in world.processes:
        world.settle(1)
    process = world.processes["flights-jm-1-0"]
    process.doing, process.error = "Failed", "an earlier job of this name has left state"
    world.settle(3)
    assert world.status.phase is Phase.FAILED
    assert world.condition("Ready") == ("False", "Failed")
    assert world.status.diagnosis == "an earlier job of this name has left state"
    world.settle(30)
    assert world.status.phase is Phase.FAILED, "it is not tried again by itself"
    world.edit(priorState="Ignore")
    world.settle(30)
    assert world.status.phase is Phase.RUNNING
