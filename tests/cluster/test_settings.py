"""Settings of checkpoints and restarts in a job file: what they mean, and that an error names the field."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowjob.checkpointing import Checkpoints, ExponentialDelay, FailureRate, FixedDelay, NoRestart
from flowjob.cluster.settings import change_needs_attempt, checkpoints_of, restarts_of
from flowjob.errors import PlanError


def test_what_is_given_takes_the_place_of_what_the_program_says() -> None:
    base = Checkpoints(retained=7, interval=timedelta(seconds=3))
    given = {
        "interval": "1m30s", "minPause": "0s", "timeout": "5m", "mode": "ExactlyOnce", "unaligned": "Auto",
        "alignmentTimeout": "250ms", "spillBytes": "1Mi", "maxConcurrent": 2, "tolerableFailures": "4",
    }  # fmt: skip
    found = checkpoints_of(given, base)
    assert found == Checkpoints(
        retained=7,
        interval=timedelta(seconds=90),
        min_pause=timedelta(0),
        timeout=timedelta(minutes=5),
        mode="exactly_once",
        unaligned="auto",
        alignment_timeout=timedelta(milliseconds=250),
        spill_bytes=1 << 20,
        max_concurrent=2,
        tolerable_failures=4,
    )
    assert checkpoints_of({"interval": "Off"}, None).interval is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"interval": "soon"}, "checkpoints.interval: `soon` is not a duration"),
        ({"intervall": "1s"}, "checkpoints.intervall: there is no such setting; there are interval, "),
        ({"retained": "few"}, "checkpoints.retained: `few` is no whole number"),
        ({"retained": 0}, "checkpoints: retained is 0: at least 1 is needed"),
        ({"mode": "exactly_once"}, "checkpoints.mode: `exactly_once` is none; there are ExactlyOnce"),
        ({"spillBytes": "lots"}, "checkpoints.spillBytes: `lots` is no quantity"),
        ({"mode": "AtLeastOnce", "unaligned": "Auto"}, "unaligned is auto, but with mode at_least_once"),
    ],
)  # fmt: skip
def test_an_error_in_checkpoints_names_the_field(given: dict[str, str | int], said: str) -> None:
    with pytest.raises(PlanError) as error:
        checkpoints_of(given, None)
    assert said in str(error.value)


def test_restarts_are_one_of_the_strategies() -> None:
    base = NoRestart()
    assert restarts_of({}, base) is base
    assert restarts_of({"attempts": 3, "delay": "2s"}, base) == ExponentialDelay(
        initial=2.0, longest=30.0, multiplier=2.0, reset_after=60.0, attempts=3
    )
    slow = restarts_of({"strategy": "ExponentialDelay", "delay": "2m"}, None)
    assert isinstance(slow, ExponentialDelay)
    assert (slow.initial, slow.longest, slow.attempts) == (120.0, 120.0, 6)
    assert restarts_of(
        {"strategy": "FixedDelay", "attempts": 2, "delay": "1s"}, None
    ) == FixedDelay(2, 1.0)
    rate = {"strategy": "FailureRate", "failures": 2, "within": "1m", "delay": "1s"}
    assert restarts_of(rate, None) == FailureRate(2, 60.0, 1.0)
    assert restarts_of({"strategy": "NoRestart"}, None) == NoRestart()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"strategy": "Never"}, "restarts.strategy: `Never` is none"),
        ({"strategy": "FixedDelay", "within": "1s"}, "restarts.within: strategy FixedDelay has no such"),
        ({"attempt": 1}, "restarts.attempt: there is no such setting"),
        ({"strategy": "FixedDelay", "delay": "x"}, "restarts.delay: `x` is not a duration"),
        ({"delay": "2m", "longest": "1m"}, "restarts: longest is 60: at least 120 is needed"),
    ],
)  # fmt: skip
def test_an_error_in_restarts_names_the_field(given: dict[str, str | int], said: str) -> None:
    with pytest.raises(PlanError) as error:
        restarts_of(given, None)
    assert said in str(error.value)


def test_only_what_tasks_are_told_at_their_start_needs_a_new_attempt() -> None:
    now = Checkpoints()
    for changed in ({"interval": "1s"}, {"timeout": "1m"}, {"retained": 9}, {"maxConcurrent": 2}):
        assert not change_needs_attempt(now, checkpoints_of(changed, now))
    for changed in ({"mode": "AtLeastOnce"}, {"unaligned": "Always"}, {"spillBytes": 5}):
        assert change_needs_attempt(now, checkpoints_of(changed, now))
