"""The arguments of a job: typed fields with defaults, read from the text of a command line or a FlowJob.

Everything wrong is found at once and refused before anything starts. Knows types and text only: where the text comes
from is the caller's business."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path
from typing import (
    Any,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from flowjob.errors import BadArguments, PlanError


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Args:
    """Base of a job's argument class; subclasses are frozen, keyword-only dataclasses.

    class Args(fj.Args):
        source: str
        hours: int = 1

    Fields may be bool, int, float, str, Decimal, datetime (without a zone: UTC), date, timedelta (`90s`, `1h30m`,
    `PT1H30M`), Path, an Enum, a Literal, a list of these (`a,b,c`), or any of them `| None` (given as `none`)."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)


A = TypeVar("A", bound=Args)


def parse(kind: type[A], given: Mapping[str, str]) -> A:
    """An instance of `kind` from texts by field name. Raises BadArguments listing all that is wrong."""
    declared = _fields_of(kind)
    hints = {name: hint for name, (hint, _) in declared.items()}
    problems = [_unknown(name, list(hints)) for name in given if name not in hints]
    values: dict[str, Any] = {}
    for name, (hint, required) in declared.items():
        if name in given:
            try:
                values[name] = _value(hint, given[name])
            except ValueError as error:
                problems.append(f"`{name}`: {error}")
        elif required:
            problems.append(f"`{name}` ({describe(hint)}) is missing")
    if problems:
        listed = "\n".join(f"  - {p}" for p in problems)
        raise BadArguments(f"the job's arguments are wrong:\n{listed}\n{_usage(kind)}")
    return kind(**values)


def describe(hint: Any) -> str:
    """How a field's type reads in messages and help: `int`, `list[str]`, `'a' | 'b'`."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " | ".join(describe(h) for h in get_args(hint))
    if origin is Literal:
        return " | ".join(repr(v) for v in get_args(hint))
    if origin is list:
        return f"list[{describe(*get_args(hint))}]"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " | ".join(repr(str(m.value)) for m in hint)
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))


def parse_duration(text: str) -> timedelta:
    """`90s`, `1h30m`, `250ms`, `1d`, `-5m`, or ISO 8601 (`PT1H30M`). ValueError for anything else."""
    iso = _ISO_DURATION.fullmatch(text)
    if iso and any(iso.groups()):
        days, hours, minutes, seconds = (float(part or 0) for part in iso.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not _SHORT_DURATION.fullmatch(text):
        raise ValueError(f"`{text}` is not a duration; write it as `90s`, `1h30m` or `PT1H30M`")
    total = sum(
        (float(amount) * _UNITS[unit] for amount, unit in _DURATION_PART.findall(text)), timedelta()
    )
    return -total if text.startswith("-") else total


_UNITS = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w)")
_SHORT_DURATION = re.compile(rf"-?(?:{_DURATION_PART.pattern})+")
_ISO_DURATION = re.compile(
    r"P(?:(\d+)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)


def _fields_of(kind: type[Args]) -> dict[str, tuple[Any, bool]]:
    """Type and whether it must be given, by name."""
    hints = get_type_hints(kind)
    missing = dataclasses.MISSING
    return {
        f.name: (hints[f.name], f.default is missing and f.default_factory is missing)
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]  # made one by __init_subclass__
    }


def _usage(kind: type[Args]) -> str:
    """One line that lists what the job takes."""
    parts = []
    hints = get_type_hints(kind)
    for f in dataclasses.fields(kind):  # type: ignore[arg-type]
        default = "" if f.default is dataclasses.MISSING else f" = {f.default!r}"
        parts.append(f"{f.name}: {describe(hints[f.name])}{default}")
    return f"The job takes: {', '.join(parts) or 'no arguments'}"


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"`{name}` is unknown" + (f"; did you mean `{near[0]}`?" if near else "")


def _value(hint: Any, text: str) -> Any:
    """`text` read as `hint`; ValueError with a sentence for the user when it is not one."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _optional(hint, text)
    if origin is list:
        (item,) = get_args(hint)
        return [_value(item, part.strip()) for part in text.split(",")] if text.strip() else []
    if origin is Literal:
        return _one_of({str(v): v for v in get_args(hint)}, text)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _one_of({m.name: m for m in hint} | {str(m.value): m for m in hint}, text)
    if hint not in _READERS:
        raise PlanError(
            f"arguments of type `{describe(hint)}` cannot be read from text; use bool, int, float, str, Decimal, "
            "datetime, date, timedelta, Path, an Enum, a Literal, or a list of these"
        )
    try:
        return _READERS[hint](text)
    except (ValueError, InvalidOperation) as error:
        if hint is timedelta:
            raise
        raise ValueError(f"`{text}` is not {_ARTICLES.get(hint, 'a ' + describe(hint))}") from error


def _optional(hint: Any, text: str) -> Any:
    members = [h for h in get_args(hint) if h is not type(None)]
    if len(members) < len(get_args(hint)) and text.lower() == "none":
        return None
    reasons = []
    for member in members:
        try:
            return _value(member, text)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError("; ".join(reasons))


def _one_of(choices: dict[str, Any], text: str) -> Any:
    if text not in choices:
        near = difflib.get_close_matches(text, choices, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"`{text}` is none of {', '.join(choices)}{hint}")
    return choices[text]


def _bool(text: str) -> bool:
    match text.strip().lower():
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
        case _:
            raise ValueError(text)


def _datetime(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


_READERS: dict[Any, Callable[[str], Any]] = {
    bool: _bool,
    int: int,
    float: float,
    str: str,
    Decimal: Decimal,
    datetime: _datetime,
    date: date.fromisoformat,
    timedelta: parse_duration,
    Path: Path,
}
_ARTICLES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Decimal: "a decimal number",
    datetime: "a time; write it as `2013-01-31T18:00:00Z`",
    date: "a date; write it as `2013-01-31`",
}
