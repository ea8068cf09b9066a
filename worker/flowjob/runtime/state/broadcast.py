"""Bound broadcast state: one dict per subtask, equal in all of them as long as only on_broadcast writes it.

That rule is kept here, at every write, because a breach would show only after a change of parallelism."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from flowjob.errors import StateError, StateMismatch
from flowjob.plan.stored_state import StoredState
from flowjob.runtime.checkpoint.sections import RestoredState, Section
from flowjob.runtime.state.backend import Scope
from flowjob.runtime.state.cells import size_of
from flowjob.runtime.state.section_reading import broadcast_rows
from flowjob.runtime.state.table_sections import broadcast_section


class BroadcastMap:
    """A map state without a key. Readable in every callback, writable while `scope.writable`."""

    __slots__ = ("_content", "_label", "_scope", "_stored")

    def __init__(self, label: str, scope: Scope, stored: StoredState) -> None:
        self._label = label
        self._stored = stored
        self._scope = scope
        self._content: dict[Any, Any] = {}

    def __setitem__(self, key: Any, value: Any) -> None:
        self._writable()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._writable()[key]

    def pop(self, key: Any, *default: Any) -> Any:
        return self._writable().pop(key, *default)

    def clear(self) -> None:
        self._writable().clear()

    def __getitem__(self, key: Any) -> Any:
        return self._content[key]

    def __contains__(self, key: object) -> bool:
        return key in self._content

    def __iter__(self) -> Iterator[Any]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def get(self, key: Any, default: Any = None) -> Any:
        return self._content.get(key, default)

    def keys(self) -> Any:
        return self._content.keys()

    def values(self) -> Any:
        return self._content.values()

    def items(self) -> Any:
        return self._content.items()

    def __repr__(self) -> str:
        return f"<{self._label}: {self._content!r}>"

    def snapshot(self) -> Section:
        return broadcast_section(self._stored, self._label, self._content)

    def restore(self, state: RestoredState) -> None:
        section = self._stored.section
        for part in state.parts(section):
            try:
                self._content.update(broadcast_rows(self._stored, part))
            except StateMismatch as error:
                raise StateMismatch(f"{self._label} cannot be restored: {error}") from error

    @property
    def nbytes(self) -> int:
        """About the memory held."""
        return size_of(self._content)

    def _writable(self) -> dict[Any, Any]:
        if not self._scope.writable:
            self._refuse()
        return self._content

    def _refuse(self) -> NoReturn:
        raise StateError(
            f"{self._label} is broadcast state and can only be written in on_broadcast: the rows of the other stream "
            "differ from subtask to subtask, and so would what they write. For state per key use another kind of state"
        )
