"""Changes that keep the JobManager: rescaling up and down, new TaskManagers, new settings; and how each is given up."""

from __future__ import annotations

from typing import Any

from flowjob_operator.resources.flowjob_status import Phase
from tests.operator.core.test_crashes import lose_job_manager, lose_task_managers
from tests.operator.core.world import World, a_spec


def running(**changes: Any) -> World:
    return World(a_spec(**changes)).settle(20)


def task_managers(world: World) -> int:
    return sum("-tm-" in name for name in world.pods)


def test_rescaling_keeps_the_jobmanager_and_starts_no_other_run() -> None:
    world = running()
    before = world.processes["flights-jm-1-0"]
    for width in (4, 1, 3):
        world.edit(job__parallelism=width)
        world.settle(20)
        assert world.status.phase is Phase.RUNNING
        assert world.status.parallelism == width
        assert task_managers(world) == width
    assert world.processes["flights-jm-1-0"] is before
    assert world.begun == [(1, None)]
    assert before.restarts == 0


def test_slots_come_first_and_go_last() -> None:
    world = running()
    world.edit(job__parallelism=4)
    world.turn()
    world.turn()
    assert world.processes["flights-jm-1-0"].parallelism == 2
    assert world.objects[("StatefulSet", "flights-tm")].replicas == 4
    world.settle(15)
    world.edit(job__parallelism=2)
    while world.processes["flights-jm-1-0"].parallelism != 2:
        assert task_managers(world) == 4
        world.settle(1)
    world.settle(5)
    assert task_managers(world) == 2


def test_past_the_deadline_the_old_parallelism_goes_on() -> None:
    world = running(upgrade__slotsTimeout="20s")
    world.capacity = 3
    world.edit(job__parallelism=6)
    world.settle(10)
    assert world.status.phase is Phase.RESCALING
    assert "Insufficient memory" in (world.status.diagnosis or "")
    world.settle(20)
    assert world.status.phase is Phase.RUNNING
    assert world.condition("Progressing") == ("False", "SlotsUnavailable")
    assert world.condition("Ready") == ("True", "Running")
    assert world.status.parallelism == 2
    assert task_managers(world) == 2
    world.settle(30)
    assert len(world.told("SlotsUnavailable")) == 1, "it is not tried again"


def test_after_a_failed_rescale_the_next_one_is_made() -> None:
    world = running(upgrade__slotsTimeout="10s")
    world.capacity = 3
    world.edit(job__parallelism=6)
    world.settle(30)
    world.edit(job__parallelism=3)
    world.settle(20)
    assert world.status.parallelism == 3
    assert world.status.refused is None


def test_a_newer_width_replaces_one_that_waits_for_slots() -> None:
    world = running()
    world.capacity = 3
    world.edit(job__parallelism=6)
    world.settle(10)
    world.edit(job__parallelism=3)
    world.settle(20)
    assert world.status.parallelism == 3
    assert task_managers(world) == 3


def test_a_rescale_that_the_jobmanager_refuses_is_taken_back() -> None:
    world = running()
    world.rescales_fail = True
    world.edit(job__parallelism=3)
    world.settle(80)
    assert world.condition("Stalled") == ("True", "RescaleFailed")
    assert world.status.phase is Phase.RUNNING
    assert world.processes["flights-jm-1-0"].parallelism == 2
    assert task_managers(world) == 2
    assert world.objects[("ConfigMap", "flights-file-1")].said[0] == 1


def test_a_job_that_does_not_run_is_started_at_the_new_width() -> None:
    world = running()
    world.capacity = 1
    lose_task_managers(world)
    world.settle(5)
    world.edit(job__parallelism=1)
    world.settle(60)
    assert world.status.phase is Phase.RUNNING
    assert world.status.parallelism == 1


def test_new_taskmanagers_get_a_checkpoint_first_and_the_jobmanager_stays() -> None:
    world = running(checkpoints__interval="Off")
    before = world.processes["flights-jm-1-0"]
    old = {name: pod.uid for name, pod in world.pods.items() if "-tm-" in name}
    assert not world.log
    world.edit(taskManager__resources={"limits": {"memory": "4Gi"}})
    world.settle(30)
    assert world.log
    assert world.log[0].type == "Checkpoint"
    assert world.processes["flights-jm-1-0"] is before
    new = {name: pod.uid for name, pod in world.pods.items() if "-tm-" in name}
    assert not set(old.values()) & set(new.values())
    assert world.status.phase is Phase.RUNNING
    assert world.status.revisions is not None
    assert world.saved[2].revision.base == 1
    assert world.saved[2].revision.template == 2


def test_more_slots_per_taskmanager_take_fewer_of_them() -> None:
    world = running(job__parallelism=4)
    world.edit(taskManager__slots=4)
    world.settle(40)
    assert task_managers(world) == 1
    assert world.status.parallelism == 4


def test_taskmanagers_that_do_not_come_are_replaced_by_those_of_the_next_spec() -> None:
    world = running()
    world.edit(taskManager__resources={"limits": {"memory": "9Ti"}})
    world.capacity = 0
    world.settle(30)
    assert world.status.phase is Phase.UPGRADING
    assert "fits on no node" in (world.status.diagnosis or "")
    world.capacity = 100
    world.edit(taskManager__resources={"limits": {"memory": "4Gi"}})
    world.settle(60)
    assert world.status.phase is Phase.RUNNING


def test_other_claims_take_another_set() -> None:
    world = running()
    before = world.objects[("StatefulSet", "flights-tm")].uid
    world.edit(taskManager__localVolume={"size": "20Gi"})
    world.settle(40)
    assert world.status.phase is Phase.RUNNING
    assert world.objects[("StatefulSet", "flights-tm")].uid != before


def test_new_settings_are_told_and_no_pod_is_touched() -> None:
    world = running()
    before = {name: pod.uid for name, pod in world.pods.items()}
    world.edit(checkpoints__timeout="7m", job__restarts={"attempts": 4})
    world.settle(15)
    assert world.settings_told[-1].checkpoints["timeout"] == "7m"
    assert "storage" not in world.settings_told[-1].checkpoints
    assert world.settings_told[-1].restarts == {"attempts": 4}
    assert {name: pod.uid for name, pod in world.pods.items()} == before
    assert world.objects[("ConfigMap", "flights-file-1")].said[0] == 2
    assert world.status.phase is Phase.RUNNING
    lose_job_manager(world)
    world.settle(20)
    (again,) = world.processes.values()
    assert again.file[0].spec.checkpoints.timeout == "7m", "one that comes up later reads them"


def test_settings_that_are_refused_are_taken_back() -> None:
    world = running()
    world.settings_fail = True
    world.edit(checkpoints__timeout="7m")
    world.settle(15)
    assert world.condition("Stalled") == ("True", "SettingsRefused")
    assert world.objects[("ConfigMap", "flights-file-1")].said[0] == 1


def test_the_jobmanagers_word_on_slots_corrects_the_number_of_taskmanagers() -> None:
    world = running()
    world.slots_per_subtask = 2  # two sharing groups, which nobody knew of before it planned
    world.settle(10)
    assert task_managers(world) == 4


# -- a JobManager that takes its time


def slow(width: int, seconds: float, **changes: Any) -> World:
    """It has been asked for another width, and does it so much later."""
    world = running(**changes)
    world.rescales_take = seconds
    world.edit(job__parallelism=width)
    return world


def test_a_rescale_is_waited_for_as_long_as_the_jobmanager_is_at_it() -> None:
    world = slow(4, 420.0)
    world.settle(400)
    assert world.status.phase is Phase.RESCALING
    assert task_managers(world) == 4
    world.settle(60)
    assert world.status.parallelism == 4
    assert not world.told("RescaleFailed")


def test_a_rescale_that_nobody_answers_is_given_up() -> None:
    world = running()
    world.rescales_get_lost = True
    world.edit(job__parallelism=4)
    world.settle(290)
    assert world.status.phase is Phase.RESCALING
    world.settle(40)
    assert world.condition("Stalled") == ("True", "RescaleFailed")
    assert world.status.phase is Phase.RUNNING
    assert task_managers(world) == 2
    assert world.objects[("ConfigMap", "flights-file-1")].said[0] == 1


def test_a_rescale_that_is_carried_out_after_it_was_given_up_has_the_slots_it_needs() -> None:
    world = slow(4, 1000.0)
    world.settle(940)
    assert world.condition("Stalled") == ("True", "RescaleFailed")
    assert task_managers(world) == 2
    world.settle(150)
    assert world.status.parallelism == 4
    assert task_managers(world) == 4
    assert world.condition("Ready") == ("True", "Running")
    assert world.status.refused is None, "it is what is wanted"
    assert world.status.revisions is not None
    current = world.saved[world.status.revisions.current or 0]
    assert current.revision.spec.job.parallelism == 4
    assert world.processes["flights-jm-1-0"].restarts == 0


def test_without_room_for_a_width_that_came_late_it_is_said_what_is_missing() -> None:
    world = slow(4, 1000.0)
    world.settle(940)
    world.capacity = 2
    world.settle(150)
    assert world.processes["flights-jm-1-0"].doing in ("Waiting", "Restarting")
    assert task_managers(world) == 4
    assert "fits on no node" in (world.status.diagnosis or "")
    world.edit(job__parallelism=2)
    world.settle(350)
    assert world.condition("Ready") == ("True", "Running"), "it is started anew in the end"
    assert world.status.parallelism == 2


def given_up_and_taken_back() -> World:
    """The JobManager goes to 4 when 2 is wanted again."""
    world = slow(4, 1000.0)
    world.settle(940)
    world.edit(job__parallelism=2)
    world.settle(20)
    assert world.condition("Stalled")[0] == "False"
    world.rescales_take = 0.0
    return world


def test_a_width_that_came_late_and_is_not_wanted_any_more_is_called_back() -> None:
    world = given_up_and_taken_back()
    world.settle(150)
    assert world.processes["flights-jm-1-0"].parallelism == 2
    assert task_managers(world) == 2
    assert world.status.operation is None
    assert world.condition("Stalled")[0] == "False"
    assert world.condition("Ready") == ("True", "Running")


def test_a_width_that_cannot_be_called_back_keeps_its_slots_and_is_said() -> None:
    world = given_up_and_taken_back()
    world.rescales_fail = True
    world.settle(250)
    assert world.processes["flights-jm-1-0"].parallelism == 4
    assert task_managers(world) == 4
    assert world.condition("Ready") == ("True", "Running")
    assert world.condition("Stalled") == ("True", "RescaleFailed")
    assert "the job stays at parallelism 4" in (world.status.diagnosis or "")
    assert len(world.told("RescaleFailed")) == 2, "the second is of this, and said once"
    world.rescales_fail = False
    world.edit(upgrade__mode="LastState")
    world.settle(40)
    assert world.status.parallelism == 2
    assert task_managers(world) == 2


def test_an_edit_is_not_kept_waiting_by_a_rescale_that_takes_for_ever() -> None:
    world = slow(4, 10_000.0)
    world.settle(200)
    world.edit(image="flowjob:2")
    world.settle(180)
    assert world.status.phase is Phase.RUNNING
    assert world.status.parallelism == 4
    assert [number for number, _ in world.begun] == [1, 3]
