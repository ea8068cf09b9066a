"""What is done about requests of a cluster's operator: a table of requests and states, and what holds for all."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from flowjob.core.operations import ENDED, Decision, Effect, Facts, Kind, Refused, Step, decide

RUNNING, RESTARTING = Facts("Running"), Facts("Restarting")
STATES = ("Waiting", "Starting", "Deploying", "Running", "Restarting", "Stopping", *sorted(ENDED))
TOLD = replace(RUNNING, effect=Effect.ATTEMPT)
WIDER = replace(RUNNING, parallelism=1, wanted=4, needed=4, offered=4)


@pytest.mark.parametrize(
    ("kind", "facts", "steps"),
    [
        (Kind.SAVEPOINT, RUNNING, (Step.SAVEPOINT,)),
        (Kind.SAVEPOINT, RESTARTING, (Step.RUN, Step.SAVEPOINT)),
        (Kind.SAVEPOINT, replace(RUNNING, savepoint=True), ()),
        (Kind.SAVEPOINT, Facts("Failed", savepoint=True), ()),
        (Kind.CHECKPOINT, RUNNING, (Step.CHECKPOINT,)),
        (Kind.STOP, RUNNING, (Step.STOP, Step.END)),
        (Kind.STOP, Facts("Waiting"), (Step.RUN, Step.STOP, Step.END)),
        (Kind.STOP, Facts("Suspended"), ()),
        (Kind.STOP, Facts("Restarting", savepoint=True), (Step.END,)),
        (Kind.CANCEL, RUNNING, (Step.CANCEL, Step.END)),
        (Kind.CANCEL, RESTARTING, (Step.CANCEL, Step.END)),
        (Kind.CANCEL, Facts("Stopping"), (Step.CANCEL, Step.END)),
        (Kind.CANCEL, Facts("Cancelled"), ()),
        (Kind.RESCALE, WIDER, (Step.TRY_CHECKPOINT, Step.RECLAIM, Step.RUN)),
        (Kind.RESCALE, replace(WIDER, state="Restarting"), (Step.RECLAIM, Step.RUN)),
        (Kind.RESCALE, replace(WIDER, wanted=1), (Step.RUN,)),
        (Kind.RESCALE, replace(WIDER, wanted=1, placed=False), (Step.TRY_CHECKPOINT, Step.RECLAIM, Step.RUN)),
        (Kind.SETTINGS, RUNNING, (Step.CHANGE,)),
        (Kind.SETTINGS, replace(RUNNING, effect=Effect.NONE), ()),
        (Kind.SETTINGS, TOLD, (Step.TRY_CHECKPOINT, Step.CHANGE, Step.RESTART, Step.RUN)),
        (Kind.SETTINGS, replace(RESTARTING, effect=Effect.ATTEMPT), (Step.CHANGE, Step.RESTART, Step.RUN)),
        (Kind.NEW_ATTEMPT, RUNNING, (Step.TRY_CHECKPOINT, Step.RESTART, Step.RUN)),
        (Kind.NEW_ATTEMPT, RESTARTING, (Step.RUN,)),
    ],
)  # fmt: skip
def test_what_is_done_in_which_order(kind: Kind, facts: Facts, steps: Decision) -> None:
    assert decide(kind, facts) == steps


@pytest.mark.parametrize(
    ("kind", "facts", "code"),
    [
        (Kind.SAVEPOINT, replace(RUNNING, in_the_way="there is one"), "NAME_TAKEN"),
        (Kind.SAVEPOINT, replace(RUNNING, keeps=False), "NO_STORAGE"),
        (Kind.STOP, replace(RUNNING, in_the_way="there is one"), "NAME_TAKEN"),
        (Kind.STOP, Facts("Failed"), "ENDED"),
        (Kind.STOP, Facts("Finished"), "ENDED"),
        (Kind.CANCEL, Facts("Suspended"), "ENDED"),
        (Kind.RESCALE, replace(WIDER, offered=3), "SLOTS_UNAVAILABLE"),
        (Kind.RESCALE, replace(WIDER, plan_error="above max_parallelism"), "PLAN"),
        (Kind.RESCALE, replace(WIDER, keeps=False), "NO_STORAGE"),
        (Kind.NEW_ATTEMPT, Facts("Stopping"), "ENDING"),
    ],
)  # fmt: skip
def test_what_is_refused(kind: Kind, facts: Facts, code: str) -> None:
    refused = decide(kind, facts)
    assert isinstance(refused, Refused)
    assert refused.code == code
    assert refused.reason


def test_nothing_is_done_to_a_job_that_has_ended_and_nothing_restarts_one_that_ends() -> None:
    for kind, state, effect, offered in product(Kind, STATES, Effect, (0, 9)):
        facts = Facts(state, wanted=4, needed=4, offered=offered, effect=effect)
        steps = decide(kind, facts)
        if isinstance(steps, Refused):
            continue
        if state in ENDED:
            assert steps == ()
        if state == "Stopping":
            assert kind is Kind.CANCEL or Step.END in steps
        if Step.RECLAIM in steps or Step.RESTART in steps:
            assert steps[-1] is Step.RUN
        if state == "Running" and (Step.RECLAIM in steps or Step.RESTART in steps):
            assert steps[0] is Step.TRY_CHECKPOINT
