"""What a JobManager's process says of a job that it did not begin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flowjob.core.adoption import Adopt
from flowjob.core.job_adopting import AdoptedSlot, Takeover
from flowjob.core.job_events import Address, JobShape, SlotExited, VertexShape
from flowjob.core.job_machine import JobMachine
from flowjob.core.restart_strategy import FixedDelay
from flowjob.core.slot_placement import Places
from flowjob.runtime.jobmanager.hosting import Host
from flowjob.runtime.jobmanager.leading import ATTEMPTS_PER_GENERATION

SHAPE = JobShape((VertexShape(0, "read", 1),))
THIRD = 2 * ATTEMPTS_PER_GENERATION
"""Attempts before those of the third JobManager."""


def host(machine: JobMachine) -> Host:
    """Of the third JobManager of a job."""
    planner: Any = SimpleNamespace(uid="u", revision=1, parallelism=1, api_port=1)
    missing: Any = None
    found = Host(missing, planner)
    manager: Any = SimpleNamespace(
        is_leading=True,
        state=machine.state,
        sessions=SimpleNamespace(generation=3, offers=dict),
        tenure=SimpleNamespace(
            held=SimpleNamespace(attempts_before=THIRD),
            conductor=SimpleNamespace(machine=machine, checkpoints=None),
            request=SimpleNamespace(
                job=SimpleNamespace(parallelism=1), graph=SimpleNamespace(max_parallelism=128)
            ),
            places=Places(),
        ),
    )
    found.manager = manager
    return found


@pytest.mark.parametrize("attempt", [1, 2, 7])
def test_tasks_that_were_taken_over_are_in_the_attempt_that_their_jobmanager_counted(
    attempt: int,
) -> None:
    machine = JobMachine(SHAPE, restarts=FixedDelay(attempts=3, delay=0.0))
    second = ATTEMPTS_PER_GENERATION + attempt
    slot = AdoptedSlot(0, "a", Address("a", 1), 70)
    adopted = Takeover((Adopt(0, second, (("a", 0),), {}, frozenset()),), (slot,), {"a": 1})
    machine.start(THIRD + 1, found=adopted)
    assert host(machine).view().attempt == attempt
    machine.handle(SlotExited(0, second, "died"))
    assert host(machine).view().attempt == 1, "the first that this one has begun"
