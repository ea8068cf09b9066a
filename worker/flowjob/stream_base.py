"""What every stream is: an output of an operator in a job's graph, with a type.

Under `Stream`, so that its module can be about what users say. It must not know operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

import pyarrow as pa

from flowjob.errors import UnsupportedChangelog
from flowjob.plan import building
from flowjob.plan.logical import Input, LogicalNode
from flowjob.plan.types import Mode, StreamType
from flowjob.plan.where import caller

if TYPE_CHECKING:
    # Only type checkers need the default: `fj.Stream` alone is a stream of rows of any type.
    from typing_extensions import TypeVar

    from flowjob.plan.building import GraphBuilder

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")


class StreamBase(Generic[T]):
    """An output of an operator: `_input` says which one, and how its rows are spread to what comes next."""

    def __init__(self, builder: GraphBuilder, source: Input) -> None:
        self._builder = builder
        self._input = source

    @property
    def type(self) -> StreamType:
        """What the rows are: columns with their types or, on an object stream, any Python values."""
        return building.visible(self._node.type_of(self._input.tag))

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema; PlanError for an object stream."""
        return building.require_columns(self.type, "schema")

    def __repr__(self) -> str:
        columns = ", ".join(f"{f.name}: {f.type}" for f in self.type.schema or ()) or "objects"
        return f"<Stream of `{self._node.name}`: {columns}>"

    @property
    def _node(self) -> LogicalNode:
        return self._builder.graph[self._input.node]

    @property
    def _timed(self) -> bool:
        """Whether its rows carry timestamps."""
        return self._node.timed(self._input.tag)

    def _append_only(self, what: str) -> None:
        if self._node.mode is not Mode.APPEND:
            raise UnsupportedChangelog(
                f"{what} takes only inserts, but `{self._node.name}` gives a {self._node.mode.value} stream. "
                "Leave out `.changelog()` before it",
                where=caller(),
            )
