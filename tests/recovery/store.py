"""Looks at what a job has left in its store, behind the engine's back.

Reads names and JSON only; it must not use the code that it judges, but for the format of the log."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def objects_in(directory: Path) -> dict[str, bytes]:
    """All files below it by their relative names."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def leaks(
    objects: Mapping[str, bytes], job: str, retained: int, *, torn: bool = False
) -> Iterator[str]:
    """What nobody needs, of a job that has ended well: all but the log and the newest `retained` checkpoints. `torn`:
    writers were killed; what they had begun stays for a day, because nobody else knows that they do not write any more.
    """
    committed = _committed(objects, f"{job}/log/")
    if not 1 <= len(committed) <= retained:
        yield f"{len(committed)} checkpoints are retained instead of {retained}: {committed}"
    needed = set()
    for manifest in committed:
        name = f"{job}/{manifest}"
        needed.add(name)
        if name not in objects:
            yield f"{name} is committed and gone"
            continue
        directory = name.rpartition("/")[0]
        needed |= {
            posixpath.normpath(f"{directory}/{n}") for n in _names(json.loads(objects[name]))
        }
    for name in sorted(needed - set(objects)):
        yield f"{name} is needed by a checkpoint and gone"
    for name in sorted(set(objects) - needed):
        if torn and posixpath.basename(name).startswith(".unfinished-"):
            continue
        if not name.startswith(f"{job}/log/0"):
            yield f"leaked object: {name}"


def last_run(objects: Mapping[str, bytes], job: str) -> str:
    """The id of the run that is the last one to have begun."""
    run = ""
    for name in sorted(n for n in objects if n.startswith(f"{job}/log/")):
        entry = json.loads(objects[name])
        run = (entry["summary"] or {}).get("run", run)
        if entry["record"]["record"] == "begin":
            run = entry["record"]["run"]
    return run


def _committed(objects: Mapping[str, bytes], log: str) -> list[str]:
    """Names of manifests, relative to the job."""
    found: dict[int, str] = {}
    for name in sorted(n for n in objects if n.startswith(log)):
        entry = json.loads(objects[name])
        if entry["summary"]:
            found = {c["snapshot"]: c["manifest"] for c in entry["summary"].get("committed", ())}
        record = entry["record"]
        if record["record"] == "commit":
            found[record["snapshot"]] = record["manifest"]
        elif record["record"] == "retire":
            found.pop(record["snapshot"], None)
    return list(found.values())


def _names(manifest: Any) -> Iterator[str]:
    """Every object that a manifest names, wherever it does."""
    if isinstance(manifest, dict):
        for key, value in manifest.items():
            if key == "object" and value:
                yield value
            else:
                yield from _names(value)
    elif isinstance(manifest, list):
        for value in manifest:
            yield from _names(value)
