"""Checkpoints and savepoints as data: read any operator's state as Arrow tables, change it, write it, begin with it.

`fj.read_snapshot(path)`, `fj.write_snapshot(path, snapshot)`, `fj.new_snapshot(job)`: docs/snapshots.md. Importing this
must stay light; the runtime is imported when a snapshot is read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjob.errors import SnapshotError, TypeMismatch
from flowjob.plan.where import caller

if TYPE_CHECKING:
    import pyarrow as pa

    from flowjob.job import Job
    from flowjob.plan.stored_layout import StateLayout
    from flowjob.runtime.checkpoint.editing import Replacement
    from flowjob.runtime.checkpoint.manifest import Manifest, OperatorState, PartEntry
    from flowjob.runtime.env import StoreLocation


@dataclass(frozen=True)
class _Origin:
    """Where the objects of a snapshot are."""

    location: StoreLocation
    directory: str


def read_snapshot(path: str | PathLike[str], *, endpoint: str | None = None) -> Snapshot:
    """The snapshot in a directory: a path, or `s3://bucket/…`; `endpoint` of another S3 than Amazon's.

    Reads the manifest only; state is read when it is asked for. SnapshotError when there is none, or not all of it;
    DamagedSnapshot when it is not as it was written; StorageError when the place cannot be reached."""
    from flowjob.runtime.checkpoint.manifest_io import read_manifest
    from flowjob.runtime.checkpoint.places import snapshot_place
    from flowjob.runtime.env import StoreLocation
    from flowjob.runtime.real.stores import with_stores

    url, directory = snapshot_place(fspath(path))
    location = StoreLocation(url, endpoint)
    manifest = with_stores(lambda open_store: read_manifest(open_store(location), directory))
    return Snapshot(manifest, _Origin(location, directory), {})


def write_snapshot(
    path: str | PathLike[str], snapshot: Snapshot, *, endpoint: str | None = None
) -> None:
    """Writes a savepoint with what `snapshot` holds into a new directory: a path, or `s3://bucket/…`.

    It is complete in itself, and a job can be started from it. SnapshotError when there is a snapshot already."""
    from flowjob.runtime.checkpoint.editing import Origin, write_edited
    from flowjob.runtime.checkpoint.places import whole_place
    from flowjob.runtime.env import StoreLocation
    from flowjob.runtime.real.stores import OpenStore, with_stores

    target = StoreLocation(whole_place(fspath(path)), endpoint)

    async def write(open_store: OpenStore) -> None:
        at = snapshot._origin
        origin = None if at is None else Origin(open_store(at.location), at.directory)
        await write_edited(open_store(target), snapshot._saved(), origin, snapshot._replaced)

    with_stores(write)


def new_snapshot(job: Job) -> Snapshot:
    """A snapshot for `job` without any state: fill it with `with_state`, write it, and start the job from it.

    Sources begin at their beginning. The job's operators are found by their names, so give them some: `.named("…")`."""
    from flowjob.plan.compile import compile_job
    from flowjob.plan.state_layout import state_layouts
    from flowjob.runtime.checkpoint.making import empty_manifest
    from flowjob.runtime.operators.empty_state import empty_sections
    from flowjob.runtime.real.env import real_env

    if not hasattr(job, "graph"):
        raise TypeMismatch(f"new_snapshot takes an fj.Job, got {job!r}", where=caller())
    graph = compile_job(job)
    env = real_env(Path())  # for their clock
    sections = {
        node.uid: empty_sections(node, env, graph.max_parallelism)
        for vertex in graph.vertices
        for node in vertex.nodes
        if node.uid is not None
    }
    return Snapshot(empty_manifest(graph, state_layouts(graph), sections, _now()), None, {})


@dataclass(frozen=True, repr=False)
class Snapshot:
    """A checkpoint or savepoint. It never changes: `replacing` gives another one."""

    _manifest: Manifest
    _origin: _Origin | None
    _replaced: Mapping[tuple[str, str], Replacement] = field(default_factory=dict)

    @property
    def id(self) -> int:
        """The number of the checkpoint; a job that starts from it counts on."""
        return self._manifest.id

    @property
    def kind(self) -> str:
        """`checkpoint` or `savepoint`."""
        return self._manifest.kind

    @property
    def job(self) -> str:
        """The name of the job."""
        return self._manifest.job

    @property
    def created(self) -> datetime:
        """When it was taken, UTC."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._manifest.created)

    @property
    def max_parallelism(self) -> int:
        """The number of key groups; a job that starts from it must have the same."""
        return self._manifest.max_parallelism

    @cached_property
    def operators(self) -> tuple[OperatorSnapshot, ...]:
        """All that have state or may have, in the order of the program."""
        from flowjob.runtime.checkpoint.restoring import operator_states

        stored = operator_states(self._manifest)
        layouts = {layout.uid: layout for layout in self._manifest.operators}
        return tuple(
            OperatorSnapshot(self, uid, tuple(s for _, s in stored.get(uid, ())), layouts.get(uid))
            for uid in dict.fromkeys([*layouts, *stored])
        )

    def operator(self, name: str) -> OperatorSnapshot:
        """The operator that is called so, or has this uid. SnapshotError with those there are."""
        named = [o for o in self.operators if o.uid == name]
        named = named or [o for o in self.operators if o.name == name]
        if len(named) == 1:
            return named[0]
        if named:
            uids = ", ".join(f"`{o.uid}`" for o in named)
            raise SnapshotError(
                f"several operators are called `{name}`; take one by its uid: {uids}"
            )
        raise SnapshotError(
            _unknown("operator", name, [o.name for o in self.operators], "the snapshot")
        )

    def replacing(self, operator: str, state: str, table: pa.Table) -> Snapshot:
        """The same snapshot with all rows of one state replaced. Columns are those of `to_arrow`; keys may be called as
        in the program, and a value that is a row may come as the columns of the row.

        SchemaError when columns are missing, or cannot be what they must be."""
        return self.operator(operator).state(state)._replacing(table)

    with_state = replacing
    """The same, for states that have no rows yet."""

    def _saved(self) -> Manifest:
        import msgspec

        return msgspec.structs.replace(self._manifest, kind="savepoint", created=_now())

    def __repr__(self) -> str:
        lines = [
            f"<Snapshot: {self.kind} {self.id} of job {self.job}, {self.created:%Y-%m-%d %H:%M:%S} UTC"
        ]
        lines += [f"  {operator!r}" for operator in self.operators]
        return "\n".join(lines) + ">"


@dataclass(frozen=True, repr=False)
class OperatorSnapshot:
    """What a snapshot has of one operator."""

    _snapshot: Snapshot
    uid: str
    """The identity of its state: its name, if the program gave it one."""

    _states: tuple[OperatorState, ...]
    _layout: StateLayout | None

    @property
    def name(self) -> str:
        """What plans and messages call it."""
        return self._layout.name if self._layout is not None else self._states[0].name

    @property
    def kind(self) -> str:
        """`keyedprocess`, `windowaggregate`, `source`, …"""
        return self._layout.kind if self._layout is not None else self._states[0].kind

    @property
    def parallelism(self) -> int:
        """Subtasks that wrote it."""
        return len(self._states)

    @property
    def pending(self) -> int:
        """Results that a sink has prepared, and not yet made visible."""
        return sum(len(state.committables) for state in self._states)

    @cached_property
    def states(self) -> tuple[StateSnapshot, ...]:
        """Its tables: a declared state each, timers, windows, splits of a source."""
        stored = [part.section for state in self._states for part in state.parts]
        declared = [] if self._layout is None else [n for n in self._layout.sections if n != "rows"]
        new = [section for uid, section in self._snapshot._replaced if uid == self.uid]
        return tuple(
            StateSnapshot(self, section) for section in dict.fromkeys([*declared, *stored, *new])
        )

    def state(self, name: str) -> StateSnapshot:
        """The state that the function declares under this name, or another table by its own. SnapshotError with those
        there are."""
        known = {state.section: state for state in (*self.states, *self._timers())}
        for section in (f"state.{name}", name):
            if section in known:
                return known[section]
        raise SnapshotError(
            _unknown("state", name, [s.name for s in self.states], f"`{self.name}`")
        )

    def _timers(self) -> Iterable[StateSnapshot]:
        """A function may be given timers, also where it had none."""
        if self._layout is not None and self._layout.sections and self._layout.key:
            yield from (StateSnapshot(self, name) for name in ("timers", "processing-timers"))

    def __repr__(self) -> str:
        states = ", ".join(f"{s.name} ({s.rows:,} rows)" for s in self.states)
        named = self.uid if self.uid == self.name else f"{self.name} ({self.uid})"
        return f"<{named}: {self.kind} x{self.parallelism}: {states or 'no state'}>"


@dataclass(frozen=True, repr=False)
class StateSnapshot:
    """One table of an operator's state."""

    _operator: OperatorSnapshot
    section: str
    """Its name in the snapshot's files."""

    @property
    def name(self) -> str:
        """As the program declares it."""
        return self.section.removeprefix("state.")

    @property
    def rows(self) -> int:
        """How many there are, in all subtasks together."""
        replaced = self._snapshot._replaced.get(self._key)
        if replaced is not None:
            return int(replaced.table.num_rows)
        parts = self._parts()
        if parts and parts[0].distribution == "broadcast":
            return parts[0].rows
        return sum(part.rows for part in parts)

    @property
    def distribution(self) -> str:
        """Who gets which rows on a restore: `keyed`, `split`, `union` or `broadcast`."""
        replaced = self._snapshot._replaced.get(self._key)
        parts = self._parts()
        if parts:
            return parts[0].distribution
        return replaced.distribution.value if replaced is not None else self._declared().value

    @property
    def metas(self) -> tuple[Mapping[str, Any], ...]:
        """What each subtask says beside its rows: its watermark, for example."""
        return tuple(part.meta for part in self._parts())

    def to_arrow(self) -> pa.Table:
        """All rows: the key's columns (`key.…`), then what belongs to it: `value`, `expires`, window bounds, times of
        timers. Columns of pickled Python objects are binary, and have `flowjob.pickled` in their metadata.

        DamagedSnapshot when bytes are missing or not as they were written."""
        replaced = self._snapshot._replaced.get(self._key)
        if replaced is not None:
            return replaced.table
        if not self._parts():
            schema = self._expected()
            assert schema is not None, "only a declared state has no parts"
            return schema.empty_table()
        from flowjob.runtime.checkpoint.editing import read_inline, read_section
        from flowjob.runtime.real.stores import with_stores

        snapshot, at = self._snapshot, self._snapshot._origin
        if at is None:
            return read_inline(snapshot._manifest, self._key)
        return with_stores(
            lambda open_store: read_section(
                open_store(at.location), at.directory, snapshot._manifest, self._key
            )
        )

    @property
    def _snapshot(self) -> Snapshot:
        return self._operator._snapshot

    @property
    def _key(self) -> tuple[str, str]:
        return self._operator.uid, self.section

    def _parts(self) -> list[PartEntry]:
        return [
            part
            for state in self._operator._states
            for part in state.parts
            if part.section == self.section
        ]

    def _kind(self) -> str:
        layout = self._operator._layout
        found = None if layout is None else layout.sections.get(self.section)
        return "" if found is None else found.kind

    def _declared(self) -> Any:
        from flowjob.runtime.checkpoint.sections import Distribution

        return Distribution.BROADCAST if self._kind() == "broadcast" else Distribution.KEYED

    def _expected(self) -> pa.Schema | None:
        from flowjob.runtime.checkpoint.conforming import expected_schema

        return expected_schema(self._operator._layout, self.section)

    def _replacing(self, table: pa.Table) -> Snapshot:
        from flowjob.runtime.checkpoint.conforming import conformed
        from flowjob.runtime.checkpoint.editing import Replacement

        schema = self._expected()
        if schema is None:
            schema = self.to_arrow().schema
        label = f"the table for `{self.name}` of `{self._operator.name}`"
        rows = conformed(table, schema, label)
        meta = {"kind": self._kind()} if self._kind() else {}
        replaced = Replacement(rows, self._declared(), meta)
        return replace(self._snapshot, _replaced={**self._snapshot._replaced, self._key: replaced})

    def __repr__(self) -> str:
        return f"<{self.name}: {self.rows:,} rows, {self.distribution}>"


def _unknown(what: str, name: str, known: list[str], where: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    listed = ", ".join(f"`{k}`" for k in known) or "none"
    return f"{where} has no {what} `{name}`.{hint} There is: {listed}"


def _now() -> int:
    return int((datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
