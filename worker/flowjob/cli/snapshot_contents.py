"""What a snapshot holds, by operator: from its manifest to data that is printed or sent. Pure.

Reading manifests is savepoints.py's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from flowjob.runtime.checkpoint.restoring import operator_states

if TYPE_CHECKING:
    from flowjob.runtime.checkpoint.manifest import Manifest


class OperatorContents(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`sections`: rows by kind of state. `pending`: results that are not visible yet."""

    uid: str
    name: str
    subtasks: int
    rows: int
    bytes: int
    pending: int
    sections: dict[str, int]


class Contents(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of a whole snapshot."""

    kind: str
    id: int
    job: str
    created: str
    max_parallelism: int
    operators: list[OperatorContents]

    @property
    def lines(self) -> Iterator[str]:
        """For people."""
        yield (
            f"{self.kind} {self.id} of job {self.job}, taken {self.created} UTC; "
            f"max_parallelism {self.max_parallelism}"
        )
        for operator in self.operators:
            tail = (
                f", {counted(operator.pending, 'result')} not yet visible"
                if operator.pending
                else ""
            )
            yield (
                f"  {operator.name} ({operator.uid}): {counted(operator.rows, 'row')}, "
                f"{operator.bytes:,} bytes, from {counted(operator.subtasks, 'subtask')}{tail}"
            )
            for section, rows in operator.sections.items():
                if rows:
                    yield f"      {section}: {counted(rows, 'row')}"


def contents_of(manifest: Manifest) -> Contents:
    """Rows that all subtasks have, broadcast ones, count once."""
    operators = []
    for uid, states in operator_states(manifest).items():
        parts = [part for _, state in states for part in state.parts]
        sections: dict[str, int] = {}
        for part in parts:
            name = part.section.removeprefix("state.")
            same = part.distribution == "broadcast" and name in sections
            sections[name] = sections.get(name, 0) + (0 if same else part.rows)
        operators.append(
            OperatorContents(
                uid=uid,
                name=states[0][1].name,
                subtasks=len(states),
                rows=sum(sections.values()),
                bytes=sum(part.length for part in parts),
                pending=sum(len(state.committables) for _, state in states),
                sections=sections,
            )
        )
    return Contents(
        kind=manifest.kind,
        id=manifest.id,
        job=manifest.job,
        created=time_text(manifest.created),
        max_parallelism=manifest.max_parallelism,
        operators=operators,
    )


def time_text(micros: int) -> str:
    """In UTC, to the second."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def counted(number: int, of: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {of}" if number == 1 else f"{number:,} {of}s"
