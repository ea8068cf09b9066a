"""Settings of checkpoints and restarts as a job file or a Settings request has them, on top of what the program says.

Text as in the FlowJob (`interval: 10s`, `mode: AtLeastOnce`) becomes `fj.Checkpoints`. Every error names the field. It
must not know where the text comes from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flowjob.args import parse_duration
from flowjob.checkpointing import Checkpoints
from flowjob.core.restart_strategy import ExponentialDelay, FailureRate, FixedDelay, NoRestart
from flowjob.errors import PlanError

if TYPE_CHECKING:
    from flowjob.core.restartable import RestartStrategy

Given = Mapping[str, str | int]

_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([kMGT]i?|Ki)?")

_MODES = {"ExactlyOnce": "exactly_once", "AtLeastOnce": "at_least_once"}
_UNALIGNED = {"Never": "never", "Auto": "auto", "Always": "always"}

OF_TASKS = ("mode", "unaligned", "alignment_timeout", "spill_bytes")
"""Fields of `fj.Checkpoints` that tasks are told when they start: a change of one needs a new attempt."""


def checkpoints_of(given: Given, base: Checkpoints | None) -> Checkpoints:
    """`base`, with what was given in its place. Raises PlanError."""
    changed: dict[str, Any] = {}
    for name, value in given.items():
        known = _CHECKPOINTS.get(name)
        if known is None:
            raise _wrong(f"checkpoints.{name}", f"there is no such setting; {_list(_CHECKPOINTS)}")
        field, read = known
        changed[field] = _read(f"checkpoints.{name}", read, value)
    try:
        return dataclasses.replace(base or Checkpoints(), **changed)
    except PlanError as error:
        raise PlanError(error.message) from None


def restarts_of(given: Given, base: RestartStrategy | None) -> RestartStrategy | None:
    """A new strategy, `base` where nothing is given. Raises PlanError."""
    if not given:
        return base
    for name in given:
        if name not in _RESTARTS:
            raise _wrong(f"restarts.{name}", f"there is no such setting; {_list(_RESTARTS)}")
    kind = given.get("strategy", "ExponentialDelay")
    if kind not in _STRATEGIES:
        raise _wrong("restarts.strategy", f"`{kind}` is none; {_list(_STRATEGIES)}")
    make, fields = _STRATEGIES[str(kind)]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name == "strategy":
            continue
        if name not in fields:
            raise _wrong(f"restarts.{name}", f"strategy {kind} has no such setting")
        values[fields[name]] = _read(f"restarts.{name}", _RESTARTS[name], value)
    try:
        made: RestartStrategy = make(**values)
    except ValueError as error:
        raise _wrong("restarts", str(error)) from None
    return made


def change_needs_attempt(before: Checkpoints, after: Checkpoints) -> bool:
    """Whether tasks have to be started again to heed it."""
    return any(getattr(before, name) != getattr(after, name) for name in OF_TASKS)


def seconds_of(field: str, text: str) -> float:
    """Of a duration. Raises PlanError."""
    found: timedelta = _read(field, _duration, text)
    return found.total_seconds()


def _read(field: str, read: Callable[[str | int], Any], value: str | int) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise _wrong(field, str(error)) from None


def _wrong(field: str, reason: str) -> PlanError:
    return PlanError(f"{field}: {reason}")


def _list(names: Mapping[str, object]) -> str:
    return f"there are {', '.join(names)}"


def _duration(value: str | int) -> timedelta:
    if isinstance(value, int):
        return timedelta(seconds=value)
    return parse_duration(value)


def _interval(value: str | int) -> timedelta | None:
    return None if value == "Off" else _duration(value)


def _seconds(value: str | int) -> float:
    return _duration(value).total_seconds()


def _count(value: str | int) -> int:
    if isinstance(value, int) or value.isdigit():
        return int(value)
    raise ValueError(f"`{value}` is no whole number")


def _bytes(value: str | int) -> int:
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError(f"`{value}` is no quantity; write it as 256Mi")
    return int(float(match[1]) * _UNITS[match[2] or ""])


def _one_of(words: Mapping[str, str]) -> Callable[[str | int], str]:
    def read(value: str | int) -> str:
        if value not in words:
            raise ValueError(f"`{value}` is none; {_list(words)}")
        return words[str(value)]

    return read


_CHECKPOINTS: Mapping[str, tuple[str, Callable[[str | int], Any]]] = {
    "interval": ("interval", _interval),
    "minPause": ("min_pause", _duration),
    "timeout": ("timeout", _duration),
    "mode": ("mode", _one_of(_MODES)),
    "unaligned": ("unaligned", _one_of(_UNALIGNED)),
    "alignmentTimeout": ("alignment_timeout", _duration),
    "retained": ("retained", _count),
    "spillBytes": ("spill_bytes", _bytes),
    "maxConcurrent": ("max_concurrent", _count),
    "tolerableFailures": ("tolerable_failures", _count),
}

_RESTARTS: Mapping[str, Callable[[str | int], Any]] = {
    "strategy": str,
    "attempts": _count,
    "delay": _seconds,
    "longest": _seconds,
    "failures": _count,
    "within": _seconds,
}


def _exponential(**given: Any) -> ExponentialDelay:
    """On top of what jobs have that say nothing. A first delay may be longer than the longest is unless said."""
    usual: dict[str, Any] = {
        "initial": 0.1,
        "longest": 30.0,
        "multiplier": 2.0,
        "reset_after": 60.0,
        "attempts": 6,
    }
    if "longest" not in given:
        usual["longest"] = max(usual["longest"], given.get("initial", 0.0))
    return ExponentialDelay(**{**usual, **given})


_STRATEGIES: Mapping[str, tuple[Callable[..., Any], Mapping[str, str]]] = {
    "ExponentialDelay": (
        _exponential,
        {"attempts": "attempts", "delay": "initial", "longest": "longest"},
    ),
    "FixedDelay": (FixedDelay, {"attempts": "attempts", "delay": "delay"}),
    "FailureRate": (FailureRate, {"failures": "failures", "within": "interval", "delay": "delay"}),
    "NoRestart": (NoRestart, {}),
}
