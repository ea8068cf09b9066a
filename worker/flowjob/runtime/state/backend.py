"""What a state backend is: tables of keyed state, one per operator and subtask, addressed by dense slot numbers.

A batch's keys are turned into slots once, in one vectorised step; a callback then finds its state by plain indexing.
A backend must not know operators. Every one passes flowjob.testing.check_state_backend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from flowjob.plan.types import KeyField
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.state.timers import Timers
from flowjob.state import State


class Scope:
    """Where a callback stands: the slot of its key, the wall time, whether it may write broadcast state.

    One per operator, shared with its bound states, which look here at every access. Outside a callback, and where there
    is no key, `slot` is None."""

    __slots__ = ("now", "slot", "writable")

    def __init__(self) -> None:
        self.slot: int | None = None
        self.now = 0
        self.writable = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table is made from. `owner` is how messages call the function that declares `states`."""

    owner: str
    types: tuple[pa.DataType, ...]
    states: Mapping[str, State]
    max_parallelism: int
    key_names: tuple[str, ...] = ()
    """What snapshots call the key's components; numbers when there are none."""


class KeyedTable(Protocol):
    """The state and timers of one operator in one subtask."""

    scope: Scope
    timers: Timers
    """Event time."""

    processing_timers: Timers
    """Wall time."""

    @property
    def bound(self) -> Mapping[str, Any]:
        """For each declared state the object a callback works with: always that of `scope.slot`."""
        ...

    def locate(self, columns: pa.RecordBatch, keys: Sequence[KeyField]) -> list[int]:
        """The slot of each row's key; unknown keys get one. Slots stay valid while a key has state or timers, and until
        the next `settle` at least."""
        ...

    def key(self, slot: int) -> Any:
        """The key's value; a tuple of them when there is not exactly one key column."""
        ...

    def settle(self, work: int) -> None:
        """Between callbacks: frees the slots of keys that have neither state nor timers, and removes expired entries at
        up to about `work` slots."""
        ...

    def __len__(self) -> int:
        """Keys that have a slot."""
        ...

    def entries(self, state: str) -> Iterator[tuple[Any, Any]]:
        """(key, content) of every key that has any: the value, list, dict, reduced value or accumulator."""
        ...

    def key_group(self, slot: int) -> int: ...

    def snapshot(self) -> Iterable[Section]:
        """States and timers, one KEYED section each, as plan/stored_state.py lays them out. Changes nothing.
        StateError, naming key and value, for a value that is not of the declared type."""
        ...

    def restore(self, state: RestoredState) -> None:
        """Takes over such sections, of one or several tables, into an empty one. `scope.now` is the wall time.
        StateMismatch, naming the section, for what cannot be read as what is declared now."""
        ...

    @property
    def nbytes(self) -> int:
        """About how much memory is held, found in little time."""
        ...


class StateBackend(Protocol):
    """Makes tables."""

    def table(self, spec: TableSpec) -> KeyedTable: ...
