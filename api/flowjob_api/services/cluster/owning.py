"""What this service's own field manager has set in an object, so that a further apply does not take it away.

Server-side apply removes what a manager owned and leaves out: each write says again what those before it said. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from flowjob_api.schemas.problems import FieldProblem
from flowjob_api.services.cluster.kubernetes import ApiError, Object

MANAGER: Final = "flowjob-api"
_CONFLICT: Final = re.compile(r'conflict with "([^"]+)"')


def owned(found: Object) -> Object:
    """The part of an object that `MANAGER` has applied, with its values as they are now."""
    fields: dict[str, Any] = {}
    for entry in found["metadata"].get("managedFields") or ():
        is_ours = entry.get("manager") == MANAGER and entry.get("operation") == "Apply"
        if is_ours and not entry.get("subresource"):
            _add(fields, entry.get("fieldsV1") or {})
    if not fields:  # nothing: which at the top is not the same as all
        return {}
    part = _part(fields, found)
    return part if isinstance(part, dict) else {}


def _add(fields: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        _add(fields.setdefault(key, {}), value)


def _part(fields: Mapping[str, Any], value: Any) -> Any:
    names = [key for key in fields if key.startswith("f:")]
    if "." in fields and not names and isinstance(value, Mapping):
        return {}  # that there is a map, and nothing in it
    if not names or not isinstance(value, Mapping):
        return value  # a leaf; of a list, whose items have keys, all of it
    return {key[2:]: _part(fields[key], value[key[2:]]) for key in names if key[2:] in value}


def merged(base: Object, change: Mapping[str, Any]) -> Object:
    """`change` over `base`, maps within each other; None removes."""
    made = dict(base)
    for key, value in change.items():
        if value is None:
            made.pop(key, None)
        elif isinstance(value, Mapping):
            below = made.get(key)
            made[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            made[key] = value
    return made


def conflicts(error: ApiError) -> list[FieldProblem]:
    """Fields that others own, by the API server's answer."""
    found = []
    for cause in error.causes:
        if cause.get("reason") == "FieldManagerConflict":
            message = str(cause.get("message") or "")
            named = _CONFLICT.search(message)
            found.append(
                FieldProblem(
                    field=str(cause.get("field") or "").lstrip("."),
                    message=message,
                    manager=named.group(1) if named else None,
                )
            )
    return found
