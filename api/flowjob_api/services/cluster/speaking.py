"""What a caller says freely, before it is passed on: it must be JSON that others read as it was meant.

Half a character has no bytes, infinity would become null, and what is nested too deep is read by nobody. Pure."""

from __future__ import annotations

import math
from typing import Any, Final

from flowjob_api.problems import Refused
from flowjob_api.schemas.model import Wish

DEEPEST: Final = 100


def check(wish: Wish) -> None:
    """Raises Refused: INVALID."""
    for name in type(wish).model_fields:
        _check(name, getattr(wish, name), DEEPEST)


def _check(field: str, value: Any, deep: int) -> None:
    if deep == 0:
        raise Refused("INVALID", f"body.{field}: nested deeper than {DEEPEST} times")
    if isinstance(value, dict):
        for key, one in value.items():
            _check(field, key, deep - 1)
            _check(field, one, deep - 1)
    elif isinstance(value, list | tuple):
        for one in value:
            _check(field, one, deep - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Refused("INVALID", f"body.{field}: numbers are finite")
    elif isinstance(value, str) and not _has_bytes(value):
        raise Refused("INVALID", f"body.{field}: half a character, a surrogate without the other")


def _has_bytes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
