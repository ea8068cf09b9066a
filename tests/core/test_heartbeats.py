"""When silence means loss."""

from __future__ import annotations

import pytest

from flowjob.core.heartbeats import HeartbeatMonitor


def test_a_silent_peer_is_lost_once_after_the_timeout() -> None:
    monitor = HeartbeatMonitor(interval=1, timeout=3)
    monitor.seen("a", 0)
    monitor.seen("b", 0)
    assert [monitor.tick(now) for now in (1, 2, 3)] == [[], [], []]
    monitor.seen("b", 3)
    assert monitor.silence("a", 3) == 3
    assert monitor.tick(4) == ["a"]
    assert monitor.tick(5) == []


def test_silence_while_the_observer_was_asleep_does_not_count() -> None:
    monitor = HeartbeatMonitor(interval=1, timeout=3)
    monitor.seen("a", 0)
    monitor.tick(1)
    assert monitor.tick(100) == []
    assert [monitor.tick(now) for now in (101, 102, 103)] == [[], ["a"], []]


def test_a_forgotten_peer_is_not_watched() -> None:
    monitor = HeartbeatMonitor(interval=1, timeout=3)
    monitor.seen("a", 0)
    monitor.forget("a")
    assert [monitor.tick(now) for now in range(9)] == [[]] * 9


def test_the_timeout_must_exceed_the_interval() -> None:
    with pytest.raises(ValueError, match="must exceed"):
        HeartbeatMonitor(interval=3, timeout=3)
