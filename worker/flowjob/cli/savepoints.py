"""`flowjob savepoint …` and `flowjob stop`: asks running jobs, and looks after snapshots in stores.

What is asked is runtime/jobmanager/asking.py's, what snapshots are runtime/checkpoint/'s; this says it to people."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import typer

from flowjob.checkpointing import Checkpoints
from flowjob.errors import DamagedSnapshot, HandshakeRefused, NotDone, NotRunning, SnapshotError
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.checkpoint.manifest_io import (
    delete_snapshot,
    is_unfinished_savepoint,
    list_snapshots,
    read_manifest,
)
from flowjob.runtime.checkpoint.places import snapshot_place
from flowjob.runtime.checkpoint.restoring import operator_states
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


def take(job: str, name: str, place: str | None) -> None:
    """Prints where the savepoint is."""
    answer = ask_job(job, place, Ask(what="savepoint", savepoint=name))
    typer.echo(answer.place)


def stop(job: str, place: str | None, wish: Ask) -> None:
    """Prints where the savepoint is, if one was asked for."""
    answer = ask_job(job, place, wish)
    typer.echo(answer.place or f"{job} is stopping")


def list_all(job: str, place: str | None, endpoint: str | None) -> None:
    """Prints the checkpoints and savepoints of a job, oldest first."""
    location = location_of(Checkpoints(location=place, endpoint=endpoint))
    paths = JobPaths.of(job)

    async def work(open_store: OpenStore) -> list[str]:
        store = open_store(location)
        log = await JobLog(store, paths, RealClock(), RealRandom()).read()
        counting = {paths.full(commit.manifest).rpartition("/")[0] for commit in log.committed}
        lines = []
        for kind, parent in (("checkpoint", paths.checkpoints), ("savepoint", paths.savepoints)):
            for found in sorted(await list_snapshots(store, parent), key=lambda s: s.modified):
                name = word(found.directory[len(prefix_of(parent)) :].partition("/")[0])
                counts = kind == "savepoint" or found.directory in counting
                state = _time(found.modified) if counts else "never committed"
                lines.append(
                    f"{kind:<10} {name:<20} {state if found.complete else 'not complete':<20} "
                    f"{found.bytes:>12,} bytes  {store.url.rstrip('/')}/{found.directory}"
                )
        return lines

    lines = with_stores(work)
    nothing = (
        f"there are none of job {job} in {location.url}. If its program or `flowjob run` names another place, say it: "
        "--checkpoints"
    )
    for line in lines or [nothing]:
        typer.echo(line)


def inspect(path: str, endpoint: str | None) -> None:
    """Prints what a snapshot holds, by operator."""
    manifest = _with_snapshot(path, endpoint, _manifest)
    typer.echo(
        f"{manifest.kind} {manifest.id} of job {manifest.job}, taken {_time(manifest.created)} UTC; "
        f"max_parallelism {manifest.max_parallelism}"
    )
    for uid, states in operator_states(manifest).items():
        parts = [part for _, state in states for part in state.parts]
        pending = sum(len(state.committables) for _, state in states)
        tail = f", {_count(pending, 'result')} not yet visible" if pending else ""
        sections: dict[str, int] = {}
        for part in parts:
            same = part.distribution == "broadcast" and part.section in sections
            sections[part.section] = sections.get(part.section, 0) + (0 if same else part.rows)
        typer.echo(
            f"  {states[0][1].name} ({uid}): {_count(sum(sections.values()), 'row')}, "
            f"{sum(part.length for part in parts):,} bytes, from {_count(len(states), 'subtask')}{tail}"
        )
        for section, rows in sections.items():
            if rows:
                typer.echo(f"      {section.removeprefix('state.')}: {_count(rows, 'row')}")


def verify(path: str, endpoint: str | None) -> None:
    """Reads every byte of a snapshot. Raises DamagedSnapshot with all that is wrong."""

    async def work(open_store: OpenStore, location: StoreLocation, directory: str) -> list[str]:
        store = open_store(location)
        manifest = await read_manifest(store, directory)
        return await verify_snapshot(store, directory, manifest)

    problems = _with_snapshot(path, endpoint, work)
    if problems:
        raise DamagedSnapshot("\n".join(problems))
    typer.echo("it is whole")


def delete(path: str, endpoint: str | None, *, force: bool = False) -> None:
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
    typer.echo(f"{_count(deleted, 'object')} deleted")


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


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}" if number == 1 else f"{number:,} {of}s"
