"""Snapshots as data: a section as one table, and a snapshot written anew with some sections replaced.

Behind flowjob/snapshots.py, which is what people use. Sections that nobody replaced are copied as bytes. It must not
know what the sections of an operator mean."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO

import msgspec
import numpy as np
import pyarrow as pa

from flowjob.errors import SnapshotError
from flowjob.kernels.keys import encode_keys
from flowjob.kernels.partitioning import key_groups
from flowjob.plan.stored_state import KEY_PREFIX
from flowjob.runtime.checkpoint.checksums import crc32
from flowjob.runtime.checkpoint.manifest import (
    Manifest,
    OperatorState,
    PartEntry,
    TaskSnapshot,
)
from flowjob.runtime.checkpoint.manifest_io import write_manifest
from flowjob.runtime.checkpoint.part_reading import Wanted, check_crc, describe
from flowjob.runtime.checkpoint.ranges import Fetcher, Range
from flowjob.runtime.checkpoint.restoring import REQUESTS, object_name, operator_states
from flowjob.runtime.checkpoint.sections import Distribution, Section, UInt64s
from flowjob.runtime.checkpoint.state_files import write_parts
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import MANIFEST, section_object

SectionKey = tuple[str, str]
"""An operator's uid, and the name of a section of it."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """All rows of a section. `distribution` and `meta` are for sections that the snapshot does not have yet."""

    table: pa.Table
    distribution: Distribution
    meta: Mapping[str, object]


def parts_of(manifest: Manifest, key: SectionKey) -> list[PartEntry]:
    """The parts of a section, by former subtask."""
    uid, section = key
    states = operator_states(manifest).get(uid, ())
    return [entry for _, state in states for entry in state.parts if entry.section == section]


async def read_section(
    store: ObjectStore, directory: str, manifest: Manifest, key: SectionKey
) -> pa.Table:
    """All rows of a section, without hashes; those of one subtask where all wrote the same."""
    fetcher = Fetcher(store, asyncio.Semaphore(REQUESTS))
    tables = []
    for wanted in _all_of(manifest, key, directory):
        found = await fetcher.fetch(wanted.ranges())
        tables.append(wanted.read(found, manifest.max_parallelism))
    return pa.concat_tables(tables)


def read_inline(manifest: Manifest, key: SectionKey) -> pa.Table:
    """The same for a snapshot that is in no store yet: all there is is in the manifest itself."""
    wanted = _all_of(manifest, key, "")
    return pa.concat_tables([w.read({}, manifest.max_parallelism) for w in wanted])


def _all_of(manifest: Manifest, key: SectionKey, directory: str) -> Iterator[Wanted]:
    entries = parts_of(manifest, key)
    if entries[0].distribution == Distribution.BROADCAST.value:
        entries = entries[:1]
    for entry in entries:
        name = "" if entry.inline is not None else object_name(directory, entry)
        keyed = entry.distribution == Distribution.KEYED.value
        groups = range(manifest.max_parallelism) if keyed else None
        yield Wanted(entry, name, 0, entry.rows, groups)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes of sections are that are copied."""

    store: ObjectStore
    directory: str


async def write_edited(
    target: ObjectStore,
    manifest: Manifest,
    origin: Origin | None,
    replaced: Mapping[SectionKey, Replacement],
) -> None:
    """Writes a savepoint into `target`, which is its directory: first all objects, then the manifest.

    SnapshotError when there is a snapshot already, and before anything is written."""
    if await target.head(MANIFEST) is not None:
        raise SnapshotError(
            f"there is a snapshot in {target.url} already. Choose another place, or delete it"
        )
    tasks = []
    for task in _with_new_sections(manifest, replaced):
        states = [
            await _write_state(target, manifest, origin, (task, state), replaced)
            for state in task.operators
        ]
        in_flight = [
            await _copied(target, origin, entry, f"in-flight/{_name(task)}/{number}.arrow")
            for number, entry in enumerate(task.in_flight)
        ]
        tasks.append(msgspec.structs.replace(task, operators=states, in_flight=in_flight))
    await write_manifest(target, "", msgspec.structs.replace(manifest, tasks=tasks))


def _name(task: TaskSnapshot) -> str:
    return f"{task.task.vertex}-{task.task.subtask}"


def _with_new_sections(
    manifest: Manifest, replaced: Mapping[SectionKey, Replacement]
) -> Iterator[TaskSnapshot]:
    """The tasks with an empty place for each section that is not in the snapshot yet: at its operator's first task."""
    missing = {key for key in replaced if not parts_of(manifest, key)}
    for task in manifest.tasks:
        states = []
        for state in task.operators:
            places = [
                PartEntry(
                    section=section,
                    distribution=replaced[uid, section].distribution.value,
                    rows=0,
                    length=0,
                    crc32=0,
                    last_group=manifest.max_parallelism - 1,
                    first_group=0,
                    meta=dict(replaced[uid, section].meta),
                )
                for uid, section in sorted(missing)
                if uid == state.uid
            ]
            missing -= {(state.uid, place.section) for place in places}
            states.append(msgspec.structs.replace(state, parts=[*state.parts, *places]))
        yield msgspec.structs.replace(task, operators=states)
    if missing:
        raise SnapshotError(f"no task of the snapshot has the operators of {sorted(missing)}")


async def _write_state(
    target: ObjectStore,
    manifest: Manifest,
    origin: Origin | None,
    at: tuple[TaskSnapshot, OperatorState],
    replaced: Mapping[SectionKey, Replacement],
) -> OperatorState:
    task, state = at
    parts = []
    for entry in state.parts:
        key = state.uid, entry.section
        name = section_object(state.uid, entry.section, task.task.subtask)
        if key in replaced:
            first = parts_first(manifest, key, entry)
            section = section_for(entry, replaced[key], manifest.max_parallelism, is_first=first)
            parts.append(await _written(target, manifest, entry, section, name))
        else:
            parts.append(await _copied(target, origin, entry, name))
    return msgspec.structs.replace(state, parts=parts)


def parts_first(manifest: Manifest, key: SectionKey, entry: PartEntry) -> bool:
    """Whether this is the part of the first subtask, which gets all rows that belong to no key group."""
    found = parts_of(manifest, key)
    return not found or found[0] is entry


def section_for(
    entry: PartEntry, replacement: Replacement, max_parallelism: int, *, is_first: bool
) -> Section:
    """What of the new rows takes the place of `entry`; its meta stays."""
    table = replacement.table
    distribution = Distribution(entry.distribution)
    if distribution is not Distribution.KEYED:
        same = distribution is Distribution.BROADCAST
        kept = table if is_first or same else table.slice(0, 0)
        return Section(entry.section, distribution, kept, None, entry.meta)
    hashes = key_hashes(table)
    groups = key_groups(hashes, max_parallelism)
    own = (groups >= entry.first_group) & (groups <= entry.last_group)
    if own.all():
        return Section(entry.section, distribution, table, hashes, entry.meta)
    return Section(
        entry.section, distribution, table.filter(pa.array(own)), hashes[own], entry.meta
    )


def key_hashes(table: pa.Table) -> UInt64s:
    """hash64 of each row's key, the columns whose names begin with `key.`."""
    names = [name for name in table.column_names if name.startswith(KEY_PREFIX)]
    hashes = [np.empty(0, np.uint64)]
    for batch in table.to_batches():
        hashes.append(encode_keys([batch.column(n) for n in names], batch.num_rows).hashes)
    return np.concatenate(hashes)


async def _written(
    target: ObjectStore, manifest: Manifest, entry: PartEntry, section: Section, name: str
) -> PartEntry:
    keyed = section.distribution is Distribution.KEYED
    groups = range(entry.first_group, entry.last_group + 1) if keyed else range(0)
    file = BytesIO()
    (written,) = write_parts([section], manifest.max_parallelism, groups, file)
    await target.put(name, file.getvalue())
    return msgspec.structs.replace(written, object=name)


async def _copied(
    target: ObjectStore, origin: Origin | None, entry: PartEntry, name: str
) -> PartEntry:
    if entry.inline is not None:
        return entry
    assert origin is not None, "a new snapshot has only parts that are given"
    wanted = Range(object_name(origin.directory, entry), entry.offset, entry.length)
    fetcher = Fetcher(origin.store, asyncio.Semaphore(1))
    data = (await fetcher.fetch([wanted]))[wanted]
    check_crc(crc32(data), entry.crc32, describe(entry, wanted.name))
    await target.put(name, bytes(data))
    return msgspec.structs.replace(entry, object=name, offset=0)
