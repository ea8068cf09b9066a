"""State from a snapshot for one subtask, whatever parallelism wrote it: who gets which rows, and only those are read.

Why here: operators know neither objects nor other subtasks. It must not know operators, or decide which snapshot is to
be restored; matching a snapshot with a program is plan/restore.py."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flowjob.errors import SnapshotError
from flowjob.runtime.checkpoint.manifest import FORMAT, Manifest, OperatorState, PartEntry
from flowjob.runtime.checkpoint.part_reading import Wanted
from flowjob.runtime.checkpoint.ranges import Fetcher
from flowjob.runtime.checkpoint.sections import Distribution, Part, RestoredState
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import join

REQUESTS = 8
"""Requests at a time."""


@dataclass(frozen=True, slots=True)
class Place:
    """A subtask of the operator that is restored."""

    uid: str
    subtask: int
    parallelism: int
    max_parallelism: int

    @property
    def key_groups(self) -> range:
        """As OperatorContext.key_groups."""
        p, m, s = self.parallelism, self.max_parallelism, self.subtask
        return range(-(-s * m // p), -(-(s + 1) * m // p))


@dataclass(frozen=True, slots=True)
class _Share:
    """What a subtask gets of one part."""

    section: str
    wanted: Wanted
    groups: range


class SnapshotReader:
    """Reads one snapshot. `directory` is its own in the store: where its manifest is, and its names begin.

    One reader may restore many operators at a time; all share its limit of requests."""

    def __init__(
        self, store: ObjectStore, directory: str, manifest: Manifest, *, requests: int = REQUESTS
    ) -> None:
        self.manifest = manifest
        self._directory = directory
        self._manifest = manifest
        self._fetcher = Fetcher(store, asyncio.Semaphore(requests))
        self._states = operator_states(manifest)

    async def restore(self, place: Place) -> RestoredState:
        """The state of one operator in one subtask; empty when the snapshot has none of it."""
        return (await self.restore_all([place]))[0]

    async def restore_all(self, places: Sequence[Place]) -> list[RestoredState]:
        """The same for several, with neighbours in one object read together.

        Raises DamagedSnapshot naming the object, SnapshotError when the snapshot can't be used here at all."""
        shares = [list(self._shares(place)) for place in places]
        ranges = [r for found in shares for share in found for r in share.wanted.ranges()]
        data = await self._fetcher.fetch(ranges)
        restored = []
        for found in shares:
            sections: defaultdict[str, list[Part]] = defaultdict(list)
            for share in found:
                entry = share.wanted.entry
                table = share.wanted.read(data, self._manifest.max_parallelism)
                sections[share.section].append(Part(table, entry.meta, share.groups))
            restored.append(RestoredState(dict(sections)))
        return restored

    async def whole(self, entries: Sequence[PartEntry]) -> list[pa.Table]:
        """All rows of these parts of the snapshot. Raises DamagedSnapshot, as above."""
        wanted = [Wanted(entry, self._name(entry), 0, entry.rows) for entry in entries]
        data = await self._fetcher.fetch(r for part in wanted for r in part.ranges())
        return [part.read(data, self._manifest.max_parallelism) for part in wanted]

    def _shares(self, place: Place) -> Iterator[_Share]:
        check_usable(self._manifest, place.max_parallelism)
        by_section: defaultdict[str, list[PartEntry]] = defaultdict(list)
        for _, state in self._states.get(place.uid, ()):
            for entry in state.parts:
                by_section[entry.section].append(entry)
        for section, entries in by_section.items():
            for entry, rows, groups in _deal(entries, place):
                name = self._name(entry)
                keyed = groups if groups else None
                yield _Share(section, Wanted(entry, name, rows.start, rows.stop, keyed), groups)

    def _name(self, entry: PartEntry) -> str:
        return "" if entry.inline is not None else object_name(self._directory, entry)


def object_name(directory: str, entry: PartEntry) -> str:
    """The name in the store of a part's object."""
    try:
        return join(directory, entry.object)
    except ValueError as error:
        raise SnapshotError(f"the manifest names an object that cannot be: {error}") from error


def operator_states(manifest: Manifest) -> dict[str, list[tuple[int, OperatorState]]]:
    """By uid the state of each former subtask, in their order."""
    found: defaultdict[str, list[tuple[int, OperatorState]]] = defaultdict(list)
    for task in manifest.tasks:
        for state in task.operators:
            found[state.uid].append((task.task.subtask, state))
    return {uid: sorted(states, key=lambda s: s[0]) for uid, states in found.items()}


def check_usable(manifest: Manifest, max_parallelism: int) -> None:
    """SnapshotError unless state can be read from it for a job with this max_parallelism."""
    if manifest.format > FORMAT:
        raise SnapshotError(
            f"the snapshot has format {manifest.format}, and this flowjob reads formats up to {FORMAT}: it was written "
            "by a newer version. Run that version, or a later one"
        )
    if manifest.max_parallelism != max_parallelism:
        raise SnapshotError(
            f"the snapshot was written with max_parallelism {manifest.max_parallelism}, which can't change, and the "
            f"job has {max_parallelism}: say `fj.Job(…, max_parallelism={manifest.max_parallelism})`"
        )


Dealt = Iterator[tuple[PartEntry, range, range]]


def _deal(entries: Sequence[PartEntry], place: Place) -> Dealt:
    """(part, row numbers, key groups) that `place` gets of a section, by former subtask."""
    try:
        distribution = Distribution(entries[0].distribution)
    except ValueError:
        raise SnapshotError(
            f"section `{entries[0].section}` is distributed as `{entries[0].distribution}`, which this flowjob "
            "does not know"
        ) from None
    match distribution:
        case Distribution.KEYED:
            owned = place.key_groups
            for entry in entries:
                first = max(owned.start, entry.first_group)
                stop = min(owned.stop, entry.last_group + 1)
                if first < stop:
                    yield entry, range(0), range(first, stop)
        case Distribution.SPLIT:
            yield from _deal_out(entries, place)
        case Distribution.UNION:
            for entry in entries:
                yield entry, range(entry.rows), range(0)
        case Distribution.BROADCAST:
            yield entries[0], range(entries[0].rows), range(0)


def _deal_out(entries: Sequence[PartEntry], place: Place) -> Dealt:
    """Rows are numbered through all parts; each subtask gets as many, in a row. A part without rows goes to one
    subtask, so that its meta gets somewhere."""
    total = sum(entry.rows for entry in entries)
    start = place.subtask * total // place.parallelism
    stop = (place.subtask + 1) * total // place.parallelism
    first = 0
    for number, entry in enumerate(entries):
        rows = range(max(start, first) - first, max(start, min(stop, first + entry.rows)) - first)
        empty_is_ours = number * place.parallelism // len(entries) == place.subtask
        if rows or (entry.rows == 0 and empty_is_ours):
            yield entry, rows if rows else range(0), range(0)
        first += entry.rows
