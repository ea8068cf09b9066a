"""What a job says about its checkpoints is checked when it is said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flowjob as fj
from flowjob.errors import PlanError

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no time": ({"interval": 5}, "interval is 5: it must be a time, such as timedelta"),
    "no place": ({"location": 123}, "location is 123: it must be a directory"),
    "no number": ({"retained": "3"}, "retained is '3': it must be a whole number"),
    "none kept": ({"retained": 0}, "retained is 0: at least 1 is needed"),
    "mode": ({"mode": "once"}, "mode is 'once': it must be 'exactly_once' or 'at_least_once'"),
    "unaligned": ({"unaligned": True}, "unaligned is True: it must be 'never' or 'auto' or"),
    "restarts": ({"restarts": 3}, r"restarts is 3: it must be a strategy, such as fj\.Fixed"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_meant_is_refused_with_its_line(mistake: str) -> None:
    settings, refusal = MISTAKES[mistake]
    with pytest.raises(PlanError, match=refusal) as refused:
        fj.Checkpoints(**settings)
    assert str(refused.value.where).startswith(__file__)


def test_a_job_takes_checkpoints_and_nothing_else() -> None:
    place: Any = "/data/checkpoints"
    with pytest.raises(PlanError, match=r"checkpoints must be fj\.Checkpoints\(…\), got '/data"):
        fj.Job("j", checkpoints=place)


def test_places_and_times_may_be_left_to_others() -> None:
    assert fj.Checkpoints(location=Path("here"), interval=None).settings().interval is None
    assert fj.Checkpoints(restarts=fj.NoRestart()).strategy() is not None
    assert fj.Checkpoints(interval=timedelta(seconds=1)).settings().interval == 1.0
