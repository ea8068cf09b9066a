"""`flowjob savepoint …` and `flowjob stop`: asks running jobs, and looks after snapshots in stores.

What is asked is runtime/jobmanager/asking.py's, what snapshots are runtime/checkpoint/'s; this says it to people."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import msgspec
import typer

from flowjob.checkpointing import Checkpoints
from flowjob.cli.snapshot_contents import contents_of, counted, time_text
from flowjob.errors import DamagedSnapshot, HandshakeRefused, NotDone, NotRunning, SnapshotError
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.checkpoint.manifest_io import (
    delete_snapshot,
    is_unfinished_savepoint,
    list_snapshots,
    read_manifest,
)
from flowjob.runtime.checkpoint.places import snapshot_place
from flowjob.runtime.checkpoint.verifying import verify_snapshot
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.jobmanager.asking import ask, read_whereabouts
from flowjob.runtime.messages import Answered, Ask
from flowjob.runtime.minicluster import control_file, location_of
from flowjob.runtime.real.clock import RealClock, RealRandom
from flowjob.runtime.real.control import WebSocketControl
from flowjob.runtime.real.stores import OpenStore, with_stores
from flowjob.runtime.storage.job_log import JobLog
from flowjob.runtime.storage.object_store import ObjectStore
from flowjob.runtime.storage.paths import MANIFEST, JobPaths, prefix_of, word

T = TypeVar("T")

Work = Callable[[OpenStore, StoreLocation, str], Awaitable[T]]
"""Done on a snapshot: the location of a store, and the snapshot's directory in it."""

CONNECT_WITHIN = 5.0
"""Seconds for a running job to be reached; its answer may take longer."""


def ask_job(job: str, place: str | None, wish: Ask) -> Answered:
    """What the running job answers. Raises NotRunning, and NotDone with its reason."""
    path = control_file(job, Checkpoints(location=place))
    where = read_whereabouts(path)
    if where is None:
        raise NotRunning(
            f"no job `{job}` is running with its checkpoints in {path.parent.parent}. The name is that of "
            '`fj.Job("…")`; say `--checkpoints` as it was said to `flowjob run`, and be in the same directory'
        )
    try:
        answer = asyncio.run(ask(WebSocketControl(), where, wish, CONNECT_WITHIN))
    except (OSError, TimeoutError, HandshakeRefused) as error:
        raise NotRunning(
            f"job `{job}` (pid {where.pid}) does not answer: {error}. If there is no such process any more, it was "
            "killed: `flowjob run … --from latest` continues the job"
        ) from None
    if answer.failure is not None:
        raise NotDone(answer.failure)
    return answer


def take(job: str, name: str, place: str | None, *, as_json: bool = False) -> None:
    """Prints where the savepoint is."""
    answer = ask_job(job, place, Ask(what="savepoint", savepoint=name))
    _say({"path": answer.place}, [answer.place or ""], as_json=as_json)


def stop(job: str, place: str | None, wish: Ask, *, as_json: bool = False) -> None:
    """Prints where the savepoint is, if one was asked for."""
    answer = ask_job(job, place, wish)
    said = [answer.place or f"{job} is stopping"]
    _say({"job": job, "path": answer.place or None}, said, as_json=as_json)


class Found(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A snapshot in a job's part of a store. `status`: complete, notComplete or neverCommitted."""

    type: str
    name: str
    status: str
    modified: str
    bytes: int
    path: str

    @property
    def line(self) -> str:
        plain = {"notComplete": "not complete", "neverCommitted": "never committed"}
        state = plain.get(self.status, self.modified)
        return f"{self.type:<10} {self.name:<20} {state:<20} {self.bytes:>12,} bytes  {self.path}"


def list_all(job: str, place: str | None, endpoint: str | None, *, as_json: bool = False) -> None:
    """Prints the checkpoints and savepoints of a job, oldest first."""
    location = location_of(Checkpoints(location=place, endpoint=endpoint))
    paths = JobPaths.of(job)

    async def work(open_store: OpenStore) -> list[Found]:
        store = open_store(location)
        log = await JobLog(store, paths, RealClock(), RealRandom()).read()
        counting = {paths.full(commit.manifest).rpartition("/")[0] for commit in log.committed}
        listed = []
        for kind, parent in (("checkpoint", paths.checkpoints), ("savepoint", paths.savepoints)):
            for found in sorted(await list_snapshots(store, parent), key=lambda s: s.modified):
                name = word(found.directory[len(prefix_of(parent)) :].partition("/")[0])
                counts = kind == "savepoint" or found.directory in counting
                status = "complete" if counts else "neverCommitted"
                listed.append(
                    Found(
                        type=kind,
                        name=name,
                        status=status if found.complete else "notComplete",
                        modified=time_text(found.modified),
                        bytes=found.bytes,
                        path=f"{store.url.rstrip('/')}/{found.directory}",
                    )
                )
        return listed

    listed = with_stores(work)
    nothing = (
        f"there are none of job {job} in {location.url}. If its program or `flowjob run` names another place, say it: "
        "--checkpoints"
    )
    _say(listed, [found.line for found in listed] or [nothing], as_json=as_json)


def inspect(path: str, endpoint: str | None, *, as_json: bool = False) -> None:
    """Prints what a snapshot holds, by operator."""
    manifest = _with_snapshot(path, endpoint, _manifest)
    contents = contents_of(manifest)
    _say(contents, contents.lines, as_json=as_json)


def verify(path: str, endpoint: str | None, *, as_json: bool = False) -> None:
    """Reads every byte of a snapshot. Raises DamagedSnapshot with all that is wrong."""

    async def work(open_store: OpenStore, location: StoreLocation, directory: str) -> list[str]:
        store = open_store(location)
        manifest = await read_manifest(store, directory)
        return await verify_snapshot(store, directory, manifest)

    problems = _with_snapshot(path, endpoint, work)
    if problems:
        raise DamagedSnapshot("\n".join(problems))
    _say({"path": path, "whole": True}, ["it is whole"], as_json=as_json)


def delete(path: str, endpoint: str | None, *, force: bool = False, as_json: bool = False) -> None:
    """Deletes a savepoint, also one that was never finished. Raises SnapshotError for a checkpoint: those belong to
    their job; and without `force` for what the job would continue from."""

    async def work(open_store: OpenStore, location: StoreLocation, directory: str) -> int:
        store = open_store(location)
        if not await is_unfinished_savepoint(store, directory):
            manifest = await read_manifest(store, directory)
            if manifest.kind != "savepoint" or not directory:
                raise SnapshotError(
                    f"{path} is a {manifest.kind} and belongs to its job, which deletes it by itself; only savepoints "
                    "are deleted here"
                )
            if not force and await _is_needed(store, directory):
                raise SnapshotError(
                    f"{path} is where job {manifest.job} would go on after a failure, and with `--from latest`: it has "
                    "nothing newer. Let it take a checkpoint first, or say --force"
                )
        return await delete_snapshot(store, directory)

    deleted = _with_snapshot(path, endpoint, work)
    _say(
        {"path": path, "objects": deleted},
        [f"{counted(deleted, 'object')} deleted"],
        as_json=as_json,
    )


def _say(value: Any, lines: Iterable[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
        return
    for line in lines:
        typer.echo(line)


async def _is_needed(store: ObjectStore, directory: str) -> bool:
    """Whether the newest run of the job that it lies with would begin there. What others do with it nobody can know."""
    paths, name = JobPaths(""), f"{directory}/{MANIFEST}"
    if not directory.startswith(prefix_of(paths.savepoints)):
        return False
    log = await JobLog(store, paths, RealClock(), RealRandom()).read()
    if log.newest is not None:
        return log.newest.manifest == name
    return log.source == f"{store.url.rstrip('/')}/{name}"


async def _manifest(open_store: OpenStore, location: StoreLocation, directory: str) -> Manifest:
    return await read_manifest(open_store(location), directory)


def _with_snapshot(path: str, endpoint: str | None, work: Work[T]) -> T:
    url, directory = snapshot_place(path)
    return with_stores(lambda open_store: work(open_store, StoreLocation(url, endpoint), directory))
