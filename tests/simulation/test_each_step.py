"""Whoever dies at whatever step of a checkpoint, the job gives each row once.

These are the rows of the table in docs/checkpointing.md, each struck at its step in a simulated cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowjob.core.checkpoint_settings import CheckpointSettings
from flowjob.core.restart_strategy import FixedDelay
from flowjob.runtime.checkpoint.task_snapshot import TaskSnapshots
from flowjob.runtime.jobmanager.checkpoints import CheckpointService
from flowjob.runtime.storage.memory import MemoryStore
from flowjob.testing.simulation.jobs import JobSpec
from flowjob.testing.simulation.ledger import Ledger, _Writer
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.run import simulate
from flowjob.testing.simulation.scenario import Scenario
from flowjob.testing.simulation.world import current_world

pytestmark = pytest.mark.slow

NUMBER = 3
"""The so manieth time that a step comes somebody dies."""

CALM = Scenario(
    seed=1,
    job=JobSpec(kind="numbered", splits=3, rows=80, waits=0.03, slow_sink=0.001),
    run={"batch_rows": 7},
    inline_bytes=0,
    checkpoints=CheckpointSettings(interval=0.1, min_pause=0.0, retained=1, resend=0.5),
    restarts=FixedDelay(attempts=30, delay=0.1),
)


class Step:
    """Counts how often the job has come to it, and kills `victims` of the current process once."""

    def __init__(self, name: str, victims: Callable[[list[SimProcess]], list[SimProcess]]) -> None:
        self._name = name
        self._victims = victims
        self.came = 0

    def at(self, name: str) -> None:
        if name != self._name:
            return
        self.came += 1
        if self.came == NUMBER:
            world = current_world()
            living = [p for p in world.processes if p.status is None]
            for victim in self._victims(living):
                world.loop.post_at(world.loop.time(), world.loop.world, victim.kill)


def a_slot(living: list[SimProcess]) -> list[SimProcess]:
    """The one that is at it, or another one."""
    slots = [p for p in living if p.name.startswith("slot")]
    current = current_world().loop.current
    return [p for p in slots if p is current] or slots[:1]


def everything(living: list[SimProcess]) -> list[SimProcess]:
    """The JobManager among it: the job is continued by the next one."""
    return living


def kind_of(name: str, data: bytes | Path) -> str:
    """What an object is."""
    if "/log/" in name:
        said = bytes(data) if not isinstance(data, Path) else b""
        return next((w for w in ("commit", "retire") if f'"{w}"'.encode() in said), "other")
    return "manifest" if name.endswith("manifest.json") else "state"


@contextmanager
def watched(step: Step) -> Iterator[None]:
    """Every step of a checkpoint says when it comes."""
    with pytest.MonkeyPatch.context() as patch:

        def around(owner: type, method: str, before: str, after: str) -> None:
            plain = getattr(owner, method)

            def told(self: Any, *arguments: Any, **options: Any) -> Any:
                step.at(before)
                result = plain(self, *arguments, **options)
                step.at(after)
                return result

            patch.setattr(owner, method, told)

        def around_store(method: str) -> None:
            plain = getattr(MemoryStore, method)

            async def told(self: MemoryStore, name: str, data: Any) -> Any:
                kind = kind_of(name, data)
                step.at(f"before {kind}")
                result = await plain(self, name, data)
                step.at(f"after {kind}")
                return result

            patch.setattr(MemoryStore, method, told)

        around(CheckpointService, "_trigger", "trigger", "triggered")
        around(_Writer, "prepare", "prepare", "preparing")
        around(TaskSnapshots, "take", "take", "taken")
        around(Ledger, "stage", "stage", "prepared")
        around(Ledger, "commit", "publish", "published")
        around_store("put")
        around_store("create")
        yield


STEPS = {
    "1 trigger": "triggered",
    "4 prepare": "prepare",
    "4 prepared": "prepared",
    "5 freeze": "taken",
    "6 upload": "before state",
    "6 uploaded": "after state",
    "7 manifest": "before manifest",
    "7 manifest there": "after manifest",
    "8 commit": "before commit",
    "8 answer lost": "after commit",
    "9 publish": "publish",
    "9 published": "published",
    "10 retire": "before retire",
    "10 retired": "after retire",
}


@pytest.mark.parametrize("victims", [a_slot, everything])
@pytest.mark.parametrize("name", STEPS)
def test_whoever_dies_at_a_step_of_a_checkpoint_every_row_is_there_once(
    name: str, victims: Callable[[list[SimProcess]], list[SimProcess]]
) -> None:
    step = Step(STEPS[name], victims)
    with watched(step):
        outcome = simulate(CALM)
    assert step.came >= NUMBER, "nobody was struck"
    assert (outcome.end, outcome.problems) == ("succeeded", [])
    assert outcome.restarts > 0 or outcome.lives > 1
