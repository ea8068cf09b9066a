"""Quantities as the API server writes them: `1024Mi` is kept as `1Gi`, `0.5` as `500m`.

Written so from the start, what is rendered can be compared with what is there. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from flowjob_operator.resources.fields import QUANTITY, quantity

_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL: Final = {
    -9: "n",
    -6: "u",
    -3: "m",
    0: "",
    3: "k",
    6: "M",
    9: "G",
    12: "T",
    15: "P",
    18: "E",
}
_FINEST: Final = Decimal("1e-9")


def canonical(value: str | int) -> str:
    """Raises ValueError for what is no quantity."""
    text, number = str(value), quantity(value)
    if text.endswith("i") and number >= 1024 and number == int(number):
        return _scaled(int(number), 1024, _BINARY)
    exponent = -9
    digits = math.ceil(number / _FINEST)  # no finer than a billionth, rounded up
    if digits == 0:
        return "0"
    while digits % 1000 == 0 and exponent < 18:
        digits, exponent = digits // 1000, exponent + 3
    if re.search(r"[eE][+-]?[0-9]+$", text):
        return f"{digits}e{exponent}" if exponent else str(digits)
    return f"{digits}{_DECIMAL[exponent]}"


def _scaled(number: int, base: int, suffixes: tuple[str, ...]) -> str:
    power = 0
    while number % base == 0 and power < len(suffixes) - 1:
        number, power = number // base, power + 1
    return f"{number}{suffixes[power]}"


def with_canonical(value: Any, field: str = "") -> Any:
    """A copy of a part of an object, with all quantities in it so. What is none stays: the API server says it."""
    if isinstance(value, Mapping):
        if field in ("requests", "limits"):
            return {name: _canonical_or_same(size) for name, size in value.items()}
        return {name: with_canonical(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [with_canonical(item) for item in value]
    return _canonical_or_same(value) if field == "sizeLimit" else value


def _canonical_or_same(value: Any) -> Any:
    is_one = isinstance(value, str | int) and re.fullmatch(QUANTITY, str(value))
    return canonical(value) if is_one else value
