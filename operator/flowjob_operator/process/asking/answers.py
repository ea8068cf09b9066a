"""Reads what JobManagers answer, and lets nothing pass that decisions or the status could not hold.

A JobManager may be of another version, or damaged: a number below nothing, a time that is none, an unknown state. Found
here it is said once and for people; found later it would fail every look at the job. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from pydantic import ValidationError

from flowjob.cluster.control_api import JobManagerView, OperationView, Snapshot
from flowjob_operator.core.beginnings import fact
from flowjob_operator.resources.fields import LARGEST_EXACT

LONGEST_SENTENCE: Final = 4000

T = TypeVar("T", bound=msgspec.Struct)


class NotUnderstood(ValueError):
    """It says which part of the answer cannot be meant."""


def read_view(data: bytes) -> JobManagerView:
    """Raises NotUnderstood."""
    view = _read(data, JobManagerView)
    checkpoints = msgspec.structs.replace(view.checkpoints, error=_cut(view.checkpoints.error))
    return msgspec.structs.replace(view, error=_cut(view.error), checkpoints=checkpoints)


def read_operation(data: bytes) -> OperationView:
    """Raises NotUnderstood."""
    found = _read(data, OperationView)
    return msgspec.structs.replace(found, error=_cut(found.error))


def _read(data: bytes, kind: type[T]) -> T:
    try:
        found = msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise NotUnderstood(str(error)) from None
    _check(found, "")
    return found


def _check(value: Any, path: str) -> None:
    """Counts and sizes, times and digests, wherever they are in it."""
    if isinstance(value, Snapshot):
        try:
            fact(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise NotUnderstood(f"{path}.{where}: {first['msg']}") from None
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            inner = f"{path}.{field.encode_name}" if path else field.encode_name
            _check(getattr(value, field.name), inner)
    elif isinstance(value, int) and not 0 <= value <= LARGEST_EXACT:
        raise NotUnderstood(f"{path} is {value}")
    elif isinstance(value, str) and path.endswith("At") and value and not _is_time(value):
        raise NotUnderstood(f"{path} is {value[:100]!r}, which is no time")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_SENTENCE:
        return text
    return text[: LONGEST_SENTENCE - 1] + "…"
