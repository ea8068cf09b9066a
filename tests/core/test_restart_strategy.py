"""Restart strategies: after which failure they start again, when, and when they give up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.core.restart_strategy import ExponentialDelay, FailureRate, FixedDelay, NoRestart
from flowjob.core.restartable import GiveUp, Restart, RestartStrategy

EVEN = 0.5
"""The chance at which jitter changes nothing."""


def answers(strategy: RestartStrategy, *times: float) -> list[float | None]:
    """Delays, None for giving up."""
    found = [strategy.next(time, EVEN) for time in times]
    return [f.after if isinstance(f, Restart) else None for f in found]


@pytest.mark.parametrize(
    ("strategy", "times", "expected"),
    [
        (NoRestart(), (0,), [None]),
        (FixedDelay(attempts=0), (0,), [None]),
        (FixedDelay(attempts=2, delay=3), (0, 100, 1e6), [3, 3, None]),
        (FixedDelay(attempts=1, delay=0), (0, 0, 0), [0, None, None]),
        (FailureRate(failures=0), (0,), [None]),
        (FailureRate(failures=2, interval=10, delay=1), (0, 5, 9.9), [1, 1, None]),
        (FailureRate(failures=2, interval=10, delay=1), (0, 5, 10), [1, 1, 1]),
        (FailureRate(failures=1, interval=10, delay=1), (0, 20, 40, 41), [1, 1, 1, None]),
        (ExponentialDelay(initial=1, multiplier=2, longest=5), (0, 2, 5, 10), [1, 2, 4, 5]),
        (
            ExponentialDelay(initial=1, multiplier=2, reset_after=10),
            (0, 10.9, 22.8),
            [1, 2, 4],
        ),
        (ExponentialDelay(initial=1, multiplier=2, reset_after=10), (0, 2, 14), [1, 2, 1]),
        (ExponentialDelay(initial=1, multiplier=1, attempts=2), (0, 1, 2), [1, 1, None]),
        (ExponentialDelay(initial=1, attempts=1, reset_after=5), (0, 6, 12), [1, 1, 1]),
    ],
)
def test_delays_and_limits(
    strategy: RestartStrategy, times: tuple[float, ...], expected: list[float | None]
) -> None:
    assert answers(strategy, *times) == expected


def test_the_pause_itself_does_not_count_as_time_without_failure() -> None:
    strategy = ExponentialDelay(initial=10, multiplier=2, longest=40, reset_after=15)
    assert answers(strategy, 0, 12, 40, 90, 135, 191) == [10, 20, 40, 40, 40, 10]


@given(
    times=st.lists(st.floats(0, 1e6), min_size=1, max_size=30),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_exponential_delays_stay_within_their_bounds(times: list[float], chance: float) -> None:
    strategy = ExponentialDelay(initial=1, longest=60, jitter=0.1)
    for time in sorted(times):
        found = strategy.next(time, chance)
        assert isinstance(found, Restart)
        assert 0.9 <= found.after <= 66.000001


def test_jitter_spreads_delays_evenly_to_both_sides() -> None:
    delays = [ExponentialDelay(initial=10, jitter=0.2).next(0, c) for c in (0.0, 0.5, 0.999999)]
    assert [round(d.after, 3) for d in delays if isinstance(d, Restart)] == [8, 10, 12]


@given(times=st.lists(st.floats(0, 1000), max_size=50), failures=st.integers(0, 5))
def test_the_failure_rate_gives_up_exactly_when_too_many_lie_in_the_interval(
    times: list[float], failures: int
) -> None:
    strategy = FailureRate(failures=failures, interval=50, delay=0)
    times = sorted(times)
    for n, time in enumerate(times):
        recent = [t for t in times[: n + 1] if t > time - 50]
        gave_up = isinstance(strategy.next(time, EVEN), GiveUp)
        assert gave_up == (len(recent) > failures)


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        (NoRestart(), "restarts are off"),
        (FixedDelay(attempts=0), "it was restarted no time already, which is the limit"),
        (FailureRate(failures=0, interval=60), "it has failed once within 60 s, 0 are allowed"),
        (ExponentialDelay(attempts=0), "it was restarted no time in a row, which is the limit"),
    ],
)
def test_giving_up_says_what_was_tried(strategy: RestartStrategy, reason: str) -> None:
    assert strategy.next(0, EVEN) == GiveUp(reason)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (FixedDelay, {"attempts": -1}),
        (FixedDelay, {"delay": -1}),
        (FailureRate, {"failures": -1}),
        (FailureRate, {"interval": -1}),
        (FailureRate, {"delay": float("nan")}),
        (ExponentialDelay, {"initial": -1}),
        (ExponentialDelay, {"longest": 0.5}),
        (ExponentialDelay, {"multiplier": 0.9}),
        (ExponentialDelay, {"reset_after": -1}),
        (ExponentialDelay, {"jitter": -0.1}),
        (ExponentialDelay, {"jitter": 1.1}),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(kind: Any, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(settings))} is "):
        kind(**settings)
