"""What people hear of checkpoints that fail one after the other."""

from __future__ import annotations

from flowjob.core.outages import Outage


def test_an_outage_is_news_when_it_begins_and_when_it_is_over() -> None:
    outage = Outage()
    assert [outage.begins(float(at)) for at in (10, 11, 12)] == [True, False, False]
    over = outage.ends(70.0)
    assert over == "checkpoints are complete again; 3 failed one after the other, within 60 s"
    assert outage.ends(71.0) is None
    assert outage.begins(80.0)


def test_a_single_failure_is_over_without_a_word() -> None:
    outage = Outage()
    assert outage.ends(1.0) is None
    assert outage.begins(2.0)
    assert outage.ends(3.0) is None
