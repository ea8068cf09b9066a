"""How many bytes of files are still to be read, from the data of splits and positions alone.

Of text as far as it is read; compressed files, and runs of row groups, count whole until they are read to their end. It
must not open files."""

from __future__ import annotations

from typing import Any

from flowjob.connectors.base import Left, Position
from flowjob.connectors.files.opening import compression_of


def left_of(data: dict[str, Any], position: Position | None) -> Left:
    """`data` of a split. Nothing is known of splits that were found before their size was kept."""
    start, end, size = data.get("start", 0), data.get("end"), data.get("size")
    if size is None:
        return Left()
    place = (position or {}).get("at") or {}
    if "offset" not in place or compression_of(data["path"]):
        return Left(bytes=size)
    return Left(bytes=max(0, (start + size if end is None else end) - place["offset"]))
