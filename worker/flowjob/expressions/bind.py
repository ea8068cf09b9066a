"""Compiles an expression for one schema: names to positions, types checked, constants folded.

Types are not inferred by rules of ours: each function is run once over no rows, and Arrow says what comes out or why
nothing can. Must not know operators or streams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec
import pyarrow as pa

from flowjob.errors import TypeMismatch, UnknownColumn
from flowjob.expressions.branches import compile_boolean, compile_when
from flowjob.expressions.compiled import Datum, Function, Kernel, Node, Run, Unsuitable
from flowjob.expressions.expr import Expr, When
from flowjob.expressions.failures import ExpressionFailed
from flowjob.expressions.logical import LOGICAL
from flowjob.expressions.numeric import NUMERIC
from flowjob.expressions.temporal import TEMPORAL
from flowjob.expressions.text import INFIX, column_text
from flowjob.expressions.textual import TEXTUAL
from flowjob.plan.types import HIDDEN_PREFIX

_FUNCTIONS: dict[str, Function] = {**NUMERIC, **LOGICAL, **TEXTUAL, **TEMPORAL}

_ARROW_REFUSES = (pa.ArrowException, KeyError, TypeError, ValueError, OverflowError)
"""pyarrow raises plain Python errors too, e.g. for a key or an option of the wrong type."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundExpression:
    """An expression ready to run over batches whose columns are those of the schema it was bound to, in order."""

    expression: Expr
    type: pa.DataType
    nullable: bool
    _run: Run
    _names: tuple[str, ...]

    def evaluate(self, batch: pa.RecordBatch) -> pa.Array:
        """One value per row. Raises ExpressionFailed, with the first row that it fails for."""
        value = self.value(batch)
        return pa.repeat(value, batch.num_rows) if isinstance(value, pa.Scalar) else value

    def value(self, batch: pa.RecordBatch) -> Datum:
        """Like `evaluate`, but a Scalar for a constant."""
        try:
            return self._run(batch)
        except ExpressionFailed as error:
            raise self._located(error, batch) from None

    def _located(self, error: ExpressionFailed, batch: pa.RecordBatch) -> ExpressionFailed:
        """The failure with its row, by halving: each row's value depends on that row alone."""
        start, length = 0, batch.num_rows
        while length > 1:
            half = length // 2
            failed = self._failure(batch.slice(start, half))
            if failed is None:
                start, length = start + half, length - half
            else:
                error, length = failed, half
        (row,) = batch.slice(start, 1).select(list(self._names)).to_pylist() or ({},)
        text = ", ".join(f"{column_text(n)}={v!r}" for n, v in row.items())
        return ExpressionFailed(error.expression, error.reason, text)

    def _failure(self, batch: pa.RecordBatch) -> ExpressionFailed | None:
        try:
            self._run(batch)
        except ExpressionFailed as error:
            return error
        return None


def bind(expression: Expr, schema: pa.Schema, *, where: str | None = None) -> BoundExpression:
    """See Expr.bind."""
    node = _Compiler(schema, where).compile(expression)
    names = tuple(sorted(expression.columns()))
    return BoundExpression(expression, node.type, node.nullable, node.run, names)


class _Compiler:
    def __init__(self, schema: pa.Schema, where: str | None) -> None:
        self._schema = schema
        self._where = where

    def compile(self, expression: Expr) -> Node:
        operation = expression._operation
        if operation == "col":
            return self._column(expression)
        if operation == "lit":
            return self._literal(expression)
        nodes = [self.compile(e) for e in expression._arguments]
        if operation == "alias":
            return nodes[0]
        nodes = [_decoded(n) for n in nodes]
        try:
            return self._function(expression, nodes)
        except Unsuitable as error:
            raise self._mismatch(expression, nodes, str(error)) from None
        except ExpressionFailed as error:
            # Only constants are computed here.
            raise TypeMismatch(str(error), where=self._where) from None
        except _ARROW_REFUSES as error:
            raise self._mismatch(expression, nodes, _advice(error)) from error

    def _column(self, expression: Expr) -> Node:
        name = expression._parameters[0]
        index = self._schema.get_field_index(name)
        if index < 0:
            visible = [n for n in self._schema.names if not n.startswith(HIDDEN_PREFIX)]
            raise UnknownColumn(name, visible, where=self._where)
        field = self._schema.field(index)
        sample = pa.nulls(0, field.type)
        return Node(str(expression), sample, field.nullable, lambda batch: batch.column(index))

    def _literal(self, expression: Expr) -> Node:
        value, type = expression._parameters
        try:
            scalar = pa.scalar(_plain(value), type or _type_of(value))
        except _ARROW_REFUSES as error:
            if isinstance(value, When):
                raise TypeMismatch(
                    "`when(…)` has no value yet: go on with `.then(…)`", where=self._where
                ) from None
            if callable(value):
                called = getattr(value, "__name__", "it")
                raise TypeMismatch(
                    f"`{called}` is a function and no value: call it, as in `.{called}()`",
                    where=self._where,
                ) from None
            declared = "" if type is None else f" as {type}"
            raise TypeMismatch(
                f"`{value!r}` cannot be a constant{declared}: {error}", where=self._where
            ) from None
        return _constant(str(expression), scalar)

    def _function(self, expression: Expr, nodes: list[Node]) -> Node:
        operation, text = expression._operation, str(expression)
        if operation == "when":
            return compile_when(text, nodes)
        function = _FUNCTIONS[operation]
        kernel = function.build(nodes, expression._parameters)
        sample = _kernel_run(text, kernel, nodes, samples=True)
        if isinstance(sample, pa.Scalar):
            return _constant(text, sample)
        if operation in ("and", "or"):
            return compile_boolean(text, kernel, nodes, sample, decided=operation == "or")
        nullable = function.nullable(nodes)
        if operation == "field":
            (name,) = expression._parameters
            field = nodes[0].type.field(nodes[0].type.get_field_index(name))
            nullable = nodes[0].nullable or field.nullable
        return Node(text, sample, nullable, _run(text, kernel, nodes))

    def _mismatch(self, expression: Expr, nodes: list[Node], advice: str) -> TypeMismatch:
        operation = expression._operation
        name = INFIX.get(operation, operation)
        operands = ", ".join(f"`{n.text}` is {n.type}" for n in nodes)
        message = f"`{expression}`: `{name}` does not work here: {operands}.\n  {advice}"
        return TypeMismatch(message, where=self._where)


def _advice(error: Exception) -> str:
    if isinstance(error, pa.ArrowNotImplementedError):
        return "Make the types agree, e.g. by `.cast(int)`, `.cast(float)` or `.cast(str)`"
    return str(error)


def _constant(text: str, scalar: pa.Scalar) -> Node:
    return Node(text, scalar, not scalar.is_valid, lambda _: scalar)


def _decoded(node: Node) -> Node:
    """Functions see plain values: few of Arrow's take dictionaries. A column passed through stays encoded."""
    if not pa.types.is_dictionary(node.type):
        return node
    run, plain = node.run, node.type.value_type
    return Node(
        node.text,
        node.sample.cast(plain),
        node.nullable,
        lambda batch: run(batch).cast(plain),
    )


def _kernel_run(text: str, kernel: Kernel, nodes: list[Node], *, samples: bool) -> Datum:
    arguments = [n.sample for n in nodes]
    try:
        return kernel(arguments)
    except pa.ArrowInvalid as error:
        if samples and all(n.is_constant for n in nodes):
            raise ExpressionFailed(text, str(error)) from None
        raise


def _run(text: str, kernel: Kernel, nodes: list[Node]) -> Run:
    """Arguments, then the kernel. One and two arguments are unrolled: small batches pay for every call."""
    runs = [n.run for n in nodes]

    def run_one(batch: pa.RecordBatch) -> Datum:
        argument = first(batch)
        try:
            return kernel([argument])
        except pa.ArrowException as error:
            raise ExpressionFailed(text, str(error)) from None

    def run_constant(batch: pa.RecordBatch) -> Datum:
        argument = first(batch)
        try:
            return kernel([argument, constant])
        except pa.ArrowException as error:
            raise ExpressionFailed(text, str(error)) from None

    def run_any(batch: pa.RecordBatch) -> Datum:
        arguments = [run(batch) for run in runs]
        try:
            return kernel(arguments)
        except pa.ArrowException as error:
            raise ExpressionFailed(text, str(error)) from None

    first = runs[0]
    if len(nodes) == 1:
        return run_one
    if len(nodes) == 2 and nodes[1].is_constant:
        constant = nodes[1].sample
        return run_constant
    return run_any


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    return value


def _type_of(value: Any) -> pa.DataType | None:
    """The type of a constant where Arrow's own guess is not ours."""
    if isinstance(value, datetime):
        return pa.timestamp("us", tz="UTC")
    if isinstance(value, int) and not isinstance(value, bool | Enum) and value >= 2**63:
        return pa.uint64()
    if isinstance(value, msgspec.Struct):
        fields = getattr(type(value), "__flowjob_fields__", None)
        return pa.struct(fields()) if fields else None
    return None
