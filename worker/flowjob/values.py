"""What columns of `fj.datagen` are filled with: `fj.values.ints(1, 6)`, `.choice("a", "b")`, `.timestamps()`, …

Everything but `now` is the same for the same seed, in every run and on every machine."""

from flowjob.connectors.datagen.values import (
    Values,
    booleans,
    choice,
    floats,
    ints,
    now,
    nullable,
    sequence,
    strings,
    timestamps,
)

__all__ = [
    "Values",
    "booleans",
    "choice",
    "floats",
    "ints",
    "now",
    "nullable",
    "sequence",
    "strings",
    "timestamps",
]
