"""What a source's subtask has in a snapshot: its splits, each with how far it is read, and those it has finished.

Why here: slots write it, the JobManager reads it from the manifest and deals the splits anew. Rows of unfinished splits
go to nobody else: a subtask takes over only what is finished, so that later snapshots still know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from flowjob.errors import PlanError
from flowjob.runtime.checkpoint.sections import Distribution, Section
from flowjob.runtime.messages import SplitProgress, WireSplit

SPLITS = "splits"
"""Name of the section; it belongs to the uid of the source."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("finished", pa.bool_(), nullable=False),
        # MessagePack, as the connector gave it; null of finished splits
        pa.field("data", pa.binary()),
        # MessagePack; null: nothing was read yet
        pa.field("position", pa.binary()),
        # SplitProgress; null: nothing was read yet
        pa.field("largest", pa.int64()),
        pa.field("to_mark", pa.int64()),
        pa.field("reached", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class RestoredSplits:
    """unfinished  to be dealt to subtasks, before any new one; finished  never to be dealt again"""

    unfinished: list[WireSplit]
    finished: list[str]


def splits_section(unfinished: Iterable[WireSplit], finished: Iterable[str]) -> Section:
    """The section as of now."""
    rows = [*map(_row, unfinished), *({"id": id, "finished": True} for id in finished)]
    return Section(SPLITS, Distribution.SPLIT, pa.Table.from_pylist(rows, schema=SCHEMA))


def read_splits(tables: Iterable[pa.Table]) -> RestoredSplits:
    """What all subtasks together, or one, wrote into the section."""
    restored = RestoredSplits([], [])
    for row in _rows(tables):
        if row["finished"]:
            restored.finished.append(row["id"])
        else:
            restored.unfinished.append(_split(row))
    return restored


def _rows(tables: Iterable[pa.Table]) -> Iterator[dict[str, Any]]:
    for table in tables:
        yield from table.select(SCHEMA.names).to_pylist()


def _row(split: WireSplit) -> dict[str, Any]:
    progress = split.progress
    return {
        "id": split.id,
        "finished": False,
        "data": _packed(split.id, "data", split.data),
        "position": None
        if split.position is None
        else _packed(split.id, "position", split.position),
        "largest": None if progress is None else progress.largest,
        "to_mark": None if progress is None else progress.to_mark,
        "reached": None if progress is None else progress.reached,
    }


def _packed(split: str, what: str, value: dict[str, Any]) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise PlanError(
            f"split `{split}`: its {what}, {value!r}, cannot be stored: {error}. The connector has to make it of "
            "numbers, text, bytes, lists and dicts"
        ) from error


def _split(row: dict[str, Any]) -> WireSplit:
    largest, position = row["largest"], row["position"]
    progress = (
        None if largest is None else SplitProgress(largest, row["to_mark"] or 0, row["reached"])
    )
    return WireSplit(
        id=row["id"],
        data=msgspec.msgpack.decode(row["data"]),
        position=None if position is None else msgspec.msgpack.decode(position),
        progress=progress,
    )
