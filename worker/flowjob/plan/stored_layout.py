"""What a snapshot says of each operator's state, as plain data.

Why apart from state_layout.py, which makes it: manifests hold it, so messages do, and TaskManagers read those without
Arrow. It must import nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa


class SectionLayout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The columns of a section, as the IPC message of an Arrow schema, and the stored_state.Kind of what it holds."""

    schema: bytes
    kind: str = ""

    @property
    def arrow(self) -> pa.Schema:
        return _schema(self.schema)


class StateLayout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operator that has state.

    kind      of operator, as in OperatorState
    facts     what must be the same for the state to mean the same, in words: `window`, `aggregates`, …
    sections  what may change as far as schema evolution goes: declared states, rows of windows
    key       the key columns, as the IPC message of an Arrow schema; empty for what is not keyed
    """

    uid: str
    name: str
    kind: str
    facts: dict[str, str] = {}
    sections: dict[str, SectionLayout] = {}
    key: bytes = b""

    @property
    def key_fields(self) -> list[pa.Field]:
        return list(_schema(self.key)) if self.key else []


def _schema(message: bytes) -> pa.Schema:
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(message))
