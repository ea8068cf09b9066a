"""`flowjob explain`: a job's plan for people or programs, and what a start from a snapshot would do with its state.

Plans are plan/'s, snapshots runtime/checkpoint/'s. Nothing is run or written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import typer

from flowjob.checkpointing import Checkpoints
from flowjob.entrypoint import load, locate
from flowjob.errors import SnapshotError
from flowjob.job import Job
from flowjob.plan.compile import compile_job
from flowjob.plan.describe import describe, type_text
from flowjob.plan.explain import partitioning_text
from flowjob.plan.job_graph import Edge, JobGraph, Vertex
from flowjob.plan.restore import RestorePlan, plan_restore

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Restoring:
    """What was said about a snapshot. `start`: its path, `latest`, or None."""

    start: str | None = None
    place: str | None = None
    endpoint: str | None = None
    allow_non_restored: bool = False


class Operator(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`state`: the id that its state has, if it has some."""

    name: str
    output: str
    details: list[str]
    state: str | None = None


class PlannedVertex(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    name: str
    parallelism: int
    operators: list[Operator]


class PlannedEdge(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`exchange`: as text, with its keys."""

    id: int
    source: int
    target: int
    port: int
    exchange: str
    ships: str


class Move(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What becomes of one operator's state: `fate` is restored, new, gone or dropped."""

    state: str
    name: str
    fate: str
    summary: str
    details: list[str]


class Explained(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`restore`: None without --from."""

    job: str
    parallelism: int
    max_parallelism: int
    vertices: list[PlannedVertex]
    edges: list[PlannedEdge]
    restore: list[Move] | None = None


def explain_job(
    target: str,
    arguments: Mapping[str, str],
    parallelism: int,
    restoring: Restoring,
    *,
    as_json: bool,
) -> None:
    """Prints it. Raises PlanError and its kin, and StateMismatch where the snapshot does not fit."""
    job = load(locate(target, arguments, Path.cwd()))
    graph = compile_job(job, parallelism=parallelism)
    if not as_json:
        typer.echo(job.explain(parallelism=parallelism))
    plan = None if restoring.start is None else restore_plan(job, graph, restoring)
    if as_json:
        explained = explained_of(graph, parallelism, plan)
        typer.echo(msgspec.json.format(msgspec.json.encode(explained), indent=2).decode())
    elif plan is not None:
        typer.echo(f"\n== State ==\n{plan}")


def explained_of(graph: JobGraph, parallelism: int, plan: RestorePlan | None) -> Explained:
    """As data."""
    return Explained(
        job=graph.name,
        parallelism=parallelism,
        max_parallelism=graph.max_parallelism,
        vertices=[_vertex(vertex) for vertex in graph.vertices],
        edges=[_edge(edge) for edge in graph.edges],
        restore=None if plan is None else _moves(plan),
    )


def _vertex(vertex: Vertex) -> PlannedVertex:
    operators = [
        Operator(
            name=node.name,
            output=type_text(node.spec.output),
            details=[str(detail) for detail in describe(node.spec)],
            state=node.uid,
        )
        for node in vertex.nodes
    ]
    return PlannedVertex(
        id=vertex.id, name=vertex.name, parallelism=vertex.parallelism, operators=operators
    )


def _edge(edge: Edge) -> PlannedEdge:
    return PlannedEdge(
        id=edge.id,
        source=edge.source,
        target=edge.target,
        port=edge.port,
        exchange=partitioning_text(edge.partitioning),
        ships=type_text(edge.type),
    )


def _moves(plan: RestorePlan) -> list[Move]:
    return [
        Move(
            state=o.uid,
            name=o.name,
            fate=o.fate.value,
            summary=o.summary,
            details=list(o.details),
        )
        for o in plan.operators
    ]


def restore_plan(job: Job, graph: JobGraph, restoring: Restoring) -> RestorePlan:
    """Which state of the snapshot goes where. Raises SnapshotError, StorageError, StateMismatch."""
    from flowjob.runtime.checkpoint.manifest_io import read_manifest
    from flowjob.runtime.checkpoint.places import snapshot_place
    from flowjob.runtime.env import StoreLocation
    from flowjob.runtime.real.stores import OpenStore, with_stores

    assert restoring.start is not None

    async def work(open_store: OpenStore) -> Any:
        if restoring.start == LATEST:
            return await _newest(open_store, job, restoring)
        url, directory = snapshot_place(str(restoring.start))
        store = open_store(StoreLocation(url, restoring.endpoint))
        return await read_manifest(store, directory)

    manifest = with_stores(work)
    return plan_restore(graph, manifest, allow_non_restored=restoring.allow_non_restored)


async def _newest(open_store: Any, job: Job, restoring: Restoring) -> Any:
    """What the job's log would have it go on from."""
    from flowjob.runtime.checkpoint.manifest_io import read_manifest
    from flowjob.runtime.checkpoint.places import snapshot_place
    from flowjob.runtime.env import StoreLocation
    from flowjob.runtime.minicluster import location_of
    from flowjob.runtime.real.clock import RealClock, RealRandom
    from flowjob.runtime.storage.job_log import JobLog
    from flowjob.runtime.storage.paths import JobPaths

    said = {"location": restoring.place, "endpoint": restoring.endpoint}
    given = {name: value for name, value in said.items() if value is not None}
    kept: Checkpoints = dataclasses.replace(job.checkpoints or Checkpoints(), **given)  # type: ignore[arg-type]
    location, paths = location_of(kept), JobPaths.of(job.name)
    store = open_store(location)
    log = await JobLog(store, paths, RealClock(), RealRandom()).read()
    if log.newest is None and log.source:  # the last run has none of its own yet
        url, directory = snapshot_place(log.source)
        begun = open_store(StoreLocation(url, kept.endpoint, kept.region))
        return await read_manifest(begun, directory)
    if log.newest is None:
        raise SnapshotError(
            f"job {job.name} has no complete snapshot in {location.url}: --from latest would begin with nothing. "
            "If it keeps them elsewhere, say it: --checkpoints"
        )
    return await read_manifest(store, paths.full(log.newest.manifest).rpartition("/")[0])
