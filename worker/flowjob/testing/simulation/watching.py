"""Looks over the store's shoulder: what is logged must be true when it is logged, and what is deleted wanted by nobody.

Sees every change at once, as no process can. It must not know how the engine comes to its changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from flowjob.core.snapshot_log import Begin, Claim, Commit, LogState, Record, apply, refusal
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.checkpoint.manifest_io import decode_manifest, digest
from flowjob.runtime.checkpoint.verifying import all_parts
from flowjob.runtime.storage.memory import MemoryObjects
from flowjob.runtime.storage.paths import MANIFEST, JobPaths, join

LINGERS = 3.0
"""Virtual seconds within which what nobody needs is deleted, while nothing goes wrong."""


class _Entry(msgspec.Struct):
    record: Record


@dataclass
class StoreWatch:
    """log      all records amount to this
    commits  (virtual seconds, record)
    faults   what must never happen
    lingers  what must not happen where nothing disturbs: needed by nobody, and still there after a while
    """

    paths: JobPaths
    objects: MemoryObjects
    log: LogState = field(default_factory=LogState)
    commits: list[tuple[float, Commit]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lingers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._entries: set[str] = set()
        self._known: set[int] = set()
        self._needed: dict[int, set[str]] = {}
        self._unwanted: dict[int, float] = {}

    def created(self, name: str, now: float) -> None:
        """An object was made that was not there, unless it was."""
        if self.paths.sequence_of(name) is None or name in self._entries:
            return
        self._entries.add(name)
        record = msgspec.json.decode(self.objects.found[name].data, type=_Entry).record
        if (why := refusal(self.log, record)) is not None:
            self.faults.append(f"{record} was logged: {why}")
        self.log = apply(self.log, record)
        match record:
            case Commit():
                self.commits.append((now, record))
                self._committed(record)
                self._look_for_unwanted(record.snapshot, now)
            case Begin(source=source) if source:
                self._begun(source)
            case Claim():
                pass

    def deleted(self, name: str) -> None:
        """It is about to be."""
        for snapshot, needed in self._needed.items():
            if name in needed and self.log.find(snapshot) is not None:
                self.faults.append(f"{name} is deleted, but snapshot {snapshot} needs it")

    def is_published(self, checkpoint: int) -> bool:
        """Whether sinks may commit what belongs to it: it is in the log, or a run has begun from it."""
        return checkpoint in self._known

    def manifest(self, directory: str) -> Manifest:
        """Of the snapshot in that directory of the store. Raises KeyError."""
        name = f"{directory}/{MANIFEST}"
        return decode_manifest(self.objects.found[name].data, name)

    def needed_by(self, snapshot: int) -> set[str]:
        """Objects of a committed one, its manifest among them."""
        return self._needed[snapshot]

    def needed(self) -> set[str]:
        """Objects that may not be missing: of snapshots that count, and savepoints with a manifest."""
        found: set[str] = set()
        for commit in self.log.committed:
            found |= self._needed[commit.snapshot]
        for name in list(self.objects.found):
            if self.paths.savepoint_of(name) is not None and name.endswith(f"/{MANIFEST}"):
                directory = name.removesuffix(f"/{MANIFEST}")
                found |= {name, *_objects(directory, self.manifest(directory))}
        return found

    def directories(self) -> list[str]:
        """Of the snapshots whose objects are needed."""
        end = f"/{MANIFEST}"
        return sorted(name.removesuffix(end) for name in self.needed() if name.endswith(end))

    def _committed(self, record: Commit) -> None:
        self._known.add(record.snapshot)
        name = self.paths.full(record.manifest)
        found = self.objects.found.get(name)
        needed = self._needed[record.snapshot] = {name}
        if found is None:
            self.faults.append(f"{record} was logged before its manifest was stored")
            return
        if digest(found.data) != record.digest:
            self.faults.append(f"{record} was logged with the digest of another manifest")
        directory = name.removesuffix(f"/{MANIFEST}")
        needed.update(_objects(directory, self.manifest(directory)))
        missing = sorted(n for n in needed if n not in self.objects.found)
        if missing:
            self.faults.append(f"{record} was logged while these were not stored: {missing[:3]}")

    def _look_for_unwanted(self, newest: int, now: float) -> None:
        """Jobs run for ever: what retired and failed snapshots leave must not become more and more."""
        there = {self.paths.checkpoint_of(name) for name in self.objects.found}
        unwanted = {n for n in there if n is not None and n < newest and self.log.find(n) is None}
        self._unwanted = {n: self._unwanted.get(n, now) for n in unwanted}
        for snapshot, since in self._unwanted.items():
            if since < now - LINGERS:
                self.lingers.append(f"nobody has needed snapshot {snapshot} since {since:.3f} s")

    def _begun(self, source: str) -> None:
        """`source` is a URL and the name of a manifest."""
        for name in self.objects.found:
            if name.endswith(f"/{MANIFEST}") and source.endswith(f"/{name}"):
                self._known.add(self.manifest(name.removesuffix(f"/{MANIFEST}")).id)


def _objects(directory: str, manifest: Manifest) -> Iterator[str]:
    return (join(directory, part.object) for part in all_parts(manifest) if part.object)
