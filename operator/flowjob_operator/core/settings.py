"""Fields of a spec by their paths, and the times that they say.

Which value is in force is settled by rendering/effective.py; this only reads and writes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjob_operator.resources.fields import seconds


def put(wire: dict[str, Any], path: str, value: object) -> None:
    """Set what a path of the spec names, in the spec as the API has it; None: take it away."""
    *groups, last = path.split(".")
    for group in groups:
        wire = wire.setdefault(group, {})
    if value is None:
        wire.pop(last, None)
    else:
        wire[last] = value


def take(wire: Mapping[str, Any], path: str) -> Any:
    """What a path of the spec names; None: nothing is there."""
    found: Any = wire
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def time_of(text: str | None, otherwise: float) -> float:
    """Seconds of a duration of a spec."""
    return otherwise if text is None else seconds(text)
