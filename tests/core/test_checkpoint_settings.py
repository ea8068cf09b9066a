"""What may be set for checkpoints, and what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.core.checkpoint_settings import CheckpointSettings, Mode, Unaligned


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": -1}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"min_pause": -0.1}, "min_pause"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"tolerable_failures": -1}, "tolerable_failures"),
        ({"retained": 0}, "retained"),
        ({"alignment_timeout": -1}, "alignment_timeout"),
        ({"spill_bytes": -1}, "spill_bytes"),
        ({"resend": 0}, "resend"),
        ({"history": -1}, "history"),
        ({"mode": Mode.AT_LEAST_ONCE, "unaligned": Unaligned.AUTO}, "unaligned"),
        ({"mode": Mode.AT_LEAST_ONCE, "unaligned": Unaligned.ALWAYS}, "unaligned"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} is "):
        CheckpointSettings(**settings)


def test_periodic_checkpoints_may_be_off() -> None:
    assert CheckpointSettings(interval=None).interval is None


@pytest.mark.parametrize(
    ("unaligned", "told"),
    [(Unaligned.NEVER, None), (Unaligned.AUTO, 0.5), (Unaligned.ALWAYS, 0.0)],
)
def test_tasks_let_barriers_overtake_after_a_timeout_at_once_or_never(
    unaligned: Unaligned, told: float | None
) -> None:
    settings = CheckpointSettings(unaligned=unaligned, alignment_timeout=0.5)
    assert settings.task_alignment_timeout == told
