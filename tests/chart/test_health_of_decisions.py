"""What GitOps tools say at each moment of a job's life, of the statuses that the operator's own decisions write.

tests/chart/test_health.py has the tables of what could be written; here is what is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.chart.kstatus import kstatus
from tests.chart.test_health import argocd
from tests.operator.core.world import World, a_spec

pytestmark = pytest.mark.slow

Object = dict[str, Any]


def running(**changes: Any) -> World:
    return World(a_spec(**changes)).settle(20)


def edited(**changes: Any) -> World:
    world = running()
    world.edit(**changes)
    world.turn()
    return world


def settled(**changes: Any) -> World:
    return edited(**changes).settle(40)


def starting() -> World:
    world = World(a_spec())
    world.turn()
    return world


def crash_looping() -> World:
    world = running()
    process = world.processes["flights-jm-1-0"]
    for _ in range(3):
        process.restarts += 1
        process.error = "ValueError: bad row"
        world.turn()
    return world


def refused() -> World:
    world = running()
    world.preflight_problems["flowjob:2"] = "ImportError: no module named flights"
    world.edit(image="flowjob:2")
    return world.settle(30)


def failed() -> World:
    world = running()
    process = world.processes["flights-jm-1-0"]
    process.doing, process.error = "Failed", "ValueError: bad row"
    return world.settle(3)


def finished() -> World:
    world = running()
    process = world.processes["flights-jm-1-0"]
    process.doing, process.ended_at = "Finished", world.now
    return world.settle(3)


def paused() -> World:
    world = running()
    world.annotate(pause="true")
    return world.settle(5)


def unreachable() -> World:
    world = running()
    world.reachable = False
    world.turn()
    return world


LIVES: list[tuple[str, Callable[[], World], str, str]] = [
    ("starts", starting, "Progressing", "InProgress"),
    ("runs", running, "Healthy", "Current"),
    ("is upgraded", lambda: edited(image="flowjob:2"), "Progressing", "InProgress"),
    ("was upgraded", lambda: settled(image="flowjob:2"), "Healthy", "Current"),
    ("is rescaled", lambda: edited(job__parallelism=4), "Progressing", "InProgress"),
    ("was rescaled", lambda: settled(job__parallelism=4), "Healthy", "Current"),
    ("is being suspended", lambda: edited(job__state="Suspended"), "Progressing", "InProgress"),
    ("is suspended", lambda: settled(job__state="Suspended"), "Suspended", "Current"),
    ("was cancelled", lambda: settled(job__state="Cancelled"), "Healthy", "Current"),
    ("has finished", finished, "Healthy", "Current"),
    ("has failed", failed, "Degraded", "Failed"),
    ("crash loops", crash_looping, "Degraded", "InProgress"),
    ("runs on, its new spec refused", refused, "Degraded", "Failed"),
    ("is paused", paused, "Suspended", "Failed"),
    ("has no JobManager that answers", unreachable, "Degraded", "InProgress"),
]


def wire(world: World) -> Object:
    assert world.job is not None
    generation = world.job.metadata.generation
    return {
        "metadata": {"name": "flights", "generation": generation},
        "status": world.status.wire(),
    }


@pytest.mark.parametrize(
    ("live", "health", "status"), [(w, h, k) for _, w, h, k in LIVES], ids=[w for w, *_ in LIVES]
)
def test_a_job_that(live: Callable[[], World], health: str, status: str) -> None:
    found = wire(live())
    assert (argocd(found)[0], kstatus(found)) == (health, status), argocd(found)[1]


def test_between_an_edit_and_the_operator_s_look_at_it_nothing_is_called_done() -> None:
    world = running()
    world.edit(image="flowjob:2")
    assert argocd(wire(world))[0] == "Progressing"
    assert kstatus(wire(world)) == "InProgress"


def test_a_refusal_is_explained() -> None:
    assert "no module named flights" in argocd(wire(refused()))[1]
    assert "ValueError: bad row" in argocd(wire(crash_looping()))[1]
