"""Which columns a stream can have: names that are not ours, once each, of types that every operator can carry.

Arrow has types that its own kernels cannot gather or cast; they are refused where they would enter a job. It must not
know operators."""

from __future__ import annotations

import pyarrow as pa

from flowjob.errors import PlanError, TypeMismatch
from flowjob.plan.types import HIDDEN_PREFIX
from flowjob.plan.where import caller

_is = pa.types

_INSTEAD = (
    (_is.is_string_view, "string"),
    (_is.is_binary_view, "binary"),
    (_is.is_list_view, "list"),
    (_is.is_large_list_view, "list"),
    (_is.is_run_end_encoded, "the type of its values"),
    (_is.is_union, "a struct with a field for each type"),
    (_is.is_interval, "duration"),
    (lambda t: isinstance(t, pa.BaseExtensionType), "its storage type"),
    (
        lambda t: _is.is_dictionary(t) and not _is_text(t.value_type),
        "the type of its values",
    ),
)
"""Types that are refused, and what to use."""


def check_columns(schema: pa.Schema, what: str) -> None:
    """PlanError or TypeMismatch for columns that a stream cannot have; `what` says where they were to come from."""
    ours = [name for name in schema.names if name.startswith(HIDDEN_PREFIX)]
    if ours:
        raise PlanError(
            f"{what}: column names must not begin with `__`, but there is `{ours[0]}`; rename or drop it",
            where=caller(),
        )
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise PlanError(f"{what} has two columns `{twice}`; rename or drop one", where=caller())
    for field in schema:
        if (found := _refused(field.type)) is not None:
            raise TypeMismatch(
                f"{what}: column `{field.name}` holds {found[0]}, which streams do not carry; cast it to {found[1]}",
                where=caller(),
            )


def _refused(type: pa.DataType) -> tuple[pa.DataType, str] | None:
    """A type at any depth that is refused, and what to use instead."""
    for test, instead in _INSTEAD:
        if test(type):
            return type, instead
    inner = [type.field(i).type for i in range(type.num_fields)]
    return next((found for t in inner if (found := _refused(t)) is not None), None)


def _is_text(type: pa.DataType) -> bool:
    tests = (_is.is_string, _is.is_large_string, _is.is_binary, _is.is_large_binary)
    return any(test(type) for test in tests)
