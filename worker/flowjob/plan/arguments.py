"""What users pass to the methods of streams, checked where they pass it: each refusal says what to write instead.

Only checks, no graph building (that is building.py). It must not import stream classes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from flowjob.errors import PlanError, TypeMismatch
from flowjob.plan.where import caller


def check_function(function: Any, what: str) -> None:
    """TypeMismatch unless `function` can be called."""
    if callable(function):
        return
    hint = ""
    if hasattr(function, "bind"):
        hint = "; an expression goes to select, with_columns or filter"
    elif function is None or not isinstance(function, str):
        hint = "; give the function itself, without calling it"
    raise TypeMismatch(f"{what} takes a function, got {function!r}{hint}", where=caller())


def check_duration(value: Any, what: str) -> None:
    """TypeMismatch unless `value` is a timedelta that is not negative."""
    if not isinstance(value, timedelta):
        raise TypeMismatch(
            f"{what} takes a timedelta, such as timedelta(minutes=5); got {value!r}", where=caller()
        )
    if value < timedelta(0):
        raise PlanError(f"{what} must not be negative: {value}", where=caller())


def check_parallelism(value: Any) -> None:
    """PlanError unless `value` is a number of subtasks."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeMismatch(f"parallelism is a whole number, got {value!r}", where=caller())
    if value < 1:
        raise PlanError(f"parallelism must be at least 1, got {value}", where=caller())


def check_returns(returns: Any) -> None:
    """TypeMismatch for what looks like a row type and is none: an instance, a name, a dict."""
    if isinstance(returns, str):
        wrong = f"the text {returns!r}; write the class itself, without quotes"
    elif isinstance(returns, dict | list | tuple | set):
        wrong = f"{returns!r}; declare a class with these columns: `class Row(fj.Schema): …`"
    elif hasattr(type(returns), "arrow_schema"):
        name = type(returns).__name__
        wrong = f"a row, {returns!r}; write the class: `returns={name}`"
    else:
        return
    raise TypeMismatch(
        f"returns takes a Schema class or a pyarrow.Schema, got {wrong}", where=caller()
    )


def advice_on_columns(given: Any, what: str) -> str:
    """What to write instead of something that is neither a column name nor an expression."""
    if isinstance(given, list | tuple) and given and all(isinstance(g, str) for g in given):
        listed = ", ".join(f'"{g}"' for g in given)
        return f". Give the columns one by one: {what}({listed})"
    if callable(given):
        return ". A function goes to map; an expression is written with fj.col"
    return ". A constant needs a name: `name=…`"


class NoSuchMethod(AttributeError):
    """An attribute that a stream does not have, with where it is or what to write instead."""


def no_such_method(stream: object, name: str, advice: str | None) -> NoSuchMethod:
    """The error for `stream.name`; without advice the nearest name is proposed."""
    kind = type(stream).__name__
    if advice is None:
        near = difflib.get_close_matches(name, _public(stream), n=1)
        advice = f"Did you mean `{near[0]}`?" if near else f"It has: {', '.join(_public(stream))}"
    return NoSuchMethod(f"a {kind} has no `{name}`. {advice}")


def _public(thing: object) -> Iterable[str]:
    return [n for n in dir(type(thing)) if not n.startswith("_")]


def refuse_columns_as_text(named: Mapping[str, Any], columns: Sequence[str]) -> None:
    """`x="origin"` is a constant, but hardly ever meant so when there is a column `origin`."""
    for name, value in named.items():
        if isinstance(value, str) and value in columns:
            raise TypeMismatch(
                f'`{name}="{value}"` would be the text "{value}" in every row. For the column write '
                f'`{name}=fj.col("{value}")`; if you mean the text, `{name}=fj.lit("{value}")`',
                where=caller(),
            )


def refuse_twice(names: Sequence[str], what: str) -> None:
    """PlanError naming the first column that `what` would give twice."""
    for name in names:
        if names.count(name) > 1:
            raise PlanError(
                f"{what} would give two columns `{name}`; drop or rename one of them",
                where=caller(),
            )


def no_columns(what: str, returns: object) -> str:
    """The complaint about a declared type that has no columns."""
    return f"{what} gives columns, but returns={returns!r} declares none: give a Schema class or a pyarrow.Schema"


def no_condition(given: object) -> str:
    """The complaint about something in place of a condition."""
    return f'filter takes an expression, such as `fj.col("x") > 0`, or a function of the row; got {given!r}'


def no_stream(given: object, what: str) -> str:
    """The complaint about something in place of a stream."""
    advice = f". {what.capitalize()} before key_by" if hasattr(given, "fields") else ""
    return f"{what} takes streams, got {given!r}{advice}"


def one_row(kind: str) -> str:
    """The complaint about a flat_map function that is annotated with a single row."""
    return (
        f"flat_map takes a function that returns many rows, but this one is annotated `-> {kind}`: return an "
        f"iterable of them (`-> Iterable[{kind}]`), or use map"
    )


SIDE_ADVICE = {
    "late": ". Only a window has late rows: take `.late` of what `.agg(…)` or `.apply(…)` gives",
    "bad_rows": '. Say on_bad_row="divert" where the source is read',
}

"""What to add when a side output is not there."""

METHOD_ADVICE = {
    "where": "Use `filter`",
    "group_by": "Use `key_by`",
    "groupby": "Use `key_by`",
    "apply": "Use `map` for each row, `map_batches` for each batch, or `.window(…).apply(…)`",
    "count": "Use `.key_by(…).agg(n=fj.count())`",
    "collect": "Use `preview()` to look at rows, or `job.write(stream, fj.show())`",
    "show": "Use `preview()` to look at rows, or `job.write(stream, fj.show())`",
    "print": "Use `job.write(stream, fj.print_())`",
    "sink_to": "Use `job.write(stream, sink)`",
    "write": "Use `job.write(stream, sink)`",
    "add_sink": "Use `job.write(stream, sink)`",
    "join": "Key both streams and use `connect` with an fj.KeyedCoProcess",
    "set_parallelism": "Use `parallelism`",
    "name": "Use `named`",
}
"""What people coming from elsewhere try first."""
