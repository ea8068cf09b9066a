"""What the stream classes build with: adds nodes to a job's graph, resolves columns, types and names.

One place for the rules that every stream method shares, so that the public classes stay a list of what a user can
say."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import pyarrow as pa

from flowjob.errors import PlanError, TypeMismatch, UnknownColumn
from flowjob.expressions import Expr, col
from flowjob.plan.arguments import advice_on_columns, check_returns, refuse_twice
from flowjob.plan.logical import NO_SIDES, Input, LogicalGraph, LogicalNode
from flowjob.plan.specs import OperatorSpec, ProjectSpec
from flowjob.plan.stream_columns import check_columns
from flowjob.plan.types import HIDDEN_PREFIX, OBJECTS, Mode, StreamType
from flowjob.plan.where import caller
from flowjob.schema import Schema, columns_of, stream_type


class GraphBuilder:
    """Holds the newest graph of a job that is being written down."""

    def __init__(self) -> None:
        self.graph = LogicalGraph()

    def add(
        self,
        spec: OperatorSpec,
        inputs: tuple[Input, ...],
        name: str,
        *,
        sides: Mapping[str, StreamType] = NO_SIDES,
        parallelism: int | None = None,
        mode: Mode | None = None,
        event_time: bool | None = None,
        ports: tuple[int, ...] = (),
        follows: bool = False,
    ) -> LogicalNode:
        """A new node; mode and event time are the first input's unless given."""
        first = self.graph[inputs[0].node] if inputs else None
        node = LogicalNode(
            id=self.graph.next_id,
            spec=spec,
            name=name,
            inputs=inputs,
            where=caller(),
            parallelism=parallelism,
            sides=sides,
            mode=mode if mode is not None else first.mode if first else Mode.APPEND,
            event_time=bool(first and first.timed(inputs[0].tag))
            if event_time is None
            else event_time,
            ports=ports,
            follows=follows,
        )
        self.graph = self.graph.with_node(node)
        return node

    def update(self, node: int, **changes: Any) -> None:
        """Replaces fields of a node: its name, its parallelism."""
        self.graph = self.graph.with_node(replace(self.graph[node], **changes))


def mode_of_all(modes: Iterable[Mode]) -> Mode:
    """The mode of a union: beside updates, streams of inserts alone are changelogs too."""
    found = set(modes)
    if len(found) == 1:
        return found.pop()
    if Mode.UPSERT in found:
        raise PlanError("union takes upsert streams only together", where=caller())
    return Mode.RETRACT


def check_unread(builder: GraphBuilder, node: LogicalNode, what: str) -> None:
    """PlanError when somebody reads the node's output, which `what` would change behind its back."""
    if readers := builder.graph.consumers(node.id):
        raise PlanError(
            f"{what} changes what `{node.name}` gives, but `{readers[0][0].name}` reads it already: say it right after "
            f"`{node.name}`",
            where=caller(),
        )


def require_columns(type: StreamType, what: str) -> pa.Schema:
    """The schema of a typed stream; a PlanError saying how to type an object stream."""
    if type.schema is None:
        raise PlanError(
            f"{what} needs columns, but this stream holds plain Python objects. Declare what the function "
            "before it returns: `.map(function, returns=YourSchema)`, or annotate it: "
            "`def function(row) -> YourSchema`",
            where=caller(),
        )
    return type.schema


def visible(type: StreamType) -> StreamType:
    """The type without hidden columns."""
    if type.schema is None or not any(n.startswith(HIDDEN_PREFIX) for n in type.schema.names):
        return type
    fields = [f for f in type.schema if not f.name.startswith(HIDDEN_PREFIX)]
    return StreamType(pa.schema(fields), type.row_class)


def check_operator_name(name: str) -> None:
    """PlanError for what no operator can be called."""
    if not isinstance(name, str) or not name or name.startswith(HIDDEN_PREFIX):
        raise PlanError(
            f"a name is a text that is not empty and does not begin with `__`, got {name!r}",
            where=caller(),
        )


def check_column(type: StreamType, name: str, what: str) -> pa.Field:
    """The field of a visible column, or UnknownColumn with the nearest name."""
    schema = require_columns(type, what)
    if name not in type.columns:
        raise UnknownColumn(name, type.columns, where=caller())
    return schema.field(name)


def named_outputs(
    columns: Sequence[str | Expr], named: Mapping[str, Any], what: str
) -> list[tuple[str, Expr]]:
    """The (name, expression) list of a select, with_columns or key_by; literals are allowed as named values."""
    outputs: list[tuple[str, Expr]] = []
    for given in columns:
        if isinstance(given, str):
            outputs.append((given, col(given)))
        elif isinstance(given, Expr):
            outputs.append((expression_name(given, what), given))
        else:
            raise TypeMismatch(
                f"{what} takes column names and expressions, got {given!r}"
                f"{advice_on_columns(given, what)}",
                where=caller(),
            )
    outputs.extend((name, as_expression(value)) for name, value in named.items())
    for name, _ in outputs:
        if name.startswith(HIDDEN_PREFIX):
            raise PlanError(f"column names must not begin with `__`: `{name}`", where=caller())
    names = [name for name, _ in outputs]
    refuse_twice(names, what)
    return outputs


def as_expression(value: Any) -> Expr:
    """An expression for anything a user may write in its place: a string is a literal only when named explicitly."""
    from flowjob.expressions import lit

    return value if isinstance(value, Expr) else lit(value)


def expression_name(expression: Expr, what: str) -> str:
    """The column name an unnamed expression gets: its alias, or the column it is."""
    name = expression.name
    if name is None:
        raise PlanError(
            f'{what}: the expression `{expression}` has no name; write `name=…` or `.alias("name")`',
            where=caller(),
        )
    return name


def project_type(type: StreamType, outputs: Sequence[tuple[str, Expr]], what: str) -> StreamType:
    """The type that expressions over `type` give. Keeps the row class when no visible column changes."""
    schema = require_columns(type, what)
    where = caller()
    fields = []
    for name, expression in outputs:
        bound = expression.bind(schema, where=where)
        fields.append(pa.field(name, bound.type, nullable=bound.nullable))
    given = pa.schema(fields)
    same = visible(StreamType(given)).schema == visible(type).schema
    changed = [name for name, expression in outputs if expression.column_name != name]
    return StreamType(
        given, type.row_class if same and _still_rows(type.row_class, changed) else None
    )


def _still_rows(row_class: Any, changed: list[str]) -> bool:
    """Whether rows with other values in these columns are still rows of the class: an Enum or Literal column is of
    the same Arrow type as any text."""
    if row_class is None:
        return True
    values = {column.name: column.value for column in columns_of(row_class)}
    found = [values[name] for name in changed if name in values]
    return not any(v.choices or issubclass(v.python, Enum) for v in found)


def checked_type(type: StreamType, outputs: Sequence[tuple[str, Expr]], what: str) -> StreamType:
    """`project_type` of what a user says: no hidden columns, no types that cannot be carried."""
    output = project_type(type, outputs, what)
    assert output.schema is not None
    check_columns(output.schema, what)
    return output


def add_hidden(
    builder: GraphBuilder, source: Input, hidden: list[tuple[str, Expr]], name: str
) -> Input:
    """The output `source` with evaluated hidden columns behind its own, earlier hidden ones included."""
    # It only prepares its input, where that is: how rows are spread is said of what comes after it.
    source = replace(source, partitioning=None)
    full = builder.graph[source.node].type_of(source.tag)
    schema = require_columns(full, name)
    outputs: list[tuple[str, Expr]] = [(n, col(n)) for n in schema.names]
    outputs += hidden
    spec = ProjectSpec(input=full, output=project_type(full, outputs, name), outputs=tuple(outputs))
    return Input(builder.add(spec, (source,), name, follows=True).id)


def row_type(returns: Any) -> StreamType:
    """The stream type of a declared row type: a Schema class is columns, any other type is objects.

    TypeMismatch for a row, a name or a dict in place of a type."""
    if isinstance(returns, type) and issubclass(returns, Schema):
        return stream_type(returns)
    if isinstance(returns, StreamType):
        return returns
    if isinstance(returns, pa.Schema):
        check_columns(returns, "returns=")
        return StreamType(returns)
    check_returns(returns)
    return OBJECTS


def return_annotation(function: Callable[..., Any]) -> Any:
    """The return annotation of a function, resolved; None when there is none."""
    target: Any = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target).get("return")
    except (NameError, TypeError):
        return None


def element_type(annotation: Any) -> Any:
    """T of an annotation such as Iterable[T], list[T], Iterator[T], Generator[T, …]; else None."""
    arguments = typing.get_args(annotation)
    return arguments[0] if arguments else None


def function_name(function: Any) -> str:
    """A short name for graphs: the function's own, or its class's."""
    name = getattr(function, "__name__", None) or type(function).__name__
    return "" if name == "<lambda>" else str(name)


def operator_name(kind: str, function: Any) -> str:
    """`map(slug)`, or `map` for a lambda."""
    name = function_name(function)
    return f"{kind}({name})" if name else kind


def check_time_type(field: pa.Field, where: str | None) -> None:
    """TypeMismatch unless a column of this type can be event time."""
    t = field.type
    if not (pa.types.is_timestamp(t) or pa.types.is_date(t) or pa.types.is_int64(t)):
        raise TypeMismatch(
            f"event time must be a datetime or date column (or int64 µs since the epoch), but "
            f"`{field.name}` is {t}",
            where=where,
        )
