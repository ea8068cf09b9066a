"""Values of users in messages: a printed form that is short, and that no broken `__repr__` can take away.

Of its own, because rows, state and operators all report values. It must not know any of them."""

from __future__ import annotations


def shown(value: object, most: int = 500) -> str:
    """repr for a person: of `most` characters, and never raises."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a broken __repr__ must not hide the failure being reported
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= most else text[:most] + "…"
