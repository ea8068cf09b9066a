"""A job's snapshots in its store, under the rule of its log: claimed, written, committed, retired, deleted.

What is to happen when is said by core/coordinator.py; this makes it so, and tells the truth about the outcome. It must
not know tasks or messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, replace

import msgspec

from flowjob.core.snapshot_log import (
    Begin,
    Commit,
    Finish,
    LogState,
    Published,
    Record,
    Retire,
    refusal,
)
from flowjob.errors import FlowjobError, LostLeadership, StorageError
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.checkpoint.manifest_io import (
    digest,
    encode_manifest,
    read_manifest,
    write_manifest,
)
from flowjob.runtime.checkpoint.verifying import check_objects
from flowjob.runtime.env import Env, StoreLocation
from flowjob.runtime.jobmanager.committables import published
from flowjob.runtime.jobmanager.last_work import wait_for_last_work
from flowjob.runtime.outbox import cancel_all
from flowjob.runtime.storage.garbage import Garbage, Orphans
from flowjob.runtime.storage.job_log import JobLog, LogUncertain, Terms
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import MANIFEST, JobPaths, join, prefix_of

_log = logging.getLogger("flowjob.jobmanager")

SETTLE_EVERY = 2.0
"""Seconds between attempts to find out what became of a commit."""


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """A snapshot to start from: `directory` in the store at `location` has the objects of `manifest`."""

    location: StoreLocation
    directory: str
    manifest: Manifest

    @property
    def name(self) -> str:
        """Of the manifest's object."""
        return f"{self.directory}/{MANIFEST}" if self.directory else MANIFEST

    @property
    def place(self) -> str:
        """Of its directory, with the store it is in."""
        return f"{self.location.url.rstrip('/')}/{self.directory}"


class SnapshotStore:
    """Nothing is read or written before `claim` or `look`."""

    def __init__(self, env: Env, location: StoreLocation, root: str) -> None:
        assert env.open_store is not None
        self.location = location
        self.paths = JobPaths(root)
        self.store: ObjectStore = env.open_store(location)
        self._env = env
        self._log = JobLog(self.store, self.paths, env.clock, env.random)
        self._generation = 0
        self._resigned = False
        self._address = ""
        self._appending = asyncio.Lock()
        self._garbage = Garbage(self.store, env.clock)

    @property
    def state(self) -> LogState:
        """What is known of the log."""
        return self._log.state

    def introduce(self, terms: Terms) -> None:
        """What claims are to say of this JobManager."""
        self._log.terms = terms

    async def look(self) -> LogState:
        """The log as it is, without claiming anything."""
        return await self._log.read()

    async def claim(self, revision: str, address: str = "") -> LogState:
        """Takes leadership, which comes before anything is decided; the log as it is then. `address`: where this
        JobManager can be asked."""
        self._address = address
        self._generation = await self._log.claim(revision, address)
        return self._log.state

    async def leads(self) -> bool:
        """Whether nobody has claimed the job since: a look at the log. Raises StorageError."""
        async with self._appending:
            return (await self._log.read()).generation == self._generation

    async def resign(self) -> None:
        """Appends nothing any more. What is being appended is certain when this returns."""
        async with self._appending:
            self._resigned = True

    async def finish(self, outcome: str, reason: str = "", code: str = "") -> None:
        """The run is over, and nobody is to continue it."""
        await self._append(Finish(self._generation, outcome, reason, code))

    async def begin(self, run: str, source: str, name: str = "") -> None:
        """A run begins, from nothing or from a snapshot; `name`: what it is called by whoever continues it."""
        by = self._log.terms.job_revision
        await self._append(Begin(self._generation, run, source, name, by))

    async def write(self, manifest: Manifest, directory: str) -> None:
        """Stores a manifest; what it names must be there already. `directory` is below the job's root."""
        await write_manifest(self.store, self.paths.full(directory), manifest)

    async def commit(self, manifest: Manifest, directory: str) -> bool:
        """Writes into the log that a written snapshot counts. False: it is certain that it does not, and never will.

        Raises LostLeadership when another JobManager has the job."""
        record = Commit(
            self._generation,
            manifest.id,
            f"{directory}/{MANIFEST}",
            savepoint=manifest.kind == "savepoint",
            digest=digest(encode_manifest(manifest)),
            results=results_of(manifest),
        )
        await self._append(record, again=False)
        return self._log.state.find(manifest.id) is not None

    async def retire(self, checkpoint: int) -> None:
        """Says in the log that nobody needs a checkpoint, then deletes it."""
        if await self._append(Retire(self._generation, checkpoint)):
            self._garbage.delete(self.paths.checkpoint(checkpoint))
            await self._log.trim()

    async def discard(self, directory: str, checkpoint: int) -> None:
        """Deletes what a snapshot that came to nothing has left. A savepoint that has its manifest is complete, and is
        somebody's; but not one whose results nobody will publish, because the job went on from before."""
        whole = self.paths.full(directory)
        is_checkpoint = self.paths.checkpoint_of(f"{whole}/") is not None
        if is_checkpoint or await self.store.head(f"{whole}/{MANIFEST}") is None:
            self._garbage.delete(whole, unfinished=True)
            return
        manifest = await read_manifest(self.store, whole)
        if manifest.id == checkpoint and results_of(manifest) and not self.state.find(checkpoint):
            await self.store.delete([f"{whole}/{MANIFEST}"])
            self._garbage.delete(whole)

    async def in_the_way(self, directory: str) -> str | None:
        """What keeps a new savepoint from `directory`, for people: its tasks would overwrite what is there, and what is
        still being deleted would go on to be."""
        whole = self.paths.full(directory)
        place = f"{self.store.url.rstrip('/')}/{whole}"
        if await self.store.head(f"{whole}/{MANIFEST}") is not None:
            return f"there is a savepoint in {place} already. Choose another name, or delete it"
        if self._garbage.is_deleting(whole):
            return (
                f"what a failed savepoint has left in {place} is being deleted. Choose another name"
            )
        async for found in self.store.scan(prefix_of(whole)):
            return f"an unfinished savepoint has left {found.name} in {place}. Choose another name, or delete it"
        return None

    async def savepoint(self, name: str) -> RestorePoint | None:
        """The complete savepoint of that name, if there is one. Raises StorageError."""
        directory = self.paths.savepoint(name)
        if await self.store.head(f"{directory}/{MANIFEST}") is None:
            return None
        return RestorePoint(self.location, directory, await read_manifest(self.store, directory))

    def checksum(self, point: RestorePoint) -> str:
        """Of a snapshot's manifest, as the log has it; empty where it has not."""
        commit = self.state.find(point.manifest.id)
        return commit.digest if point.location == self.location and commit is not None else ""

    def ends_with(self, point: RestorePoint) -> bool:
        """Whether the job is being ended by that savepoint: it is in the log."""
        return self.state.stopped and self.state.newest_id == point.manifest.id

    async def sweep(self, state: LogState, initial: RestorePoint | None) -> None:
        """Has deleted what crashes of earlier lives have left, but not what this one begins from. `state`: the log as
        it was when this one began, so that nothing of its own is taken for an earlier one's."""
        needed = {initial.directory} if initial is not None else set()
        for commit in state.committed:
            needed |= objects_of(await self.read(commit))
        orphans = Orphans(self.store, self.paths, state, needed)
        await orphans.sweep(self._garbage, self._env.clock.wall())

    async def read(self, commit: Commit) -> RestorePoint:
        """A committed snapshot. Raises SnapshotError when its manifest is gone, or not the one that was committed."""
        directory = self.paths.full(commit.manifest).removesuffix(f"/{MANIFEST}")
        crc = commit.checksum if not commit.digest else None
        manifest = await read_manifest(
            self.store, directory, expected=commit.digest or None, expected_crc=crc
        )
        return self.as_logged(RestorePoint(self.location, directory, manifest))

    def as_logged(self, point: RestorePoint) -> RestorePoint:
        """The same, wherever it was found; without results, when it is one of this job's whose results the log knows to
        be published. They may have been moved on since."""
        manifest = point.manifest
        commit = self.state.find(manifest.id)
        if commit is None or commit.snapshot not in self.state.published:
            return point
        if commit.digest != digest(encode_manifest(manifest)):
            return point
        tasks = published({task.task: task for task in manifest.tasks})
        return replace(point, manifest=msgspec.structs.replace(manifest, tasks=tasks))

    async def say_published(self, checkpoint: int) -> None:
        """Says in the log that sinks have published all there is up to the last snapshot of the run."""
        if checkpoint not in self._log.state.published:
            await self._append(Published(self._generation, checkpoint))

    async def check(self, point: RestorePoint) -> None:
        """Raises SnapshotError when an object of a snapshot of this job is gone or too short. Reads no byte of them."""
        await check_objects(self.store, point.directory, point.manifest)

    async def close(self, generation: int | None = None, *, hurry: bool = False) -> None:
        """All tasks are gone; what is being deleted is awaited (last_work.py). What they have stored for snapshots of
        `generation` after those had come to nothing is found now; an old leader's directories are its own, so this is
        safe for one that leads no more."""
        last = asyncio.ensure_future(self._delete_last(generation))
        await wait_for_last_work(last, lambda: self._garbage.deleted, hurry=hurry)
        await cancel_all([last])
        await self._garbage.close()
        await self.store.close()

    async def _delete_last(self, generation: int | None) -> None:
        if generation is not None:
            orphans = Orphans(self.store, self.paths, self.state, frozenset())
            deposed = self.state.generation > self._generation
            with contextlib.suppress(StorageError):
                for directory in await orphans.of_generation(generation, deposed=deposed):
                    self._garbage.delete(directory, unfinished=True)
        await self._garbage.finished()

    async def _append(self, record: Record, *, again: bool = True) -> bool:
        """Returns when the outcome is certain; the log's state then tells it. False: the log's rules refuse it.

        `again`: what an unknown outcome has left out is appended once more, at worst twice, which says nothing new."""
        async with self._appending:  # nobody may come between an append and its settling
            if self._resigned:
                raise LostLeadership(f"this claim of {self.paths.log} has been given up")
            while True:
                # Only here: whoever had the log before us may have had to claim it anew.
                record = msgspec.structs.replace(record, generation=self._generation)
                state = self._log.state
                leads = (
                    state.generation == self._generation
                )  # else the log itself says that we have lost it
                if leads and refusal(state, record) is not None:
                    return False
                try:
                    await self._log.append(record)
                except LogUncertain as error:
                    _log.warning("%s; finding out", error)
                    await self._settle()
                    if again:
                        continue
                return True

    async def _settle(self) -> None:
        """Claims anew: that alone tells what an append with an unknown outcome has become."""
        while True:
            try:
                self._generation = await self._log.claim(
                    "settles an unknown outcome", self._address
                )
            except LostLeadership:
                raise
            except StorageError as error:
                _log.warning("the log cannot be reached: %s", error)
                await self._env.clock.sleep(SETTLE_EVERY)
                continue
            if self._log.interrupted:
                raise LostLeadership(
                    f"another JobManager has taken over the job in {self.store.url}; this one has to end"
                )
            return


def results_of(manifest: Manifest) -> int:
    """How many items of sinks are published with it."""
    states = [state for task in manifest.tasks for state in task.operators]
    return sum(len(state.committables) for state in states)


def objects_of(point: RestorePoint) -> set[str]:
    """Names in the store of all objects that a snapshot needs, its manifest aside."""
    tasks = point.manifest.tasks
    parts = [part for task in tasks for state in task.operators for part in state.parts]
    parts += [part for task in tasks for part in task.in_flight]
    return {join(point.directory, part.object) for part in parts if part.object}


def why(error: BaseException) -> str:
    """A storage failure in a line."""
    return str(error) if isinstance(error, FlowjobError) else f"{type(error).__name__}: {error}"
