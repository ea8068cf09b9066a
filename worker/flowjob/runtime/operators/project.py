"""select, with_columns, drop, rename: new columns from expressions, for the same rows.

A column that is only passed on or renamed costs a reference, not a computation."""

from __future__ import annotations

from typing import cast

import pyarrow as pa

from flowjob.expressions import BoundExpression
from flowjob.plan.specs import ProjectSpec
from flowjob.runtime.batch import Batch, Data
from flowjob.runtime.operators.base import Emitted, Operator, OperatorContext


class Project(Operator):
    """Keeps timestamps and kinds."""

    def __init__(self, spec: ProjectSpec) -> None:
        self._spec = spec
        self._outputs: list[BoundExpression] = []
        self._schema: pa.Schema = spec.output.schema

    def open(self, context: OperatorContext) -> None:
        schema = self._spec.input.schema
        self._outputs = [expression.bind(schema) for _, expression in self._spec.outputs]

    def process(self, data: Data, port: int) -> Emitted:
        batch = cast(Batch, data)
        columns = batch.columns
        arrays = [output.evaluate(columns) for output in self._outputs]
        yield batch.with_columns(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
