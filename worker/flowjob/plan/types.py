"""The type of a stream, and how it changes over time. Shared by the public API, the planner and connectors.

It must not import any of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pyarrow as pa

HIDDEN_PREFIX = "__"
"""Columns whose names begin so are ours: evaluated keys and aggregate inputs. Users never see them."""


@dataclass(frozen=True, slots=True)
class StreamType:
    """What the rows of a stream are.

    schema     the Arrow schema; None: an object stream, whose rows are arbitrary Python values
    row_class  the Schema class that row functions get; None: one is generated from `schema` on demand
    """

    schema: pa.Schema | None
    row_class: type[Any] | None = None

    @property
    def is_objects(self) -> bool:
        return self.schema is None

    @property
    def columns(self) -> tuple[str, ...]:
        """The visible column names; empty for an object stream."""
        if self.schema is None:
            return ()
        return tuple(n for n in self.schema.names if not n.startswith(HIDDEN_PREFIX))


OBJECTS = StreamType(None)
"""A stream of arbitrary Python objects."""

OBJECT_COLUMN = "__object"
OBJECT_WIRE_SCHEMA = pa.schema([pa.field(OBJECT_COLUMN, pa.binary())])
"""How objects cross a process boundary: one pickled binary column."""


class Mode(Enum):
    """Whether rows are only ever added."""

    APPEND = "append"
    RETRACT = "retract"
    UPSERT = "upsert"


@dataclass(frozen=True, slots=True)
class KeyField:
    """One component of a key: `column` is where its evaluated value travels (a visible column, or a hidden one),
    `name` is what results call it."""

    column: str
    name: str
    type: pa.DataType
