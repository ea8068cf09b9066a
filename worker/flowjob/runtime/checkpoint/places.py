"""Where a snapshot is, from what a person typed: a path or URL of its directory, or of its manifest.

Pure. Opening the store is storage/opening.py."""

from __future__ import annotations

import os.path

from flowjob.errors import SnapshotError
from flowjob.runtime.storage.paths import MANIFEST, is_try

_LEVELS, _LEVELS_OF_TRY = 2, 3
"""A checkpoint's manifest may name objects of the job's, outside of its directory, so the store begins above that; and
higher above one that lies in the directory of a generation's try."""


def snapshot_place(path: str) -> tuple[str, str]:
    """(URL of a store, the snapshot's directory in it), for reading. SnapshotError for what names no directory."""
    whole = whole_place(path)
    scheme, mark, rest = whole.rpartition("://")
    parts = rest.split("/")
    count = 0
    levels = _LEVELS_OF_TRY if is_try(parts[-1]) else _LEVELS
    while count < min(levels, len(parts) - 1) and _is_name(parts[-count - 1]):
        count += 1
    if count == 0:
        return whole, ""
    above = "/".join(parts[:-count]) or "/"
    return scheme + mark + above, "/".join(parts[-count:])


def whole_place(path: str) -> str:
    """URL of a store that is the snapshot's directory itself, for writing."""
    text = path.rstrip("/")
    if text.rpartition("/")[2] == MANIFEST:
        text = text.rpartition("/")[0]
    if not text or text.endswith(":"):  # of `s3://`
        raise SnapshotError(f"`{path}` is not the place of a snapshot: name its directory")
    if "://" in text:
        return text
    return os.path.abspath(text)


def _is_name(part: str) -> bool:
    return bool(part) and not part.startswith(".") and "\\" not in part
