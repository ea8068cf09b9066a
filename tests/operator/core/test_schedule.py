"""When schedules are due, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob_operator.core.schedule import last_due, next_due

MADE = datetime(2026, 11, 1, 0, 0, 30, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "now", "last", "following"),
    [
        ("0 */6 * * *", "2026-11-21T13:00", "2026-11-21T12:00", "2026-11-21T18:00"),
        ("@hourly", "2026-11-21T13:00", "2026-11-21T13:00", "2026-11-21T14:00"),
        ("@daily", "2026-11-21T13:00", "2026-11-21T00:00", "2026-11-22T00:00"),
        ("@weekly", "2026-11-21T13:00", "2026-11-15T00:00", "2026-11-22T00:00"),
        ("@monthly", "2026-11-21T13:00", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("30 2 * * MON-FRI", "2026-11-21T13:00", "2026-11-20T02:30", "2026-11-23T02:30"),
        ("0 0 31 * *", "2026-11-21T13:00", "2026-10-31T00:00", "2026-12-31T00:00"),
        ("*/7 * * * *", "2026-11-02T00:06:59.000001", "2026-11-02T00:00", "2026-11-02T00:07"),
        ("@every 6h", "2026-11-01T13:00:30", "2026-11-01T12:00:30", "2026-11-01T18:00:30"),
    ],
)
def test_a_schedule_says_when_it_was_and_will_be_due(
    schedule: str, now: str, last: str, following: str
) -> None:
    assert last_due(schedule, at(now), MADE) == at(last)
    assert next_due(schedule, at(now), MADE) == at(following)


@pytest.mark.parametrize("schedule", ["61 * * * *", "0 0 30 2 *x", "@every 1s", "* * * * FOO"])
def test_what_is_no_schedule_says_so(schedule: str) -> None:
    with pytest.raises(ValueError, match="`"):
        next_due(schedule, MADE, MADE)


def test_every_is_not_due_before_it_has_passed_once() -> None:
    assert last_due("@every 6h", MADE, MADE) is None


@given(
    st.sampled_from(["*/7 * * * *", "15 3 * * *", "@every 90m", "0 12 1 */2 *"]),
    st.datetimes(datetime(2026, 11, 2), datetime(2030, 1, 1)),
)
def test_last_is_not_after_now_and_next_is(schedule: str, when: datetime) -> None:
    now = when.replace(tzinfo=UTC)
    last, following = last_due(schedule, now, MADE), next_due(schedule, now, MADE)
    assert following is not None
    assert following > now
    assert last is None or last <= now
    assert last_due(schedule, following, MADE) == following
