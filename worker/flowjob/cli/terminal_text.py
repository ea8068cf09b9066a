"""Text of others on its way to a terminal: what a job, a service or a cluster has written must not steer it.

Pure. JSON is not touched: it escapes such characters by itself."""

from __future__ import annotations

import re
from typing import TypeVar

T = TypeVar("T")

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """Without what a terminal would obey; line breaks and tabs stay."""
    return _CONTROLS.sub("�", text)


def presentable(value: T) -> T:
    """An answer of the service with all its text made harmless."""
    import msgspec

    return msgspec.convert(_clean(msgspec.to_builtins(value)), type(value))


def _clean(value: object) -> object:
    match value:
        case str():
            return harmless(value)
        case list():
            return [_clean(one) for one in value]
        case dict():
            return {
                name if not isinstance(name, str) else harmless(name): _clean(one)
                for name, one in value.items()
            }
        case _:
            return value
