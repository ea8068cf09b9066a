"""Whether an object still is as it was applied: what was said, in what is there now.

Pure. The server adds fields, orders nothing, and writes quantities in its own way; people and other controllers change
things. Only what we said is compared. Knows JSON and quantities, no kinds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

QUANTITY: Final = re.compile(r"^([+-]?\d+(?:\.\d+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
SCALES: Final = {
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** n for n, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** n for n, letter in enumerate("KMGTPE", 1)},
}
KEYS: Final = ("name", "containerPort", "mountPath", "port", "type", "topologyKey", "uid", "key")
"""By which items of lists are known. The first that all have, and no two the same, is the one."""


def difference(said: Any, there: Any, path: str = "") -> str | None:
    """Path of the first thing that was said and is not so; None: all is as it was said. None, empty maps, lists and
    strings say nothing: the server leaves them out."""
    if _is_nothing(said):
        return None
    if isinstance(said, dict):
        if not isinstance(there, dict):
            return path or "."
        return _first(
            difference(value, there.get(name), f"{path}.{name}") for name, value in said.items()
        )
    if isinstance(said, list):
        if not isinstance(there, list):
            return path
        return _of_lists(said, there, path)
    return None if _same(said, there) else path


def _of_lists(said: list[Any], there: list[Any], path: str) -> str | None:
    key = _key_of(said)
    if key is None:
        if len(said) != len(there):
            return path
        pairs = [(f"{path}[{n}]", a, b) for n, (a, b) in enumerate(zip(said, there, strict=True))]
    else:
        known = {item.get(key): item for item in there if isinstance(item, dict)}
        pairs = [(f"{path}[{item[key]}]", item, known.get(item[key])) for item in said]
    return _first(difference(a, b, where) for where, a, b in pairs)


def _key_of(items: list[Any]) -> str | None:
    if not all(isinstance(item, dict) for item in items):
        return None
    for key in KEYS:
        values = [item.get(key) for item in items]
        if None not in values and len({str(value) for value in values}) == len(values):
            return key
    return None


def _same(said: Any, there: Any) -> bool:
    if type(said) is type(there) and said == there:
        return True
    if isinstance(said, bool) or isinstance(there, bool):
        return False
    one, other = _number(said), _number(there)
    return one is not None and one == other


def _number(value: Any) -> Decimal | None:
    found = QUANTITY.fullmatch(str(value))
    if found is None:
        return None
    return Decimal(found[1]) * SCALES.get(found[2] or "", Decimal(1))


def _is_nothing(value: Any) -> bool:
    return value is None or value == {} or value == [] or value == ""


def _first(found: Iterable[str | None]) -> str | None:
    return next((path for path in found if path is not None), None)
