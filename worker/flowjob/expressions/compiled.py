"""What a bound expression is made of: compiled nodes, and the small vocabulary that functions are written in.

Knows types and kernels, not one operation: those stand in the catalogues (numeric.py and its neighbours)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Datum = Any
"""A pyarrow Array, or a Scalar that stands for as many rows as needed."""

Kernel = Callable[[list[Datum]], Datum]
"""Arguments in, result out; a Scalar when all arguments are. Raises a pyarrow exception for a value it cannot take."""

Run = Callable[[pa.RecordBatch], Datum]


@dataclass(frozen=True, slots=True)
class Node:
    """A compiled expression. `sample` is its value over no rows, or the constant that it is."""

    text: str
    sample: Datum
    nullable: bool
    run: Run

    @property
    def type(self) -> pa.DataType:
        return self.sample.type

    @property
    def is_constant(self) -> bool:
        return isinstance(self.sample, pa.Scalar)


class Unsuitable(Exception):
    """A function cannot take these types; the text says what to do instead."""


Build = Callable[[list[Node], tuple[Any, ...]], Kernel]
"""Chooses the kernel for argument types and parameters. Raises Unsuitable."""

Nullable = Callable[[Sequence[Node]], bool]


def any_null(nodes: Sequence[Node]) -> bool:
    """Null when an argument is."""
    return any(n.nullable for n in nodes)


def all_null(nodes: Sequence[Node]) -> bool:
    """Null only when all arguments are."""
    return all(n.nullable for n in nodes)


def never(_: Sequence[Node]) -> bool:
    """Never null."""
    return False


def always(_: Sequence[Node]) -> bool:
    """May be null whatever the arguments are."""
    return True


@dataclass(frozen=True, slots=True)
class Function:
    """One operation of the catalogue."""

    build: Build
    nullable: Nullable = any_null


def call(name: str, options: Any = None) -> Kernel:
    """An Arrow compute function with fixed options: half the overhead of its `pyarrow.compute` wrapper."""
    function = pc.get_function(name)
    return lambda arguments: function.call(arguments, options, None)


def arrow(name: str, options: Callable[..., Any] | None = None) -> Build:
    """A function that is Arrow's own; `options` makes its options from the parameters."""
    return lambda _, parameters: call(name, options(*parameters) if options else None)


def then(kernel: Kernel, type: pa.DataType) -> Kernel:
    """A kernel whose result is cast."""
    cast = call("cast", pc.CastOptions.safe(type))
    return lambda arguments: cast([kernel(arguments)])


def is_text(type: pa.DataType) -> bool:
    return bool(pa.types.is_string(type) or pa.types.is_large_string(type))


def is_number(type: pa.DataType) -> bool:
    is_ = pa.types
    return bool(is_.is_integer(type) or is_.is_floating(type) or is_.is_decimal(type))
