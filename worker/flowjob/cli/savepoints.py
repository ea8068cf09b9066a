"""`flowjob savepoint …` and `flowjob stop`: asks running jobs, and looks after snapshots in stores.

What is asked is runtime/jobmanager/asking.py's, what snapshots are runtime/checkpoint/'s; this says it to people."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import typer

from flowjob.checkpointing import Checkpoints
from flowjob.errors import HandshakeRefused, JobFailed, NotRunning, SnapshotError
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.checkpoint.manifest_io import (
    delete_snapshot,
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
from flowjob.runtime.real.control import WebSocketControl
from flowjob.runtime.real.stores import OpenStore, with_stores
from flowjob.runtime.storage.paths import JobPaths, word

T = TypeVar("T")

Work = Callable[[OpenStore, StoreLocation, str], Awaitable[T]]
"""Done on a snapshot: the location of a store, and the snapshot's directory in it."""

CONNECT_WITHIN = 5.0
"""Seconds for a running job to be reached; its answer may take longer."""


def ask_job(job: str, place: str | None, wish: Ask) -> Answered:
    """What the running job answers. Raises NotRunning, and JobFailed when it says that it did not do it."""
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
        raise NotRunning(f"job `{job}` (pid {where.pid}) does not answer: {error}") from None
    if answer.failure is not None:
        raise JobFailed(f"it was not done: {answer.failure}")
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
        lines = []
        for kind, parent in (("checkpoint", paths.checkpoints), ("savepoint", paths.savepoints)):
            for found in sorted(await list_snapshots(store, parent), key=lambda s: s.modified):
                name = word(found.directory.rpartition("/")[2])
                when = _time(found.modified) if found.complete else "not complete"
                lines.append(
                    f"{kind:<10} {name:<20} {when:<20} {found.bytes:>12,} bytes  "
                    f"{store.url.rstrip('/')}/{found.directory}"
                )
        return lines

    lines = with_stores(work)
    for line in lines or [f"there are none of job {job} in {location.url}"]:
        typer.echo(line)


def inspect(path: str, endpoint: str | None) -> None:
    """Prints what a snapshot holds, by operator."""
    manifest = _with_snapshot(path, endpoint, _manifest)
    typer.echo(
        f"{manifest.kind} {manifest.id} of job {manifest.job}, taken {_time(manifest.created)} UTC; "
        f"max_parallelism {manifest.max_parallelism}"
    )
    for uid, states in operator_states(manifest).items():
        rows = sum(part.rows for _, state in states for part in state.parts)
        size = sum(part.length for _, state in states for part in state.parts)
        pending = sum(len(state.committables) for _, state in states)
        tail = f", {pending} pending" if pending else ""
        typer.echo(
            f"  {states[0][1].name} ({uid}): {rows:,} rows, {size:,} bytes, "
            f"from {len(states)} subtasks{tail}"
        )


def verify(path: str, endpoint: str | None) -> None:
    """Reads every byte of a snapshot. Raises SnapshotError with all that is wrong."""

    async def work(open_store: OpenStore, location: StoreLocation, directory: str) -> list[str]:
        store = open_store(location)
        manifest = await read_manifest(store, directory)
        return await verify_snapshot(store, directory, manifest)

    problems = _with_snapshot(path, endpoint, work)
    if problems:
        raise SnapshotError("\n".join(problems))
    typer.echo("it is whole")


def delete(path: str, endpoint: str | None) -> None:
    """Deletes a savepoint. Raises SnapshotError for a checkpoint: those belong to their job."""

    async def work(open_store: OpenStore, location: StoreLocation, directory: str) -> int:
        store = open_store(location)
        manifest = await read_manifest(store, directory)
        if manifest.kind != "savepoint" or not directory:
            raise SnapshotError(
                f"{path} is a {manifest.kind} and belongs to its job, which deletes it by itself; only savepoints are "
                "deleted here"
            )
        return await delete_snapshot(store, directory)

    typer.echo(f"{_with_snapshot(path, endpoint, work)} objects deleted")


async def _manifest(open_store: OpenStore, location: StoreLocation, directory: str) -> Manifest:
    return await read_manifest(open_store(location), directory)


def _with_snapshot(path: str, endpoint: str | None, work: Work[T]) -> T:
    url, directory = snapshot_place(path)
    return with_stores(lambda open_store: work(open_store, StoreLocation(url, endpoint), directory))


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
